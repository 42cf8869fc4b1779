"""The validation stage: a snapshot against its contract, before anything is trained.

A row that can be blamed is set aside, up to a limit; whatever else fails is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.errors import ContractError
from headrace.records import ContractRecord, ExpectationResult, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.validation import checks, suite, tables, verdict, whole
from headrace.stages.validation.outcomes import Outcome
from headrace.stages.validation.quarantine import set_aside
from headrace.state.store import Store

__all__ = ["validate"]


def validate(
    spec: PipelineSpec, snapshot: SnapshotRecord, store: Store, settings: Settings
) -> ContractRecord:
    """Check a snapshot; write its quarantine and its Data Docs.

    Args:
        spec: only ``name``, ``data`` and ``contract`` are used.
        snapshot: what was ingested.
        store: where the quarantine and the pages go.
        settings: where the work is done.

    Returns:
        the verdict; it depends on the content of the snapshot alone, not on the
        findings that this source of it gave at ingestion.

    Raises:
        ContractError: the data is refused; the pages are written all the same.
        SpecError: a row of the contract cannot be asked or answered.
        IntegrityError: the snapshot is damaged.
        DependencyError: the disk is full.
    """
    with store.work_folder("quarantine") as folder:
        items = tables.item_table(snapshot, folder, settings)
        rejected = tables.rejected_items(snapshot)
        asked = checks.item_checks(spec, snapshot, items)
        with suite.session(spec.name, snapshot.digest) as session:
            as_delivered = session.run(
                "As delivered",
                tables.delivered_table(items, rejected),
                checks.delivered_checks(),
            )
            outcomes = session.run("Items", items, asked)
            seen = whole.look(spec, snapshot, items)
            as_whole = session.run("The data set as a whole", seen.table, seen.checks)
        key = f"quarantine/{snapshot.digest[:16]}"
        quarantine = set_aside(items, rejected, outcomes, store, key, folder)
        delivered = len(items) + len(rejected)
        case = verdict.Evidence(
            spec, snapshot.description, delivered, items, outcomes, quarantine
        )
        problems = verdict.problems(case)
        docs_uri = session.publish(store, problems, quarantine.count)
        if problems:
            raise _refusal(spec, snapshot, problems, quarantine.uri, docs_uri)
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
                *whole.findings(seen, as_whole, items),
            ),
        )


def _refusal(
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    problems: Sequence[str],
    quarantine_uri: str,
    docs_uri: str,
) -> ContractError:
    head = f"The data of {spec.name} breaks its contract ({snapshot.source}):"
    rows = f" Blamed rows: {quarantine_uri}." if quarantine_uri else ""
    return ContractError(
        "\n".join([head, *(f"  - {problem}." for problem in problems)]),
        f"Mend the data, and run again.{rows} All checks: {docs_uri}",
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
