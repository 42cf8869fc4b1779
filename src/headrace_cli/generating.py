"""``headrace generate``: texts of a language model."""

from __future__ import annotations

import sys
import time
from typing import Annotated

from typer import Option

from headrace.errors import InputError, UsageError
from headrace.signs import visible
from headrace_cli import pipelines
from headrace_cli.answers import answer, prepared, wants_json


def generate(
    model: pipelines.ModelVersionArgument,
    prompt: Annotated[
        str, Option(metavar="TEXT", help="What the text begins with.")
    ] = "",
    characters: Annotated[
        int, Option(metavar="N", help="The most characters that are written.")
    ] = 500,
    lines: Annotated[
        int, Option(metavar="N", help="How many lines to write; 0: no limit.")
    ] = 0,
    temperature: Annotated[
        float,
        Option(help="0: the likeliest character each time; 1: by the probabilities."),
    ] = 0.8,
    seed: Annotated[
        int | None,
        Option(metavar="N", help="Equal seeds give equal texts; by default a new one."),
    ] = None,
) -> None:
    """Write a text with a language model."""
    from headrace.use.generating import Request, open_text_model

    Request(prompt=prompt)  # it is input, as any item; the others are options
    given = {} if seed is None else {"seed": seed}
    try:
        request = Request(
            prompt=prompt,
            characters=characters,
            lines=lines,
            temperature=temperature,
            **given,
        )
    except InputError as error:
        raise UsageError(error.message, error.action) from None
    began = time.perf_counter()
    opened = open_text_model(model, prepared())
    pieces = opened.stream(request)
    text = opened.prompt_of(request)
    if not wants_json():
        sys.stdout.write(visible(text))
    for piece in pieces:
        text += piece
        if not wants_json():
            sys.stdout.write(visible(piece))
            sys.stdout.flush()
    value = {
        "model": opened.name,
        "version": opened.version,
        "status": "ok",
        "prompt": prompt,
        "text": text,
        "temperature": temperature,
        "seed": request.seed,
        "seconds": round(time.perf_counter() - began, 3),
    }
    answer(value, lambda: print("", flush=True))  # noqa: T201
