"""The validation stage: a snapshot against its contract, before anything is trained.

Rows that fail a check are quarantined, up to a limit. Other failures refuse the data.
"""

from __future__ import annotations

from headrace.errors import ContractError
from headrace.records import ContractRecord, ExpectationResult, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.validation import checks, dataset, suite, tables, verdict
from headrace.stages.validation.checks import Outcome
from headrace.stages.validation.quarantine import set_aside
from headrace.state.store import Store

__all__ = ["validate"]


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
        items = tables.item_table(snapshot, folder, settings)
        rejected = tables.rejected_items(snapshot)
        item_checks = checks.item_checks(spec, snapshot, items)
        with suite.session(spec.name, snapshot.digest) as session:
            as_delivered = session.run(
                "As delivered",
                tables.delivered_table(items, rejected),
                checks.delivered_checks(),
            )
            outcomes = session.run("Items", items, item_checks)
            whole = dataset.examine(spec, snapshot, items)
            as_whole = session.run("The data set as a whole", whole.table, whole.checks)
        key = f"quarantine/{snapshot.digest[:16]}"
        quarantine = set_aside(items, rejected, outcomes, store, key, folder)
        delivered = len(items) + len(rejected)
        case = verdict.Evidence(
            spec, snapshot.description, delivered, items, outcomes, quarantine
        )
        problems = verdict.problems(case)
        docs_uri = session.publish(store, problems, quarantine.count)
        if problems:
            head = f"The data of {spec.name} breaks its contract ({snapshot.source}):"
            rows = f" Blamed rows: {quarantine.uri}." if quarantine.uri else ""
            raise ContractError(
                "\n".join([head, *(f"  - {problem}." for problem in problems)]),
                f"Mend the data, and run again.{rows} All checks: {docs_uri}",
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
                *verdict.findings(case, snapshot.findings),
                *dataset.findings(whole.near, as_whole, items),
            ),
        )


def _result(outcome: Outcome) -> ExpectationResult:
    check = outcome.check
    observed = outcome.cause or outcome.observed
    return ExpectationResult(
        expectation=check.expectation,
        column=str(check.arguments.get("column", "")),
        passed=outcome.passed,
        unexpected=outcome.unexpected,
        observed=": ".join(text for text in (check.split, observed) if text),
    )
