"""Runs the train stage on another work pool, and waits for it.

Only deployments of a pipeline with a `train_pool` do so. If the same training is
running already, for another flow or for this one before it was killed, the flow waits
for that one instead of training twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from headrace.errors import DependencyError, UsageError
from headrace.planning import Key
from headrace.records import ContractRecord, SnapshotRecord, TrainingRecord
from headrace.state.store import pack_folder
from headrace_flows.attempts import Attempt, find_attempts, tag_of, wait_for, work_of
from headrace_flows.fit import Answer, Request, answer_key, error_of, request_key
from headrace_ops.prefect_errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace_flows.run import Run

CRASHES = 3

log = logging.getLogger("headrace")


def train_pool(run: Run) -> str:
    """The pool that runs a run's training; empty: the run trains itself."""
    from prefect.runtime import deployment

    deploy = run.spec.deploy
    if deploy is None or not deploy.train_pool or deployment.get_id() is None:
        return ""
    return deploy.train_pool


def train_there(
    run: Run,
    key: Key,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
) -> tuple[TrainingRecord, str]:
    """Train on the other pool, and read the record from the store.

    Returns:
        the record, and the key of the checkpoint that it resumed from, if any.

    Raises:
        DependencyError: the training crashed three times or was cancelled, or the
            server does not answer.
        UsageError: the training has no deployment.
        HeadraceError: raised by the training itself.
    """
    from prefect.client.orchestration import get_client

    pool = train_pool(run)
    request = Request(
        spec=run.spec,
        folder=pack_folder(run.plan.folder, run.plan.store),
        snapshot=snapshot,
        contract=contract,
        ingredients=key.ingredients,
        tags=dict(tags),
    )
    crashes = 0
    with get_client(sync_client=True) as client:
        while True:
            attempt = _ask(client, run, key, request)
            ended = _wait(client, run, attempt, f"the pool {pool}")
            answer, record = _result(run, key, attempt)
            if record is not None:
                return record, answer.resumed
            error = error_of(answer)
            if error is not None:
                raise error
            name, message = ended.state.name, ended.state.message or ended.state.name
            if ended.state.is_crashed() and crashes + 1 < CRASHES:
                crashes += 1
                log.warning(
                    "train: crashed on the pool %s (%s); trying again", pool, message
                )
                continue
            raise DependencyError(
                f"The training on the pool {pool} ended as {name}: {message}",
                "Look at its flow run in Prefect, then run the same command again: it "
                "resumes from the last checkpoint.",
            )


def _ask(client: Any, run: Run, key: Key, request: Request) -> Attempt:
    """Return the attempt that is running, or start a new one."""
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    name, fingerprint = f"fit/{run.spec.name}", key.fingerprint
    work = work_of(run.plan.settings, fingerprint)
    with translate_errors():
        known = find_attempts(client, work)
        if known and not known[-1].state.is_final():
            return Attempt(int(known[-1].parameters["attempt"]), known[-1])
        number = 1 + max((int(old.parameters["attempt"]) for old in known), default=0)
        parameters = {
            "pipeline": run.spec.name,
            "training": fingerprint,
            "attempt": number,
        }
        run.plan.anchored.write_json(
            request_key(fingerprint, number), request.model_dump(mode="json")
        )
        # If Prefect's database was lost, an old answer may have the same number.
        run.plan.anchored.delete(answer_key(fingerprint, number))
        try:
            flow_run = run_deployment(
                name,
                parameters=parameters,
                idempotency_key=f"{work}-{number}",
                tags=[tag_of(work)],
                timeout=0,
            )
        except ObjectNotFound as error:
            raise UsageError(
                f"There is no deployment {name} for the training on another pool.",
                f"Run `headrace deploy {run.spec.name}`.",
            ) from error
    return Attempt(number, flow_run)


def _wait(client: Any, run: Run, attempt: Attempt, place: str) -> Any:
    try:
        return wait_for(client, attempt.run, place)
    except BaseException:
        _cancel_too(client, run, attempt)
        raise


def _cancel_too(client: Any, run: Run, attempt: Attempt) -> None:
    """Cancel the training as well if a person has cancelled the flow.

    After a crash of the flow the training goes on. The next run waits for it.
    """
    import contextlib

    import httpx
    from prefect.states import Cancelling

    with contextlib.suppress(httpx.HTTPError):
        state = client.read_flow_run(run.flow_run_id).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            client.set_flow_run_state(attempt.run.id, Cancelling())


def _result(run: Run, key: Key, attempt: Attempt) -> tuple[Answer, Any]:
    place = answer_key(key.fingerprint, attempt.number)
    answer = run.plan.anchored.read_record(place, Answer) or Answer()
    return answer, run.plan.find(key, TrainingRecord)
