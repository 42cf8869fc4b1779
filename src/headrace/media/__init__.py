"""Media: all that differs between images, texts and sounds, a package each.

A package is found by its name and has an object ``MEDIUM`` of a subclass of `Medium`.
`forms` has the types that all of them use.
"""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from headrace.errors import SpecError
from headrace.imports import extensions
from headrace.pipeline.data import fields_of, media_fields

if TYPE_CHECKING:
    import numpy as np

    from headrace.media.forms import Columns, Payload
    from headrace.media.interface import Medium
    from headrace.pipeline import DataSpec
    from headrace.records import DataDescription, Form


class Ladder(Protocol):
    """The robustness ladder: a module ``ladder`` in a medium's package, or none.

    It changes items in ways that happen in use, each in several degrees.

    Attributes:
        UNITS: what the levels of each family are, by its name.
        LEVELS: those of the families whose levels are the same for all data.
    """

    UNITS: dict[str, str]
    LEVELS: dict[str, tuple[float, ...]]

    def rungs(self, data: DataDescription) -> list[tuple[str, float]]:
        """Families and levels that suit the data."""

    def shifted(
        self,
        items: Payload,
        family: str,
        level: float,
        data: DataDescription,
        random: np.random.Generator,
    ) -> Payload:
        """Items ``(n, *shape)`` as in a snapshot, after one shift.

        Raises:
            ValueError: there is no such family.
        """


class Augmentation(Protocol):
    """Varies items in training: a module ``augmentation`` in a medium's package.

    The fields are the medium's constant ``AUGMENT``. The training itself knows
    ``mixup``, which mixes rows and their targets, where a medium lists it.
    """

    def augment(self, items: Any, keys: Any, fields: Mapping[str, Any]) -> Any:
        """Items of a batch, changed at random, by operations that XLA compiles.

        Args:
            items: what the network takes, a tensor ``(batch, ...)``; float32 values
                before the pre-processing, of a medium that is not `Medium.CACHED`.
            keys: what the random numbers of each row follow from, int64 ``(batch,)``.
            fields: those of ``[training.augment]`` that are set.

        Returns:
            items of the same shape and type.
        """


def augmentation(name: str) -> Augmentation:
    """The augmentation of a medium that has ``AUGMENT``."""
    package = extensions.modules("media")[name]
    return cast(Augmentation, importlib.import_module(f"{package}.augmentation"))


def ladder(name: str) -> Ladder | None:
    """The robustness ladder of a medium; None where it has none."""
    package = extensions.modules("media")[name]
    path = extensions.path_of(package)
    if path.name != "__init__.py" or not path.with_name("ladder.py").is_file():
        return None
    return cast(Ladder, importlib.import_module(f"{package}.ladder"))


def medium(name: str) -> Medium:
    """The object of a medium, such as ``headrace.media.image.MEDIUM``."""
    return cast("Medium", extensions.load("media", name).MEDIUM)


def form_of(data: DataSpec, name: str) -> Form:
    """The form that a pipeline of a medium declares; see `Medium.form_of`.

    Raises:
        SpecError: it is no form of the medium, or a field of another one is set.
    """
    for field in media_fields():
        value = getattr(data, field)
        if value not in (None, ()) and field not in fields_of(name):
            problem = f"{value!r}, which is not a field of the medium {name}"
            raise SpecError(
                f"data.{field} is {problem}.",
                "Leave it out, or set the medium that it belongs to.",
            )
    return medium(name).form_of(data)


def check_form(data: DataSpec, name: str) -> None:
    """Refuse a form that `form_of` refuses, without loading libraries for data.

    That of a medium without a module ``form`` is refused where its data is read.

    Raises:
        SpecError: it is no form of the medium.
    """
    package = extensions.path_of(extensions.modules("media")[name])
    path = package.with_name("form.py")
    if package.name == "__init__.py" and path.is_file():
        runpy.run_path(str(path))["form_of"](data)


def advice(name: str, checks: Mapping[str, int]) -> str:
    """What a medium advises about the check that most items fail; may be empty.

    Args:
        name: of the medium.
        checks: the number of items that fail each.
    """
    most = max(checks, key=checks.__getitem__, default="")
    return medium(name).ADVICE.get(most, "")


def preprocessing(data: DataDescription) -> Any:
    """The medium's default pre-processing: a Keras model from raw items."""
    return medium(data.medium).preprocessing(data)


def item_columns(items: Payload, data: DataDescription) -> Columns:
    """The medium's columns that can be compared between sets of items.

    They are numbers and flags, and depend on their item alone. Columns that depend on
    the other items of a set (`Medium.RELATIVE_COLUMNS`), on its label, or that are
    codes or words are left out.

    Args:
        items: ``(n, *shape)``, as in a snapshot.
        data: of the version.

    Returns:
        arrays ``(n,)`` of numbers or bool.
    """
    module = medium(data.medium)
    columns = module.columns(items, [""] * len(items), data)
    return {name: columns[name] for name in comparable(columns, data)}


def comparable(columns: Columns, data: DataDescription) -> list[str]:
    """The names of those columns of a medium, of all that it computes."""
    left_out = {"fingerprint", *medium(data.medium).RELATIVE_COLUMNS}
    return [
        name
        for name, values in columns.items()
        if values.dtype.kind in "biuf" and name not in left_out
    ]
