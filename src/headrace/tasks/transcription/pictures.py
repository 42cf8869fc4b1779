"""Pictures of transcripts: alignments with their edits, and the words with most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.records import DataDescription
from headrace.tasks.transcription import decoding

SHOWN = 16  # transcripts in the picture of alignments
_WORDS_SHOWN = 20
_FEWEST_COLUMNS = 8
_POINTS = 1000  # a line has room for so many letters, divided by their size
_ADDED, _DROPPED = "#e08e1b", "#8a929c"
Row = tuple[str, str, float]


def one_row(output: Any, target: Any, data: DataDescription) -> Row:
    """The transcript, the answer and its confidence, of one row."""
    outputs = np.asarray(output)[np.newaxis]
    true = decoding.references(target[np.newaxis], data)[0]
    sure = float(decoding.confidences(outputs)[0])
    return true, decoding.texts(outputs, data)[0], sure


def draw_alignments(rows: Sequence[Row], path: Path) -> None:
    """Draw transcripts above their answers, a column a word.

    Args:
        rows: transcript, answer and confidence of each.
        path: of the PNG.
    """
    figure = new_figure(10, max(1.5, 0.55 * len(rows) + 0.4))
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) or 1, -0.4))
    aligned = [decoding.align(true.split(), answer.split()) for true, answer, _ in rows]
    columns = max([_FEWEST_COLUMNS, *map(len, aligned)])
    width = 0.94 / columns
    for number, (edits, (_, _, sure)) in enumerate(zip(aligned, rows, strict=True)):
        axes.text(0, number, f"{sure:.0%}", fontsize=8, color="grey", va="center")
        for place, edit in enumerate(edits):
            x = 0.06 + width * place
            letters = 1 + max(len(word or "") for word in edit)
            size = min(9.0, _POINTS * width / letters)
            axes.text(x, number - 0.15, edit.true or "·", fontsize=size, color=INK)
            is_right = edit.true == edit.answer
            wrong = _DROPPED if edit.answer is None else ACCENT
            wrong = _ADDED if edit.true is None else wrong
            axes.text(
                x,
                number + 0.25,
                edit.answer or "·",
                fontsize=size,
                color=INK if is_right else wrong,
                weight="normal" if is_right else "bold",
            )
    axes.set_title("said above, heard below; left: confidence", fontsize=9)
    save(figure, path)


def draw_edits(true: Sequence[str], answers: Sequence[str], path: Path) -> None:
    """Draw how often words are replaced, left out and added.

    Args:
        true: the transcripts, ``(n,)``.
        answers: of the model, ``(n,)``.
        path: of the PNG.
    """
    counts: dict[str, Counter[str]] = {"replaced": Counter()}
    counts |= {"left out": Counter(), "added": Counter()}
    pairs: Counter[str] = Counter()
    for said, heard in zip(true, answers, strict=True):
        for edit in decoding.align(said.split(), heard.split()):
            if edit.true == edit.answer:
                continue
            if edit.true is None:
                counts["added"][str(edit.answer)] += 1
            elif edit.answer is None:
                counts["left out"][edit.true] += 1
            else:
                counts["replaced"][edit.true] += 1
                pairs[f"{edit.true} > {edit.answer}"] += 1
    total = sum(counts.values(), Counter[str]())
    words = [word for word, _ in total.most_common(_WORDS_SHOWN)]
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    base = np.zeros(len(words))
    colours = {"replaced": ACCENT, "left out": _DROPPED, "added": _ADDED}
    for kind, colour in colours.items():
        heights = np.array([counts[kind][word] for word in words], float)
        left.bar(words, heights, 0.8, base, color=colour, label=kind)
        base += heights
    left.set(title=f"{total.total():,} edits, test split", ylabel="edits")
    left.legend()
    left.tick_params(
        axis="x", rotation=90 if max(map(len, words), default=0) > 3 else 0
    )
    commonest = pairs.most_common(10)[::-1]
    right.barh([name for name, _ in commonest], [n for _, n in commonest], color=ACCENT)
    right.set(title="replaced most", xlabel="times")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    save(figure, path)
