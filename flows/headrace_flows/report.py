"""The page of a run in Prefect: its outcome, its gates, and a link to MLflow's page."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from headrace_flows.run import Run
from headrace_flows.summary import links


def publish_report(run: Run) -> None:
    """Attach the report to the flow run that this is called in."""
    key = f"{run.spec.name}-report".replace("_", "-")
    create_markdown_artifact(_markdown(run), key=key, description=run.spec.description)


def _markdown(run: Run) -> str:
    promotion, evaluation = run.promotion, run.evaluation
    version = run.registration.version if run.registration else None
    lines = [f"# {run.spec.name}" + (f", version {version}" if version else "")]
    if promotion is not None:
        lines += ["", f"**{promotion.status}**: {promotion.reason}"]
    if evaluation is not None:
        lines += ["", "| gate | | value | bound | |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {g.name} | {'passed' if g.passed else '**failed**'} | "
            f"{_number(g.value)} | {_number(g.threshold)} | {g.reason} |"
            for g in evaluation.gates
        ]
        lines += ["", "| metric | value |", "| --- | --- |"]
        lines += [f"| {k} | {_number(v)} |" for k, v in evaluation.metrics.items()]
    pages = links(
        run.plan.settings, run.training, run.contract, run.flow_run_url, run.plan.store
    )
    return "\n".join([*lines, "", *(f"- {n}: <{url}>" for n, url in pages.items())])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
