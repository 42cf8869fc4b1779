"""Plots as PNG files, such as learning curves and misclassified samples."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT = "#1f3a5f", "#d1495b"
_DPI = 110
_WIDTH = 10  # inches of a grid
_LETTERS_PER_INCH = 15  # of a caption


def load() -> None:
    """Import Matplotlib, which takes half a second."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure
    import matplotlib.font_manager
    import matplotlib.projections  # noqa: F401


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    """A figure that needs no display; its size is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def fonts_for(text: str) -> tuple[list[str], set[str]]:
    """Installed fonts for the letters of a text, and the letters that none has."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    fonts, letters = [], {letter for letter in text if not letter.isspace()}
    files = {
        entry.name: entry.fname
        for entry in sorted(font_manager.fontManager.ttflist, key=_is_regular)
        if Path(entry.fname).is_file()  # the list may be older than the fonts
    }
    for name in ("DejaVu Sans", *sorted(files)):
        if not letters:
            break
        if name.startswith("Last Resort"):  # has a box for every letter
            continue
        left = letters.difference(map(chr, FT2Font(files[name]).get_charmap()))
        if left != letters:
            fonts.append(name)
        letters = left
    return fonts, letters


def _is_regular(entry: Any) -> tuple[bool, int]:
    """Sorts last, of the faces of a family, the one that Matplotlib draws with."""
    from matplotlib.font_manager import weight_dict

    weight = weight_dict.get(entry.weight, entry.weight)  # a name or a number
    upright = (entry.style, entry.stretch) == ("normal", "normal")
    return upright, -abs(int(weight) - weight_dict["normal"])


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, its texts in fonts that have their letters."""
    from matplotlib.text import Text

    texts: list[Any] = [*figure.texts]
    for axes in figure.axes:
        texts += [axes.title, *axes.texts]
        if axes.axison:  # its labels are made when they are asked for
            texts += [*axes.get_xticklabels(), *axes.get_yticklabels()]
            texts += axes.findobj(Text)
    fonts, _ = fonts_for("".join(text.get_text() for text in texts))
    for text in texts:
        text.set_fontfamily(fonts or None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        if figure.axes and (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
            figure.set_layout_engine(None)  # else all would be drawn twice
        figure.savefig(path)


def draw_curves(
    epochs: Sequence[Mapping[str, float]], score: str, best: int, path: Path
) -> None:
    """Plot loss and score of both splits by epoch, with the model's epoch marked.

    Args:
        epochs: the metrics of each epoch, in order.
        score: the name of the score.
        best: the epoch whose weights the model has, from 1.
        path: of the PNG.
    """
    figure = new_figure(9, 3.5)
    numbers = range(1, len(epochs) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", score), strict=True):
        for split, colour in (("train", INK), ("val", ACCENT)):
            values = [epoch.get(f"{split}_{metric}", np.nan) for epoch in epochs]
            axes.plot(numbers, values, "o-", ms=3, color=colour, label=split)
        axes.axvline(best, color="grey", ls="--", lw=1, label=f"epoch {best}, kept")
        axes.set(xlabel="epoch", title=metric.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, path)


def draw_mistakes(
    samples: npt.NDArray[Any] | Sequence[Any],
    captions: Sequence[str],
    draw: Any,
    inches: tuple[float, float],
    path: Path,
    together: int = 1,
) -> None:
    """Plot a grid of samples, each drawn by its medium.

    Args:
        samples: ``(n, *shape)``, most confident first.
        captions: ``(n,)``.
        draw: the medium's ``draw_sample(axes, sample)``.
        inches: the width and the height of one sample.
        path: of the PNG.
        together: so many samples are in one row.
    """
    columns = min(int(_WIDTH / inches[0]), max(1, len(captions)))
    columns = max(together, columns - columns % together)
    rows = max(1, -(-len(captions) // columns))
    # Without a layout engine, which is slow for many axes.
    figure = new_figure(inches[0] * columns, inches[1] * rows, None)
    limit = _LETTERS_PER_INCH * inches[0]
    for number, (sample, caption) in enumerate(zip(samples, captions, strict=True)):
        row, column = divmod(number, columns)
        left, bottom = (column + 0.05) / columns, 1 - (row + 0.98) / rows
        axes = figure.add_axes((left, bottom, 0.9 / columns, 0.8 / rows))
        draw(axes, sample)
        longest = max(map(len, caption.split("\n")))
        axes.set_title(caption, fontsize=8 * min(1, limit / longest), y=1)
    save(figure, path)
