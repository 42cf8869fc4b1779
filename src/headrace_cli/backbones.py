"""``headrace backbone``: pretrained backbones in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from headrace.errors import UsageError
from headrace_cli.answers import answer, begin, opened, show_table, show_text
from headrace_cli.summary import show_warnings

if TYPE_CHECKING:
    from headrace.state.backbones import Backbone
    from headrace.use.backbones import AddedBackbone

_COLUMNS = ("name", "medium", "architecture", "bytes", "licence", "digest")


def backbone(
    action: Annotated[
        Literal["add", "list"], Argument(help="What to do.", metavar="ADD|LIST")
    ],
    name: Annotated[
        str | None,
        Argument(metavar="NAME", help="By which pipelines name it: minilm."),
    ] = None,
    source: Annotated[
        str | None,
        Argument(metavar="SOURCE", help="A folder, hf://OWNER/NAME or kaggle://…"),
    ] = None,
    licence: Annotated[
        str | None,
        Option(metavar="SPDX", help="Such as Apache-2.0; else what its README says."),
    ] = None,
) -> None:
    """Bring a pretrained backbone into the store, or list those it has.

    Only here is one downloaded: a run takes it from the store, and checks its digest.
    """
    if action == "list":
        if name is not None:
            raise UsageError("`headrace backbone list` takes no name.", "Leave it out.")
        _list()
    elif name is None or source is None:
        raise UsageError(
            "`headrace backbone add` takes a name and a source.",
            "Write: headrace backbone add NAME SOURCE.",
        )
    else:
        _add(name, source, licence or "")


def _add(name: str, source: str, licence: str) -> None:
    from headrace.use.backbones import add

    added = add(name, source, opened(), licence)
    value = {
        "status": "added" if added.is_new else "unchanged",
        **_row(name, added.backbone),
        "licence_before": added.licence_before,
        "left_out": list(added.left_out),
        "warnings": [one.model_dump() for one in added.warnings],
    }
    answer(value, lambda: _show(added))


def _show(added: AddedBackbone) -> None:
    one = added.backbone
    show_text(
        f"{added.name}: {one.architecture} for {one.medium}, {one.bytes / 1e6:.1f} MB, "
        f"licence {one.licence or 'unknown'}, digest {one.digest[:16]}"
    )
    if added.licence_before is not None:
        show_text(
            f"  the licence of {one.digest[:16]} is now {one.licence} (before: "
            f"{added.licence_before or 'unknown'})"
        )
    if added.left_out:
        show_text(f"  left out: {', '.join(added.left_out[:8])}")
    show_warnings((each.check, each.message) for each in added.warnings)
    show_text(f'  next: in pipeline.toml, preset = "{added.name}"')


def _list() -> None:
    from headrace.state.home import Home
    from headrace.use.backbones import listed

    settings = begin()
    known = listed(Home(settings)) if settings.has_ledger else {}
    rows = [
        _row(name, one) if one else {"name": name, "digest": None}
        for name, one in known.items()
    ]

    def show() -> None:
        show_table([[*map(row.get, _COLUMNS)] for row in rows], _COLUMNS)
        if not all(row["digest"] for row in rows):
            show_text("Without a digest, its record is gone: add it again.")
        if not rows:
            show_text("There is none yet: headrace backbone add NAME SOURCE")

    answer({"backbones": rows}, show)


def _row(name: str, one: Backbone) -> dict[str, Any]:
    return {
        "name": name,
        **one.model_dump(mode="json", exclude={"files"}),
        "bytes": one.bytes,
    }
