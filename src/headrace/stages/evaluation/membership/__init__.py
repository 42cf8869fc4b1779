"""Membership inference: can it be told which rows a model learned from?

An attacker who has a row and its label takes a low loss for a sign that the model
learned from the row. Some rows are easy for every model. So the loss is compared with
that of reference models, which were trained in the same way on other halves of the
data: those that did not learn from the row say how difficult it is.

Source: L. Watson, C. Guo, G. Cormode, A. Sablayrolles, On the importance of difficulty
calibration in membership inference attacks, ICLR 2022. That the rate at few false
alarms matters beside the area: N. Carlini and others, Membership inference attacks from
first principles, IEEE Symposium on Security and Privacy 2022.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.errors import Refusal, SpecError
from headrace.models import builder_name
from headrace.records import ContractRecord, Finding, SnapshotRecord
from headrace.stages.evaluation.answers import Look
from headrace.stages.evaluation.membership.references import (
    LEAST_ROWS,
    AttackedRows,
    ReferenceRecipe,
    losses_of,
    losses_of_references,
)
from headrace.state.home import Home
from headrace.tasks.forms import Context
from headrace.tasks.judging import z_of

Numbers = npt.NDArray[np.float64]

FALSE_ALARMS = 0.01
NOT_ASKED = 'set depth = "full" in [evaluation]'
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class Membership:
    """How well it is told which rows a model learned from.

    Attributes:
        auc, low, high: the area under the ROC curve, 0.5 for guessing, and its
            interval.
        hits: the share of learned rows that are told with 1 % of false alarms; None
            with fewer than 100 other rows.
        members, others: the numbers of rows.
    """

    auc: float
    low: float
    high: float
    hits: float | None
    members: int
    others: int


def attack(
    context: Context,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    home: Home,
    folder: Path,
) -> Membership | str:
    """Attack a model, if its pipeline asks for full depth.

    Args:
        context: the model and its data.
        snapshot, contract: the data, for the reference models.
        home: has the losses of reference models that were trained before.
        folder: of the pipeline, which may have a builder of its own.

    Returns:
        how well members can be told; or a sentence why it was not measured.

    Raises:
        IntegrityError: the snapshot is damaged.
        DependencyError: the store, the ledger or the disk failed.
    """
    spec = context.spec
    if spec.evaluation.depth != "full":
        return NOT_ASKED
    rows = AttackedRows(context.train, context.test)
    if not rows.is_enough:
        return f"membership inference needs {LEAST_ROWS} rows of train and of test"
    own = losses_of(context.model, rows, context.data, spec.training, home)
    if own is None:
        return f"a model for {spec.task} shows no loss of a row in its answers"
    builder = builder_name(spec)
    recipe = ReferenceRecipe(spec, builder, folder, snapshot, contract, home)
    try:
        others = losses_of_references(recipe, rows, home.store)
    except (Refusal, SpecError) as error:
        return f"a reference model could not be trained: {error.message}"
    difficulty = np.where(rows.inside, np.nan, others)
    scores = np.nanmean(difficulty, axis=1) - own
    if not np.isfinite(scores).all():
        return "the losses of some rows are not finite"
    members, strangers = scores[rows.is_member], scores[~rows.is_member]
    auc, low, high = auc_interval(members, strangers, spec.evaluation.confidence)
    hits = hits_at(members, strangers, FALSE_ALARMS)
    return Membership(auc, low, high, hits, len(members), len(strangers))


def figures_of(membership: Membership | str) -> Look:
    """The metrics of an attack, or a warning where it was asked for and failed."""
    if isinstance(membership, str):
        if membership == NOT_ASKED:
            return Look()
        log.warning("evaluate: membership inference was not measured: %s", membership)
        message = f"membership inference was not measured: {membership}"
        findings = [Finding(check="membership", message=message)]
        return Look(findings=findings)
    metrics = {
        "membership_auc": membership.auc,
        "membership_auc_low": membership.low,
        "membership_auc_high": membership.high,
    }
    if membership.hits is not None:
        metrics["membership_tpr_at_1pct"] = membership.hits
    return Look(metrics)


def auc_interval(
    high: Numbers, low: Numbers, confidence: float
) -> tuple[float, float, float]:
    """The chance that a number of one sample is above one of the other: the area.

    Sources: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the areas under
    two or more correlated receiver operating characteristic curves, Biometrics 44
    (1988); by ranks, X. Sun, W. Xu, Fast implementation of DeLong's algorithm, IEEE
    Signal Processing Letters 21 (2014).

    Args:
        high: finite numbers that should be larger, ``(m,)``, at least two.
        low: those that should be smaller, ``(n,)``, at least two.
        confidence: of the interval.

    Returns:
        the area, ties counted as half, and its bounds within 0 and 1.
    """
    from scipy.stats import rankdata

    rows, others = len(high), len(low)
    together = rankdata(np.concatenate([high, low]))
    # For each number, the share of the other sample that it is on the right side of.
    above = (together[:rows] - rankdata(high)) / others
    below = 1 - (together[rows:] - rankdata(low)) / rows
    area = float(above.mean())
    variance = above.var(ddof=1) / rows + below.var(ddof=1) / others
    half = z_of(confidence) * math.sqrt(variance)
    return area, max(0.0, area - half), min(1.0, area + half)


def hits_at(high: Numbers, low: Numbers, false_alarms: float) -> float | None:
    """The share of one sample above a bound that few of the other are above.

    Args:
        high: numbers that should be above it, ``(m,)``.
        low: those that should not, ``(n,)``.
        false_alarms: the largest share of ``low`` that may be.

    Returns:
        None where ``low`` has too few numbers for one false alarm.
    """
    allowed = int(false_alarms * len(low))
    if not allowed:
        return None
    bound = np.sort(low)[-allowed - 1]
    return float((high > bound).mean())
