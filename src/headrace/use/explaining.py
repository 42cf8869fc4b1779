"""Explains the answer of a version to one item, or to some on a page."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.data.snapshots.reading import find_snapshot
from headrace.data.snapshots.splits import SplitRows, rows_at
from headrace.data.sources.opening import open_source
from headrace.errors import (
    NotFoundError,
    Refusal,
    SourceError,
    UsageError,
    did_you_mean,
)
from headrace.explanations import Item, Verdict, occlude, why_not
from headrace.explanations.check import Explanation, version_verdict
from headrace.explanations.showing import ShownItem, draw_maps, write_page
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.media.interface import digests
from headrace.models.logged.loading import LoadedModel, answers, load
from headrace.records import DataDescription
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.state.ledger.records import model_of
from headrace.tasks import task
from headrace.tasks.forms import some
from headrace.use.rows import decoded_rows, reading_of

if TYPE_CHECKING:
    from headrace.settings import Settings

_SHOWN = 20
_PAGE, _MOST_ITEMS = ".html", 50

log = logging.getLogger("headrace")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class ItemExplained(Explanation):
    """The explanation of the answer to one item.

    Attributes:
        item: sha256 of the decoded item, as `headrace score` writes it.
        name: of the item in its source; empty for an item of the test split and a text.
        output: the picture or the page; empty where none was written.
    """

    item: str
    name: str
    output: str
    seconds: float


def explain(
    name: str,
    item: str,
    settings: Settings,
    *,
    output: Path | None = None,
    of: str = "",
) -> list[ItemExplained]:
    """Explain the answer of a version to an item, or to several on a page.

    Nothing is explained, and nothing written, unless the version has passed its check:
    then there are answers alone.

    Args:
        name: ``MODEL``, which is its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        item: a file; the digest of an item of the version's test split, or its first 8
            digits or more; or, of a model of texts, the text itself. For a page also a
            folder or another source, of which the first 50 items are explained, some
            of each sub-folder.
        settings: where the model is.
        output: a .png file for the map over the item, or an .html file for a page.
        of: the class or tag that is explained; empty: what the model answers.

    Raises:
        Refusal: the answers of the version are not explained.
        UsageError: the output is no such file in a folder, or the version has no such
            class or tag.
        NotFoundError: there is no such version or item.
        SourceError, InputError: the item cannot be used.
        IntegrityError: the model's file, or the snapshot, is gone or changed.
    """
    started = time.perf_counter()
    _check_output(output)
    loaded = load(name, settings, at_first_use=True)
    data = loaded.description
    if reason := why_not(data):
        raise Refusal(f"{name}: not explained: {reason}.")
    answer = _place(of, name, data) if of else None
    most = _MOST_ITEMS if output is not None and output.suffix.lower() == _PAGE else 1
    items, names = _read_items(item, loaded, name, settings, most)
    sanity = version_verdict(model_of(name), loaded.version, Home(settings).ledger)
    written = str(output or "") if sanity.status == "passed" else ""
    explained, shown = list[ItemExplained](), list[ShownItem]()
    for place, own in enumerate(names):
        began = time.perf_counter() if place else started
        stored = items[place : place + 1]
        fields, drawn = _explained(stored, own, answer, loaded, sanity)
        fields |= {"model": model_of(name), "output": written}
        shown += drawn
        seconds = round(time.perf_counter() - began, 2)
        explained.append(ItemExplained(**fields, seconds=seconds))
    if output is not None and shown:
        about = f"{model_of(name)} version {loaded.version}. {sanity.sentence}"
        _draw(shown, data, output, about)
    return explained


def _explained(
    stored: Payload,
    name: str,
    answer: int | None,
    loaded: LoadedModel,
    sanity: Verdict,
) -> tuple[dict[str, Any], list[ShownItem]]:
    """The fields of an explanation that are of its item, and what is drawn of it."""
    data = loaded.description
    module, learned = medium(data.medium), task(data.task)
    outputs = answers(loaded.model, module.raw(stored))
    words = learned.explained.words(outputs[0], data)
    write = learned.answers.json_writer(data)
    fields: dict[str, Any] = {
        "version": loaded.version,
        "answer": json.loads("{" + write(outputs[0]) + "}"),
        "words": words,
        "unit": learned.explained.UNIT,
        "sanity": sanity,
        "name": name,
        "item": bytes(digests(stored, module)).hex(),
    }
    if sanity.status != "passed":
        return fields, []
    if answer is None:
        answer = int(learned.explained.chosen(outputs)[0])
    one = Item.of(stored[0], answer, data)
    (values,) = occlude(partial(answers, loaded.model), [one], data)
    names = learned.explained.names(data)
    fields |= {"of": names[answer] if names else "", "parts": one.parts(values)}
    return fields, [ShownItem.of(name or "answer", words, one, values)]


def _place(of: str, name: str, data: DataDescription) -> int:
    """The place of a class or tag among the answers of a version."""
    names = list(task(data.task).explained.names(data))
    if of not in names:
        listed = f"It has {some(names, _SHOWN)}." if names else "Leave --of out."
        raise UsageError(
            f"--of: {name} has no answer {of!r}.", did_you_mean(of, names, listed)
        )
    return names.index(of)


def _check_output(output: Path | None) -> None:
    if output is None:
        return
    if output.suffix.lower() not in (".png", _PAGE):
        raise UsageError(
            f"--output: {output} is not a .png file.",
            f"Give a name that ends in .png, or in {_PAGE} for a page.",
        )
    if not output.parent.is_dir():
        raise UsageError(
            f"--output: the folder {output.parent} does not exist.",
            "Make it, or give another place.",
        )
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise UsageError(
            f"--output: {output} cannot be written: it is a folder, or in one that may "
            "not be written to.",
            "Give another place.",
        )


def _draw(
    shown: Sequence[ShownItem], data: DataDescription, output: Path, about: str
) -> None:
    """Write the maps of items, whole or not at all."""
    draw: Callable[..., None] = draw_maps
    if output.suffix.lower() == _PAGE:
        draw = partial(write_page, about=about)
    with disk_errors(str(output.parent)):
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            drawn = Path(place) / "map.png"
            draw(shown, data, drawn)
            with atomic_file(output) as temporary:
                temporary.write_bytes(drawn.read_bytes())


def _read_items(
    item: str, loaded: LoadedModel, name: str, settings: Settings, most: int
) -> tuple[Payload, list[str]]:
    """The item, or the first ``most`` of a source, ``(n, *shape)``; and their names."""
    data = loaded.description
    module = medium(data.medium)
    wanted = (
        f"Give a file with one item of the medium {data.medium}, or the sha256 of an "
        "item of the test split."
    )
    if Path(item).exists() or "://" in item:
        return _first_items(item, loaded, settings, wanted, most)
    if _DIGEST.fullmatch(item):
        return _of_test_split(item, loaded, name, settings), [""]
    if module.IS_TEXT:
        return module.as_stored(module.check_input([item], data), data), [""]
    return _first_items(item, loaded, settings, wanted, most)


def _first_items(
    uri: str, loaded: LoadedModel, settings: Settings, wanted: str, most: int
) -> tuple[Payload, list[str]]:
    """The first items of a source and their names; the log has what is left out."""
    data = loaded.description
    reading = replace(reading_of(loaded), in_turn=True, advice=wanted)
    parts, names, problems = list[Payload](), list[str](), list[str]()
    count = 0
    try:
        with open_source(uri, settings, reading) as source:
            for rows in decoded_rows(source, data):
                good = [n for n in range(len(rows.names)) if n not in rows.rejected]
                parts.append(rows.payload[good])
                names += [rows.names[place] for place in good]
                problems += [
                    f"{why.name if most > 1 else uri} cannot be used: {why.check}: "
                    f"{why.reason}."
                    for why in rows.rejected.values()
                ]
                count += len(rows.names)
                if count > most:
                    break
    except NotFoundError as error:
        raise NotFoundError(error.message, wanted) from error
    if not count or (most == 1 and count > 1):
        action = f"{wanted} With --output NAME{_PAGE}, several items are explained."
        raise SourceError(
            f"{uri} has {'more than one' if count else 'no'} item.", action
        )
    if not names:
        raise SourceError(problems[0], wanted)
    if count > most:
        each = " of each sub-folder" * (source.kind == "folder" and "/" in names[0])
        problems.append(
            f"{uri} has more than {most} items; the first{each} are explained."
        )
    for problem in problems:
        log.warning("explain: %s", problem)
    return np.concatenate(parts)[:most], names[:most]


def _of_test_split(
    digest: str, loaded: LoadedModel, name: str, settings: Settings
) -> Payload:
    """The item of the test split whose sha256 begins so."""
    home = Home(settings)
    version = home.ledger.version(model_of(name), loaded.version or 0)
    snapshot = find_snapshot(home.store, version.snapshot_digest)
    if snapshot is None:
        raise NotFoundError(
            f"The data of {name} is no longer in the store, so that {digest} cannot "
            "be looked up.",
            "Give a file.",
        )
    rows = SplitRows(snapshot, "test")
    for row, own in enumerate(rows.items().tolist()):
        if own.ljust(32, b"\0").hex().startswith(digest):
            ((_, part),) = rows_at(rows, [row])
            items: Payload = part.items
            return items
    raise NotFoundError(
        f"No item of the test split of {name} has a digest that begins with {digest}, "
        "and there is no such file.",
        "`headrace score` writes the digests of items.",
    )
