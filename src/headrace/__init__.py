"""From raw media and one pipeline file to a production model, every step proved.

>>> import headrace
>>> model = headrace.load_champion("digits")  # doctest: +SKIP
>>> model.predict(images)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel, load, load_champion

__all__ = ["LoadedModel", "load", "load_champion"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        from headrace.models.logged import loading

        return getattr(loading, name)
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")
