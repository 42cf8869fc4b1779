"""The picture of a robustness ladder, with the rungs of the champion beside."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.snapshots.splits import SplitRows
from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.errors import IntegrityError
from headrace.records import Metrics
from headrace.stages.evaluation.comparison import Opponent
from headrace.stages.evaluation.items import keep_items

FILE = "evaluation/rung.json"  # of a run in MLflow
_CHAMPION = "#e0900b"
_GAP = 1.0  # between families, in rungs
_ENDS = ("low", "high")
_LINES = ("score", "champion", "confidence", "as they are")
_LETTERS = 165  # of a line below the picture


def champion_rungs(opponent: Opponent, test: SplitRows) -> dict[str, Metrics]:
    """The numbers of the champion's rungs by name, as its own run has logged them.

    There are none if it was judged on other rows: then its rungs say nothing here.

    Raises:
        DependencyError: MLflow or the ledger does not answer.
    """
    number, home = opponent.champion, opponent.home
    proof = number and home.ledger.latest_evidence(opponent.model, number)
    if not proof or proof.rows_digest != keep_items(test.items(), home.store):
        return {}
    run_id = home.ledger.version(opponent.model, proof.version).run_id
    try:
        return _by_name(json.loads(home.tracking.run_file(run_id, FILE)))
    except (IntegrityError, ValueError, KeyError, TypeError):
        return {}


def _by_name(table: Any) -> dict[str, Metrics]:
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    return {
        str(row.pop("rung")): {k: float(v) for k, v in row.items() if v is not None}
        for row in rows
    }


def draw_ladder(
    rungs: Mapping[tuple[str, float], Metrics],
    champions: Mapping[tuple[str, float], Metrics],
    clean: Metrics,
    score: str,
    units: Mapping[str, str],
    path: Path,
) -> None:
    """Draw the score of each rung with its interval, and the mean confidence.

    Args:
        rungs: the numbers of each, by family and level.
        champions: those of the champion, as far as they are known.
        clean: those of the same rows as they are.
        score: the name of the score.
        units: what the levels of a family are.
        path: of the PNG.
    """
    families = list(dict.fromkeys(family for family, _ in rungs))
    figure = new_figure(10, 4.2)
    axes = figure.subplots()
    axes.axhline(clean[score], color="grey", ls="--", lw=1, label="as they are")
    left, ticks = 0.0, dict[float, str]()
    for family in families:
        own = [numbers for (name, _), numbers in rungs.items() if name == family]
        levels = [level for name, level in rungs if name == family]
        places = left + np.arange(len(levels))
        means = np.array([n[score] for n in own])
        ends = [[n.get(f"{score}_{e}", n[score]) for n in own] for e in _ENDS]
        reach = np.abs(np.nan_to_num(np.array(ends) - means))
        theirs = [champions.get((family, v), {}).get(score, np.nan) for v in levels]
        sure = [n.get("confidence", np.nan) for n in own]
        if np.isfinite(sure).any():
            axes.plot(places, sure, ":", lw=1.2, color=ACCENT, label="confidence")
        if np.isfinite(theirs).any():
            axes.plot(places, theirs, "s-", ms=3, color=_CHAMPION, label="champion")
        axes.errorbar(places, means, reach, fmt="o-", ms=3, color=INK, label="score")
        ticks |= dict(zip(places, (f"{level:g}" for level in levels), strict=True))
        middle, words = float(places.mean()), family.replace(" ", "\n")
        where = axes.get_xaxis_transform()
        axes.text(middle, 1.02, words, transform=where, fontsize=8, ha="center")
        left += len(levels) + _GAP
        if family != families[-1]:
            axes.axvline(left - (1 + _GAP) / 2, color="#c8cdd3", lw=0.8)
    axes.set_xlim(-(1 + _GAP) / 2, left - (1 + _GAP) / 2)
    axes.set_xticks([*ticks], [*ticks.values()], rotation=90)
    axes.set_ylabel(score.replace("_", " "), fontsize=8)
    axes.tick_params(labelsize=7)
    named = [f"{name}: {units[name]}" for name in families if name in units]
    axes.set_xlabel(textwrap.fill("; ".join(named), _LETTERS), fontsize=7)
    axes.grid(alpha=0.3, axis="y")
    known = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    lines = {name: known[name] for name in _LINES if name in known}
    figure.legend(lines.values(), lines, loc="outside upper right", ncols=4, fontsize=8)
    save(figure, path)
