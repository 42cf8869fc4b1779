"""The monitor flow: one window of a model, for schedules; see ``headrace monitor``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow, task
from prefect.runtime import flow_run
from prefect.states import Completed

from headrace.monitoring.records import MonitorRecord
from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace.state.temporary import own_temporary_folder
from headrace.state.tracking.runs import FLOW_TAG
from headrace_flows.events import drift_of, emit
from headrace_flows.parameters import Place
from headrace_flows.report import attach
from headrace_flows.stages import RETRIED
from headrace_flows.summary import with_pages


@task(name="judge window", **RETRIED)
def judge_window(
    model: str, data: str, labels: str, since: str, rows: int
) -> MonitorRecord:
    """Compare the newest window with the reference of the version, and report it."""
    from headrace.monitoring import MonitorOptions, WindowData, moment, watch_window

    settings = Settings()
    watch = MonitorOptions(
        model=model,
        data=WindowData(data) if data else None,
        labels=labels or None,
        since=moment(since) if since else None,
        rows=rows,
        labels_may_come=True,
    )
    with own_temporary_folder():
        record = watch_window(watch, settings, {FLOW_TAG: str(flow_run.get_id())})
    return with_pages(record, settings)


@task(name="publish report", **RETRIED)
def publish(record: MonitorRecord) -> None:
    """Attach the report to the page of the flow run."""
    from headrace.monitoring.report import as_markdown

    about = f"{record.status}: {record.reason}"
    name, text = f"{record.model}-monitor", as_markdown(record)
    attach(name, about, text, str(flow_run.get_id()))


@flow(name="monitor", flow_run_name="{model}", persist_result=False)
def monitor(
    model: str, data: Place = "", labels: Place = "", since: str = "", rows: int = 1000
) -> State[Any]:
    """Watch a model's champion: drift of inputs and answers, and its performance.

    On evidence of lost performance it emits headrace.drift, of which people are
    notified; a deployment with on_drift starts by it, too.

    Args:
        model: its name.
        data: the window: a path, any fsspec URI or ``library:name``; by default the
            request log of the server.
        labels: a table of labels that came late, by path or URI.
        since: the earliest request, such as ``24h`` or ``2026-01-31``; by default any.
        rows: how many items are taken, the newest.
    """
    settings = Settings().prepare_home()
    with heartbeat(settings, str(flow_run.get_id())):
        record = judge_window(model, data, labels, since, rows)
        if record.event:
            emit(settings, "drift", record.model, **drift_of(record))
        publish(record)
    return Completed(
        name=record.status.capitalize(), message=record.reason, data=record
    )
