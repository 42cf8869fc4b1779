"""The validation stage: a snapshot against its contract, before anything is trained.

A row that can be blamed is set aside, up to a limit; whatever else fails is refused.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from headrace.errors import ContractError
from headrace.records import ContractRecord, ExpectationResult, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.store import Store
from headrace.validation import checks, suite, verdict
from headrace.validation.items import delivered_items, readable_items

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["validate"]


def validate(
    spec: PipelineSpec, snapshot: SnapshotRecord, store: Store
) -> ContractRecord:
    """Check a snapshot; write its quarantine and its Data Docs.

    Args:
        spec: only ``name``, ``data`` and ``contract`` are used.
        snapshot: what was ingested.
        store: where the quarantine and the pages go.

    Returns:
        the verdict; it depends on the content of the snapshot alone, not on the
        findings that this source of it gave at ingestion.

    Raises:
        ContractError: the data is refused; the pages are written all the same.
        SpecError: a row of the contract cannot be asked or answered.
        IntegrityError: the snapshot is damaged.
    """
    classes = spec.data.classes or snapshot.description.classes
    items = readable_items(snapshot, classes)
    delivered = delivered_items(items, snapshot)
    asked = checks.item_checks(spec, snapshot, classes, items)
    with suite.session(spec.name, snapshot.digest) as session:
        as_delivered = session.run("delivered", delivered, checks.delivered_checks())
        outcomes = session.run("items", items, asked)
        docs_uri = session.publish(store)
    case = verdict.Evidence(spec, classes, delivered, items, outcomes)
    blamed = verdict.blamed_rows(case)
    problems = verdict.problems(case, blamed)
    quarantine_uri = _write_quarantine(store, snapshot, blamed)
    if problems:
        raise _refusal(spec, snapshot, problems, quarantine_uri, docs_uri)
    left = items.loc[~items["row"].isin(blamed["row"]), "split"].value_counts()
    return ContractRecord(
        snapshot_digest=snapshot.digest,
        rows={split: int(left.get(split, 0)) for split in ("train", "val", "test")},
        quarantined=len(blamed),
        quarantine_uri=quarantine_uri,
        docs_uri=docs_uri,
        results=tuple(_result(outcome) for outcome in [*as_delivered, *outcomes]),
        findings=tuple(verdict.findings(case, blamed)),
    )


def _write_quarantine(
    store: Store, snapshot: SnapshotRecord, blamed: pd.DataFrame
) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if blamed.empty:
        return ""
    kinds = [pa.int64()] + [pa.string()] * (len(verdict.QUARANTINE_COLUMNS) - 1)
    schema = pa.schema(list(zip(verdict.QUARANTINE_COLUMNS, kinds, strict=True)))
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(blamed, schema, preserve_index=False), buffer)
    data = buffer.getvalue().to_pybytes()
    sha = hashlib.sha256(data).hexdigest()
    return store.write(f"quarantine/{snapshot.digest[:16]}-{sha[:16]}.parquet", data)


def _refusal(
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    problems: list[str],
    quarantine_uri: str,
    docs_uri: str,
) -> ContractError:
    head = f"The data of {spec.name} breaks its contract ({snapshot.source}):"
    rows = f" Blamed rows: {quarantine_uri}." if quarantine_uri else ""
    return ContractError(
        "\n".join([head, *(f"  - {problem}." for problem in problems)]),
        f"Mend the data, and run again.{rows} All checks: {docs_uri}",
    )


def _result(outcome: suite.Outcome) -> ExpectationResult:
    check = outcome.check
    observed = outcome.cause or outcome.observed
    return ExpectationResult(
        expectation=check.expectation,
        column=str(check.arguments.get("column", "")),
        passed=outcome.passed,
        unexpected=outcome.unexpected,
        observed=": ".join(text for text in (check.split, observed) if text),
    )
