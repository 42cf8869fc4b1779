"""Explains the answer of a version to one item."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headrace.data.decoding import Limits
from headrace.data.snapshots.reading import recorded_snapshot
from headrace.data.snapshots.rows import rows_at
from headrace.data.snapshots.splits import SplitRows
from headrace.data.sources.opening import open_source
from headrace.errors import (
    NotFoundError,
    Refusal,
    SourceError,
    UsageError,
    did_you_mean,
)
from headrace.explanations import METHODS, Explainer, Item, Verdict, why_not
from headrace.explanations.parts import Explanation, strongest
from headrace.explanations.showing import ShownItem, draw_maps
from headrace.explanations.verdict import sanity_of
from headrace.media import medium
from headrace.media.arrow import digests
from headrace.media.chunks import Reading
from headrace.media.forms import Payload
from headrace.models.logged.loading import LoadedModel, answers, load
from headrace.records import DataDescription
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.state.ledger.holding import checking_maps, wait_for_maps
from headrace.state.ledger.rows import model_of
from headrace.tasks import task
from headrace.tasks.forms import some
from headrace.use.scoring.rows import decoded_rows

if TYPE_CHECKING:
    from headrace.settings import Settings

Choice = Literal["", "gradients", "occlusion"]
_SHOWN = 20
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class ItemExplained(Explanation):
    """The explanation of the answer to one item.

    Attributes:
        item: sha256 of the decoded item, as `headrace score` writes it.
        output: the picture; empty where none was asked for.
    """

    item: str
    output: str
    seconds: float


def explain(  # noqa: PLR0913
    name: str,
    item: str,
    settings: Settings,
    *,
    is_text: bool = False,
    output: Path | None = None,
    method: Choice = "",
    of: str = "",
    unchecked: bool = False,
) -> ItemExplained:
    """Explain the answer of a version to an item.

    Args:
        name: ``MODEL``, which is its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        item: a file; the digest of an item of the version's test split, or its first 8
            digits or more; or the text itself.
        settings: where the model is.
        is_text: whether ``item`` is the text itself.
        output: a .png file for the map over the item.
        method: of `METHODS`; empty: the first that passed its check.
        of: the class or tag that is explained; empty: what the model answers.
        unchecked: whether a method may be used that was not checked. One that failed
            never is.

    Raises:
        Refusal: the answers of the version are not explained.
        UsageError: the output is no .png file in a folder, the item is no text, or the
            version has no such class or tag.
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
    stored = _read_item(item, loaded, name, settings, is_text=is_text)
    module, learned = medium(data.medium), task(data.task)
    outputs = answers(loaded.model, module.raw(stored))
    explainer = Explainer(loaded.model, data)
    sanity = _sanity(model_of(name), loaded.version, settings)
    chosen_method = _choose(explainer, sanity, method, unchecked=unchecked)
    words, of_map = learned.explained.words(outputs[0], data), dict[str, Any]()
    if chosen_method:
        if answer is None:
            answer = int(learned.explained.chosen(outputs)[0])
        names = learned.explained.names(data)
        of_map["of"] = names[answer] if names else ""
        one = Item.of(stored[0], answer, data)
        map_ = explainer.maps([one], chosen_method)[0]
        of_map["parts"] = strongest(map_, one.pieces, most=None)
        if chosen_method == "gradients":
            of_map["completeness_error"] = map_.error
        if output is not None:
            maps = {METHODS[chosen_method]: map_.values}
            _draw(ShownItem("answer", words, stored[0], maps, ()), data, output)
    write = learned.answers.json_writer(data)
    return ItemExplained(
        model=model_of(name),
        version=loaded.version,
        item=bytes(digests(stored, module)).hex(),
        answer=json.loads("{" + write(outputs[0]) + "}"),
        words=words,
        method=chosen_method,
        unit=learned.explained.UNIT,
        sanity=sanity,
        output=str(output) if output is not None and chosen_method else "",
        seconds=round(time.perf_counter() - started, 2),
        **of_map,
    )


def _sanity(model: str, version: int | None, settings: Settings) -> dict[str, Verdict]:
    """The verdict on each method, after a check that is being made."""
    sanity = sanity_of(model, version, settings)
    is_open = all(one.status == "unchecked" for one in sanity.values())
    if version is not None and is_open:
        if wait_for_maps(settings, checking_maps(model, version)):
            return sanity_of(model, version, settings)
    return sanity


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
    if output.suffix.lower() != ".png":
        raise UsageError(
            f"--output: {output} is not a .png file.", "Give a name that ends in .png."
        )
    if not output.parent.is_dir():
        raise UsageError(
            f"--output: the folder {output.parent} does not exist.",
            "Make it, or give another place.",
        )


def _draw(shown: ShownItem, data: DataDescription, output: Path) -> None:
    """Write the map of one item, whole or not at all."""
    with disk_errors(str(output.parent)):
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            drawn = Path(place) / "map.png"
            draw_maps([shown], data, drawn)
            with atomic_file(output) as temporary:
                temporary.write_bytes(drawn.read_bytes())


def _choose(
    explainer: Explainer,
    sanity: Mapping[str, Verdict],
    method: Choice,
    *,
    unchecked: bool,
) -> Choice:
    """The method to use; empty if none may be."""
    if method and method not in explainer.methods:
        raise UsageError(
            f"--method {method}: the model cannot be explained by it: "
            f"{explainer.no_gradients}.",
            "Leave it out.",
        )
    allowed = {"passed", "unchecked"} if unchecked else {"passed"}
    for choice in [method] if method else explainer.methods:
        if sanity[choice].status in allowed:
            return choice
    return ""


def _read_item(
    item: str, loaded: LoadedModel, name: str, settings: Settings, *, is_text: bool
) -> Payload:
    """The item in stored form, ``(1, *shape)``."""
    data, settings = loaded.description, settings.limited(loaded.max_item_bytes)
    module = medium(data.medium)
    if is_text:
        if not module.IS_TEXT:
            raise UsageError(
                f"--text: the items of {name} are of the medium {data.medium}.",
                "Give a file.",
            )
        return module.as_stored(module.check_input([item], data), data)
    if _DIGEST.fullmatch(item) and not Path(item).exists():
        return _of_test_split(item, loaded, name, settings)
    wanted = (
        f"Give a file with one item of the medium {data.medium}, or the sha256 of an "
        "item of the test split."
    )
    if module.IS_TEXT:
        wanted += " With --text, ITEM is the text itself."
    reading = Reading(data.medium, data.task, labelled=False, advice=wanted)
    try:
        with open_source(item, settings, reading) as source:
            rows = next(decoded_rows(source, data, Limits.of(settings), 2), None)
    except NotFoundError as error:
        raise NotFoundError(error.message, wanted) from error
    if rows is None or len(rows.names) != 1:
        count = "no item" if rows is None else "more than one item"
        raise SourceError(f"{item} has {count}.", wanted)
    if rows.rejected:
        why = rows.rejected[0]
        message = f"{item} cannot be used: {why.check}: {why.reason}."
        raise SourceError(message, wanted)
    return rows.payload


def _of_test_split(
    digest: str, loaded: LoadedModel, name: str, settings: Settings
) -> Payload:
    """The item of the test split whose sha256 begins so."""
    anchored = Home(settings).anchored
    version = anchored.ledger.version(model_of(name), loaded.version or 0)
    snapshot = recorded_snapshot(anchored, version.snapshot_digest)
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
