"""Error rates, power and estimates of drift: ``docs/explanation/drift.md``.

Run it with ``python -m tests.benchmarks.drift digits/1 messages/1``, in a home that has
these versions. Each simulation divides a version's held-out rows anew into a reference
and a window, so that windows without a shift are exchangeable with the reference. The
seeds are fixed. ``--windows 2000`` is the default.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.drift.comparison import compare
from headrace.drift.estimate import estimate
from headrace.drift.labels import judge_labels
from headrace.drift.profile import HeldOut, Profile, ProfileFacts, make_profile
from headrace.drift.windows import Window, item_columns
from headrace.media import ladder, medium
from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription
from headrace.tasks import task
from headrace.tasks.forms import Outputs

Shift = tuple[str, float]
NONE: Shift = ("none", 0.0)
ITEMS = 200
REFERENCE = 1000
BOUND = 0.9
MEANS = (0.9, 0.87, 0.85, 0.8, 0.7)
SHIFTS: dict[str, list[Shift]] = {
    "image": [
        ("noise", 10),
        ("noise", 25),
        ("blur", 0.5),
        ("blur", 0.7),
        ("rotation", 10),
        ("rotation", -10),
        ("rotation", 20),
        ("rotation", -20),
        ("shift right", 1),
        ("shift down", 1),
        ("shift right", 2),
        ("shift down", -2),
        ("shift right", 3),
        ("brightness", 0.8),
        ("inversion", 0.25),
        ("inversion", 1),
    ],
    "text": [
        ("typos", 0.05),
        ("typos", 0.2),
        ("upper case", 1),
        ("dropped words", 0.5),
        ("truncation", 0.5),
        ("truncation", 0.25),
    ],
    "audio": [
        ("noise", 30),
        ("noise", 10),
        ("gain", -6),
        ("speed", 1.25),
        ("shift", 0.1),
        ("low-pass", 0.4),
    ],
}


@dataclass(frozen=True)
class Case:
    """A version, its held-out rows, and what it answers to them after each shift."""

    name: str
    data: DataDescription
    answer: Callable[[Payload], Outputs]
    rows: HeldOut
    columns: dict[Shift, Columns]
    outputs: dict[Shift, Outputs]

    def scores(self, shift: Shift = NONE) -> np.ndarray:
        judge = task(self.data.task).judge
        judged = judge.judged(self.outputs[shift], self.rows.targets, self.data)
        return np.asarray(judged.scores, np.float64)

    def window(self, shift: Shift, rows: np.ndarray) -> Window:
        columns = {name: v[rows] for name, v in self.columns[shift].items()}
        return Window(columns, self.outputs[shift][rows])

    def bare_profile(self, rows: np.ndarray) -> Profile:
        """A profile without a ladder: enough to compare windows with."""
        scores = self.scores()[rows]
        facts = ProfileFacts(
            model_digest="",
            description=self.data,
            rows=len(rows),
            temperature=None,
            score=float(scores.mean()),
            low=0,
            high=1,
            estimated=None,
            rungs=(),
        )
        columns = {name: v[rows] for name, v in self.columns[NONE].items()}
        outputs = self.outputs[NONE][rows]
        return Profile(facts, columns, outputs, scores, self.rows.digests[rows])

    def profile(self, rows: np.ndarray) -> Profile:
        """A whole profile of some rows."""
        parts = (getattr(self.rows, f.name)[rows] for f in dataclasses.fields(HeldOut))
        return make_profile(self.answer, HeldOut(*parts), self.data, "")


def open_case(name: str) -> Case:
    """Load a version and its held-out rows, each item once, and shift them."""
    from headrace.models.logged.loading import answers, load_version
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger
    from headrace.state.store import Store
    from headrace.state.tracking import Tracking

    settings = Settings()
    version = Ledger(settings.database_url).find(name)
    model = load_version(Tracking(settings), version)
    rows = held_out(Store(settings.store), version.snapshot_digest)
    data = model.description
    module, steps = medium(data.medium), ladder(data.medium)
    columns = {NONE: item_columns(rows.items, data)}
    outputs = {NONE: answers(model.model, module.raw(rows.items))}
    for shift in SHIFTS[data.medium]:
        random = np.random.default_rng(1)
        items = steps.shifted(rows.items, *shift, data, random)
        columns[shift] = item_columns(items, data)
        outputs[shift] = answers(model.model, module.raw(items))

    def answer(items: Payload) -> Outputs:
        return answers(model.model, items)

    return Case(name, data, answer, rows, columns, outputs)


def held_out(store, digest: str) -> HeldOut:
    """The rows of test and val of a snapshot, without quarantined ones."""
    from headrace.data.snapshots.reading import find_snapshot
    from headrace.data.snapshots.splits import SplitRows, read_split

    snapshot = find_snapshot(store, digest)
    files = [n for n in store.names("quarantine") if n.startswith(digest[:16])]
    uri = store.uri(f"quarantine/{files[0]}") if files else ""
    parts = []
    for split in ("test", "val"):
        items, targets, *_ = read_split(snapshot, split, uri)
        digests = SplitRows(snapshot, split, uri).items()
        names = np.array([digest.hex() for digest in digests], object)
        parts.append((items, targets, names, np.full(len(names), split == "val")))
    rows = [np.concatenate(part) for part in zip(*parts, strict=True)]
    first = np.unique(rows[2].astype(str), return_index=True)[1]
    return HeldOut(*(part[first] for part in rows))


def divisions(case: Case, count: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Rows of a reference and of a window, again and again."""
    rows = len(case.rows.targets)
    size = min(ITEMS, rows // 3)
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(rows)
        yield order[: min(REFERENCE, rows - size)], order[-size:]


def alarms(case: Case, shift: Shift, windows: int) -> dict[str, float]:
    """The share of windows that alarm, by any test, by inputs, and by answers."""
    found = np.zeros(3)
    for reference, rows in divisions(case, windows):
        result = compare(case.bare_profile(reference), case.window(shift, rows))
        subjects = (None, "inputs", "answers")
        found += [bool(result.drifted(subject)) for subject in subjects]
    return dict(zip(("any", "inputs", "answers"), found / windows, strict=True))


def family_of(case: Case, shift: Shift) -> tuple[str, ...]:
    """Families that are the same kind of shift."""
    kind = shift[0].split()[0]
    return tuple(f for f in ladder(case.data.medium).UNITS if f.split()[0] == kind)


def estimates(case: Case, profiles: int) -> Iterable[str]:
    """How often windows are estimated, and how wrong, with all families and without."""
    made = [
        (case.profile(reference), rows) for reference, rows in divisions(case, profiles)
    ]
    limits = [estimate(p, case.window(NONE, rows)).limit for p, rows in made]
    yield f"limit of the distance: median {np.median(limits):.3f}"
    yield "shift | true | distance | estimated | mean error | worst | covers | left out"
    covered: list[tuple[bool, bool, float]] = []
    for shift in (NONE, *SHIFTS[case.data.medium]):
        truth = float(case.scores(shift).mean())
        every, unseen = [], []
        for profile, rows in made:
            window = case.window(shift, rows)
            every.append(estimate(profile, window))
            unseen.append(estimate(profile, window, without=family_of(case, shift)))
        cells = [f"{shift[0]} {shift[1]:g}", f"{truth:.3f}"]
        cells.append(f"{np.mean([e.distance for e in every]):.3f}")
        for found in (every, unseen):
            valid = [e for e in found if e.value is not None]
            cells.append(f"{len(valid) / len(found):.2f}")
            if valid:
                middle = float(np.median([e.value for e in valid])) - truth
                errors = [abs(e.value - truth) for e in valid]
                covers = np.mean([e.low <= truth <= e.high for e in valid])
                cells += [f"{middle:+.3f}", f"{max(errors):.3f}", f"{covers:.2f}"]
        own = case.scores(shift)
        covered += [
            (
                found.low <= truth <= found.high,
                found.low <= (score := float(own[rows].mean())) <= found.high,
                max(found.low - score, score - found.high),
            )
            for found, (_, rows) in zip(every, made, strict=True)
            if found.value is not None
        ]
        yield " | ".join(cells)
    of_all, of_window, missed = np.array(covered, float).T
    yield (
        f"{len(covered)} estimates: the interval has the score of all rows in "
        f"{of_all.mean():.3f}, that of the window itself in {of_window.mean():.3f} "
        f"(missed by {max(0.0, missed.max()):.3f} at most)"
    )


@dataclass(frozen=True)
class Labels:
    """What late labels show about a score whose mean is known.

    Attributes:
        mean: the true one.
        alarms: the share of runs in which a loss is shown.
        median, late: labels until then, of half and of nine tenths of the runs.
    """

    mean: float
    alarms: float
    median: float
    late: float

    def __str__(self) -> str:
        """A line of the table."""
        return f"{self.mean} | {self.alarms:.4f} | {self.median:.0f} | {self.late:.0f}"


def late_labels(
    runs: int, labels: int, means: Iterable[float] = MEANS
) -> Iterable[Labels]:
    """How many labels show a loss, and how often they show one that there is not."""
    for mean in means:
        random = np.random.default_rng(3)
        needed = np.full(runs, math.inf)
        for run in range(runs):
            scores = (random.random(labels) < mean).astype(float)
            result = judge_labels(scores, BOUND)
            if result.labels_needed is not None:
                needed[run] = result.labels_needed
        median, late = np.quantile(needed, [0.5, 0.9], method="higher")
        share = float(np.isfinite(needed).mean())
        yield Labels(mean, share, float(median), float(late))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--power", type=int, default=200)
    parser.add_argument("--profiles", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.json:
        say(json.dumps(figures(options.versions[0], options.windows, options.power)))
        return
    for name in options.versions:
        case = open_case(name)
        found = alarms(case, NONE, options.windows)
        rows = len(case.rows.targets)
        say(f"\n{name}, {rows:,} held-out rows: false alarms {found}")
        for shift in SHIFTS[case.data.medium]:
            found = alarms(case, shift, options.power)
            say(f"power, {shift[0]} {shift[1]:g}: {found}")
        for line in estimates(case, options.profiles):
            say(line)
    say(f"\nlate labels, bound {BOUND}: mean | alarms | median | 90th percentile")
    for found in late_labels(options.windows, 2000):
        say(str(found))


def figures(name: str, windows: int, power: int) -> dict[str, Any]:
    """What ``make bench`` shows of one version."""
    case = open_case(name)
    shifts = SHIFTS[case.data.medium]
    fair, worse = late_labels(windows, 2000, (BOUND, BOUND - 0.1))
    return {
        "alarms": alarms(case, NONE, windows)["any"],
        "power": {f"{s[0]} {s[1]:g}": alarms(case, s, power)["any"] for s in shifts},
        "labels": {"alarms": fair.alarms, "median": worse.median, "late": worse.late},
    }


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
