"""From raw media and one pipeline file to a production model, every step proved.

>>> import headrace
>>> outcome = headrace.run("digits", set={"training.epochs": 3})  # doctest: +SKIP
>>> model = headrace.load_champion("digits")  # doctest: +SKIP
>>> model.predict(["digit.png"])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

# What they are is in ``__init__.pyi``, for editors and type checkers.
__all__ = ["LoadedModel", "load", "load_champion", "run"]
__version__ = "1.0.0"


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "run":
        return _of_flows(name)
    if name in __all__:
        from headrace.models.logged import loading

        return getattr(loading, name)
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


def _of_flows(name: str) -> Any:
    """What the package of flows offers, which is not known here: it is above this."""
    from importlib.metadata import entry_points

    for point in entry_points(group="headrace_python", name=name):
        globals()[name] = point.load()
        return globals()[name]
    raise AttributeError(
        f"module 'headrace' has no attribute {name!r}: its installation declares no "
        "flows. Install Headrace again."
    )
