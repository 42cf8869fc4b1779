"""The validation stage: a snapshot against its contract, before anything is trained.

Rows that fail a check are quarantined, up to a limit. Other failures refuse the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headrace import media
from headrace.data.snapshots.splits import quarantine_name
from headrace.display.signs import number_of
from headrace.errors import ContractError, SpecError
from headrace.pipeline import PipelineSpec
from headrace.records import (
    ContractRecord,
    ExpectationResult,
    Finding,
    SnapshotRecord,
)
from headrace.settings import Settings
from headrace.stages.validation import dataset, suite
from headrace.stages.validation.checks import (
    Check,
    CheckResult,
    delivered_results,
    item_checks,
)
from headrace.stages.validation.near import shared_checks, shared_passages
from headrace.stages.validation.quarantine import EXAMPLES, Quarantine, set_aside, some
from headrace.stages.validation.tables import (
    ItemTable,
    item_table,
    rejected_items,
)
from headrace.state.store import Store
from headrace.tasks import Contract, task
from headrace.tasks.forms import Counts


def validate(
    spec: PipelineSpec, snapshot: SnapshotRecord, store: Store, settings: Settings
) -> ContractRecord:
    """Check a snapshot; write its quarantine and its Data Docs.

    Args:
        spec: only ``name``, ``data`` and ``contract`` are used.
        snapshot: the ingested data.
        store: of the quarantine and the pages.
        settings: say how many processes work.

    Returns:
        the verdict, which depends on the content of the snapshot alone and not on the
        findings at ingestion.

    Raises:
        ContractError: the data is refused; the pages are written nevertheless.
        SpecError: a row of the contract is invalid, or cannot be evaluated.
        IntegrityError: the snapshot is damaged.
        DependencyError: the disk is full.
    """
    with store.work_folder("quarantine") as folder:
        items = item_table(snapshot, folder, settings)
        rejected = rejected_items(snapshot)
        shared = shared_passages(snapshot)
        items.add(shared)
        checks = [*item_checks(spec, snapshot, items), *shared_checks(shared)]
        with suite.session(spec.name, snapshot.digest) as session:
            unread = rejected["row"].to_numpy(np.int64)
            as_delivered = delivered_results(len(items), unread)
            session.add("As delivered", as_delivered, rejected.assign(readable=False))
            outcomes = session.run("Items", items, checks)
            as_whole, near = dataset.examine(spec, snapshot, items)
            session.add("The data set as a whole", as_whole)
        file = folder / "quarantine.parquet"
        quarantine = set_aside(items, rejected, outcomes, file)
        if quarantine.count:
            data = file.read_bytes()
            key = f"quarantine/{snapshot.digest[:16]}{quarantine_name(data)}"
            quarantine.uri = store.write(key, data)
        case = Case(spec, len(items) + len(rejected), items, outcomes, quarantine)
        problems = problems_of(case)
        docs_uri = session.publish(
            store, problems, quarantine.count, snapshot.source, case.delivered
        )
        if problems:
            head = f"The data of {spec.name} breaks its contract ({snapshot.source}):"
            rows = [f"Blamed rows: {quarantine.uri}"] if quarantine.uri else []
            action = "Mend the data, or the pipeline file, and run again."
            if _is_too_many(case):
                action = media.advice(spec.medium, quarantine.checks) or action
            raise ContractError(
                "\n".join([head, *(f"  - {problem}." for problem in problems)]),
                "\n".join([action, *rows, f"All checks: {docs_uri}"]),
            )
        left = case.left
        return ContractRecord(
            snapshot_digest=snapshot.digest,
            rows={
                split: sum(n for (of, _), n in left.items() if of == split)
                for split in ("train", "val", "test")
            },
            quarantined=quarantine.count,
            quarantine_uri=quarantine.uri,
            docs_uri=docs_uri,
            results=tuple(map(_result, [*as_delivered, *as_whole, *outcomes])),
            findings=(
                *findings_of(case, snapshot.findings),
                *dataset.findings(near, as_whole, items, outcomes),
            ),
        )


def _result(outcome: CheckResult) -> ExpectationResult:
    check = outcome.check
    observed = outcome.cause or outcome.observed
    return ExpectationResult(
        expectation=check.expectation,
        column=str(check.arguments.get("column", "")),
        passed=outcome.passed,
        unexpected=outcome.unexpected,
        observed=": ".join(text for text in (check.split, observed) if text),
    )


@dataclass(frozen=True, slots=True)
class Case:
    """The input of a verdict.

    Attributes:
        delivered: number of all items, with the rejected ones.
        items: the readable ones.
        outcomes: of the checks of ``items``, in the order of the checks.
    """

    spec: PipelineSpec
    delivered: int
    items: ItemTable
    outcomes: Sequence[CheckResult]
    quarantine: Quarantine

    @property
    def left(self) -> Counts:
        """Rows of each split and label without the quarantined ones."""
        return self.items.counts - self.quarantine.counts

    @property
    def contract(self) -> Contract:
        """What the task expects of targets, and its messages."""
        return task(self.items.data.task).contract


def problems_of(case: Case) -> list[str]:
    """The reasons to refuse the data set, if any.

    Raises:
        SpecError: a row of the contract cannot be evaluated.
    """
    failed = [o for o in case.outcomes if not o.passed and not o.check.warns]
    too_many = [_too_many(case)] if _is_too_many(case) else []
    if empty := [o for o in failed if o.check.name == "rows"]:
        lacking = [f"{outcome.check.split} holds no readable item" for outcome in empty]
        return [*too_many, *lacking]
    for outcome in failed:
        if outcome.cause and outcome.check.where:
            raise SpecError(
                f"{_call(outcome.check)} cannot be answered: {outcome.cause}.",
                "Mend this row of the contract.",
            )
    reasons = [_problem(case, outcome) for outcome in failed if not len(outcome.rows)]
    if too_many:
        return [*too_many, *reasons]
    lacking = case.contract.lacking(case.left, case.items.data)
    return reasons or [f"after quarantine, {lack}" for lack in lacking]


def _problem(case: Case, outcome: CheckResult) -> str:
    check, counts = outcome.check, case.items.counts
    problem = case.contract.problem(check.name, check.split, counts, case.items.data)
    if problem:
        return problem
    if check.name == "leak":
        return _leak(case)
    return f"{_call(check)}: {_observed(outcome)}"


def _observed(outcome: CheckResult) -> str:
    return outcome.cause or f"observed {outcome.observed}"


def _leak(case: Case) -> str:
    frame = case.items.read(["split", "in_train"])
    leaked = frame.index[(frame["split"] == "test") & (frame["in_train"] == 1)]
    names = case.items.pick(leaked[:EXAMPLES].to_numpy(), ["name"])["name"].tolist()
    tested = case.items.sizes["test"]
    return (
        f"leak: {len(leaked):,} of the {tested:,} test items "
        f"({len(leaked) / tested:.1%}) are also in train or val, for example "
        f"{some(names, len(leaked))}; "
        f"data.leak_limit is {case.spec.data.leak_limit:.1%}"
    )


def _call(check: Check) -> str:
    split = f" on {check.split}" if check.split else ""
    return f"{check.where or check.name}: {check.call}{split}"


def _is_too_many(case: Case) -> bool:
    """Whether more rows would be set aside than the pipeline allows."""
    return case.quarantine.count > case.spec.data.quarantine_limit * case.delivered


def _too_many(case: Case) -> str:
    count, total = case.quarantine.count, case.delivered
    limit = case.spec.data.quarantine_limit
    head = (
        f"{count:,} of {total:,} rows ({count / total:.1%}) would be set "
        f"aside; data.quarantine_limit is {limit:.1%}, "
        f"{number_of(int(limit * total), 'rows')}"
    )
    kinds = sorted(case.quarantine.kinds.items(), key=lambda pair: -pair[1].count)
    return "\n".join([head, *(f"    {c}: {kind.in_words()}" for c, kind in kinds)])


def findings_of(case: Case, at_ingestion: Iterable[Finding]) -> list[Finding]:
    """The warnings of a data set that is accepted, without those of ingestion."""
    reported = {finding.check for finding in at_ingestion}
    failed = [o for o in case.outcomes if o.check.warns and not o.passed]
    return [_warning(case, outcome) for outcome in _with_news(failed)] + [
        Finding(
            check=check,
            split=next(iter(kind.splits)) if len(kind.splits) == 1 else "",
            count=kind.count,
            message=f"set aside {kind.in_words()}",
        )
        for check, kind in case.quarantine.kinds.items()
        if check not in reported
    ]


def _with_news(failed: Sequence[CheckResult]) -> Iterator[CheckResult]:
    """The outcomes with rows that no earlier one of the same check and columns has."""
    reported: dict[tuple[object, ...], set[int]] = {}
    for outcome in failed:
        check, rows = outcome.check, set(outcome.rows.tolist())
        subject = (check.name, check.where, check.shows if rows else ())
        if subject not in reported or rows - reported[subject]:
            yield outcome
        reported.setdefault(subject, set()).update(rows)


def _warning(case: Case, outcome: CheckResult) -> Finding:
    check, count = outcome.check, max(outcome.unexpected, 1)
    of_task = case.contract.warning(check.name, case.items.counts, case.items.data)
    if of_task is not None:
        count, message = of_task
    elif check.name == "scale":
        column = check.shows[0]
        means = case.items.read(["split", column]).groupby("split")[column].mean()
        message = (
            f"the mean {column} is {means['train']:.4g} in train and "
            f"{means['test']:.4g} in test: are they scaled alike?"
        )
    elif check.where or not check.reason:
        message = f"{_call(check)}: {_observed(outcome)}"
    elif len(outcome.rows):
        names = case.items.pick(outcome.rows[:EXAMPLES], ["name"])["name"].tolist()
        message = f"{number_of(count, 'rows')}: {some(names, count)}: {check.reason}"
    else:
        message = f"{check.reason} ({_observed(outcome)})"
    return Finding(check=check.name, split=check.split, count=count, message=message)
