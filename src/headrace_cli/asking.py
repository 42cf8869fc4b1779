"""``headrace explain`` and ``headrace generate``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.display.signs import visible
from headrace.errors import InputError, UsageError
from headrace_cli.answers import (
    answer,
    one_line,
    prepared,
    show_table,
    show_text,
    wants_json,
)
from headrace_cli.pipelines import ModelVersionArgument

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace.use.explaining import ItemExplained

_SHOWN = 10


def explain(
    model: ModelVersionArgument,
    item: Annotated[
        str | None,
        Argument(
            metavar="ITEM",
            help="A file, the digest of a test item (8 digits are enough), the text "
            "itself, or for a page a folder or a table.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Draw the map over the item: a .png file, or an .html page, also of a "
            "folder's first 50 items.",
        ),
    ] = None,
    of: Annotated[
        str, Option(metavar="NAME", help="The class or tag; else what is answered.")
    ] = "",
) -> None:
    """Show which parts of an item speak for and against an answer.

    Without an item, show whether explanations of this version have passed the check
    that its evaluation made; only then are they shown.
    """
    if item is None:
        _show_check(model)
        return
    from headrace.use.explaining import explain as explain_item

    explained = explain_item(model, item, prepared(), output=output, of=of)
    one, *others = explained
    reason = ""
    if one.sanity.status != "passed":
        written = f" {output} was not written." * bool(output)
        reason = f"Not explained: {one.sanity.reason}.{written}"
    status = "refused" if reason else "ok"
    value = {"status": status, "reason": reason, **one.model_dump()}
    value["others"] = [other.model_dump() for other in others]
    answer(value, lambda: _show(explained, reason), int(bool(reason)))


def _show_check(model: str) -> None:
    from headrace.explanations.check import version_verdict
    from headrace.state.home import Home

    home = Home.existing(prepared(), f"model {model!r}")
    version = home.ledger.find(model)
    sanity = version_verdict(version.model, version.version, home.ledger)
    passed = sanity.status == "passed"
    value = {
        "status": "ok" if passed else "refused",
        "reason": "" if passed else sanity.sentence,
        **version.model_dump(include={"model", "version"}),
        "sanity": sanity.model_dump(),
    }
    answer(value, f"{version}: {sanity.sentence}", int(not passed))


def _show(explained: Sequence[ItemExplained], reason: str) -> None:
    explanation, *others = explained
    name = f"{explanation.model} version {explanation.version}"
    to = f"to {one_line(explanation.name)} " * bool(others)
    show_text(f"{name} answers {to}{explanation.words}")
    for other in others:
        show_text(f"  to {one_line(other.name)} {other.words}")
    if reason:
        show_text(reason)
        return
    if not others:
        of = f", of {visible(explanation.of)}" * bool(explanation.of)
        show_text(f"by occlusion, in {explanation.unit}{of}:")
        parts = explanation.parts[:_SHOWN]
        show_table([(f"{part.value:+.3g}", part.name) for part in parts], indent="  ")
    show_text(explanation.sanity.sentence)
    if explanation.output:
        show_text(explanation.output)


def generate(  # noqa: PLR0913 (options)
    model: ModelVersionArgument,
    prompt: Annotated[
        str,
        Option(
            metavar="TEXT",
            help="How the text begins; of a speech synthesis what it says: texts that "
            "it knows, separated by spaces.",
        ),
    ] = "",
    seed: Annotated[
        int | None,
        Option(metavar="N", min=0, help="Equal seeds give equal texts and sounds."),
    ] = None,
    temperature: Annotated[
        float | None,
        Option(help="0: the likeliest character; 1: by the probabilities; else 0.8."),
    ] = None,
    lines: Annotated[
        int | None, Option(metavar="N", help="How many lines to write.")
    ] = None,
    speaker: Annotated[
        str | None,
        Option(help="Of a sound: one of the model's speakers; by default the first."),
    ] = None,
    output: Annotated[
        Path | None,
        Option(help="Of a sound: a .wav, .flac or .ogg file, else speech.wav."),
    ] = None,
) -> None:
    """Write a text with a language model, or speak one.

    A speech-synthesis model writes a sound file of the prompt. The same seed and
    options give the same text or sound.
    """
    from headrace.models.logged.loading import load
    from headrace.state.ledger.records import model_of
    from headrace.tasks import task

    loaded = load(model, prepared(), at_first_use=True)
    speaks = task(loaded.description.task).speaks
    of_text = {"temperature": temperature, "lines": lines}
    of_sound = {"speaker": speaker, "output": output}
    for name, value in (of_text if speaks else of_sound).items():
        if value is not None:
            raise UsageError(
                f"--{name} is not for {model}, a model of {loaded.description.task}.",
                "Leave it out.",
            )
    wishes = {"seed": seed, "speaker": speaker, **of_text}
    given = {name: value for name, value in wishes.items() if value is not None}
    if speaks:
        _speak(loaded, model_of(model), prompt, output or Path("speech.wav"), given)
    else:
        _write(loaded, model_of(model), prompt, given)


def _speak(
    loaded: LoadedModel, name: str, text: str, output: Path, fields: dict[str, Any]
) -> None:
    """Write the sound file of a text."""
    from headrace.use.generating import say

    speech = say(loaded, text, **fields)
    speech.save(output)
    value = {
        "model": name,
        "version": loaded.version,
        "status": "ok",
        "texts": list(speech.texts),
        "speaker": fields.get("speaker", loaded.speakers[0]),
        "seconds": round(speech.seconds, 3),
        "sample_rate_hz": speech.sample_rate_hz,
        "output": str(output),
    }
    said = " ".join(speech.texts)
    answer(value, f"{output}: {said!r}, {speech.seconds:.1f} s, by {name}.")


def _write(
    loaded: LoadedModel, name: str, prompt: str, options: dict[str, Any]
) -> None:
    """Write a text on standard output, as it comes."""
    from headrace.use.generating import TextModel, TextRequest

    opened = TextModel(loaded, name)
    TextRequest(prompt=prompt)  # it is input, as any item; the others are options
    try:
        request = TextRequest(prompt=prompt, **options)
    except InputError as error:
        raise UsageError(error.message, error.action) from None
    began = time.perf_counter()
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
        "temperature": request.temperature,
        "seed": request.seed,
        "seconds": round(time.perf_counter() - began, 3),
    }
    answer(value, lambda: print("", flush=True))  # noqa: T201
