"""The pictures and the listed items of a run, as its report shows them."""

from __future__ import annotations

import base64
import json
import logging
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.errors import HeadraceError
from headrace.explanations.showing import NAME, TITLE
from headrace.stages.ingredients import FILE
from headrace.state.tracking import Tracking
from headrace.tasks import Task

FOLDER = "pictures"
_CAPTIONS = {
    "curves": "Loss and score by epoch; the model has the weights of the epoch marked.",
    "groups": "The score of each group, with the interval of that group alone.",
    "robustness": "Robustness: the score of test items after changes that happen in "
    "use, with its interval, and the mean confidence.",
}
_PNG = b"\x89PNG\r\n\x1a\n"
log = logging.getLogger("headrace")


class Picture(NamedTuple):
    """A picture of the page.

    Attributes:
        uri: its bytes.
        width, height: in pixels.
    """

    name: str
    caption: str
    uri: str
    width: int
    height: int

    @classmethod
    def of(cls, name: str, caption: str, data: bytes) -> Picture | None:
        """A picture of the bytes of a file; None if they are no PNG."""
        if data[:8] != _PNG or len(data) < 24:
            return None
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return cls(name, caption, uri, *struct.unpack(">II", data[16:24]))


def pictured(run_id: str | None, learned: Task, tracking: Tracking) -> dict[str, Any]:
    """Variables of the template: pictures, listed items, maps, and ingredients.

    What MLflow cannot provide is logged and left out.

    Args:
        run_id: of the training; None if there was none.
        learned: the task.
        tracking: where its files are.
    """
    files: dict[str, bytes] = {}
    ingredients: dict[str, Any] = {}
    try:
        if run_id is not None:
            files = tracking.run_files(run_id, FOLDER)
            ingredients = json.loads(tracking.run_file(run_id, FILE))
    except HeadraceError as error:
        log.warning("the report has not all of its pictures: %s", error)
    captions = {**learned.pictures, **_CAPTIONS}
    lists = {
        "mistakes": learned.mistakes,
        "weak_slices": "Bad answers to weak slices",
    }
    drawn = {
        name: picture
        for name, caption in {**captions, **lists}.items()
        if (picture := Picture.of(name, caption, files.get(f"{name}.png", b"")))
    }
    return {
        "pictures": [drawn[name] for name in captions if name in drawn],
        "drawn": drawn,
        "items": {
            name: {"title": title, **table}
            for name, title in lists.items()
            if (table := _table(name, files))
        },
        "maps": {
            "picture": Picture.of(NAME, TITLE, files.get(f"{NAME}.png", b"")),
            "table": _table(NAME, files),
        },
        "ingredients": ingredients,
    }


def _table(name: str, files: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Listed items; None where there are none."""
    table: dict[str, Any] | None = json.loads(files.get(f"{name}.json", b"null"))
    return table if table and table["rows"] else None
