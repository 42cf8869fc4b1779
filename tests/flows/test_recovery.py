"""What says that it runs and does not is ended; what runs is left alone."""

import asyncio
import time
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from headrace.imports import extensions
from headrace.state.ledger import Lease
from headrace.state.ledger.holding import heartbeat, hold
from headrace.state.ledger.leases import Leases
from headrace.state.tracking import Tracking

GONE = {"started": "an earlier boot-17"}
ELSEWHERE = {"host": "elsewhere"}


class World:
    """One home, its MLflow, and the Prefect server that other homes use as well."""

    def __init__(self, settings):
        from headrace_flows.events import ledger_tag

        self.settings = settings
        self.leases = Leases(settings.database_url)
        self.tags = [ledger_tag(settings)]
        self.tracking = Tracking(settings)

    def flow_run(self, state=None, tags=None, flow=None):
        """A flow run that says it is running."""
        from prefect.client.orchestration import get_client
        from prefect.states import Running

        from headrace_flows.train import train

        with get_client(sync_client=True) as client:
            run = client.create_flow_run(
                flow or train,
                parameters={},
                tags=self.tags if tags is None else tags,
                state=state or Running(),
            )
        return str(run.id)

    def task_run(self, flow_run_id):
        from prefect.client.orchestration import get_client
        from prefect.states import Running

        from headrace_flows.stages import ingest

        with get_client(sync_client=True) as client:
            run = client.create_task_run(
                ingest, UUID(flow_run_id), dynamic_key="0", state=Running()
            )
        return str(run.id)

    def lease(self, flow_run_id, name="blobs", **changes):
        wanted = Lease.wanted(name, flow_run_id, "ada@lab").model_copy(update=changes)
        taken = self.leases.acquire(wanted)
        assert taken.is_same_run(wanted)
        return taken

    def mlflow_run(self, flow_run_id, lease=None):
        tags = {"headrace.flow_run_id": flow_run_id}
        if lease is not None:
            tags["headrace.process"] = str(lease.process)
        experiment = self.tracking.experiment("blobs")
        return str(self.tracking.client.create_run(experiment, tags=tags).info.run_id)

    def state(self, flow_run_id):
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
        assert state is not None
        return state.type.value, state.message or ""

    def task_state(self, task_run_id):
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            state = client.read_task_run(UUID(task_run_id)).state
        assert state is not None
        return str(state.type.value)

    def status(self, run_id):
        return str(self.tracking.client.get_run(run_id).info.status)

    def sweep(self):
        from headrace_flows import recovery

        return recovery.sweep(self.settings)


@pytest.fixture
def world(settings, prefect_server):
    return World(settings)


@pytest.fixture
def at_once(monkeypatch):
    """Nothing is too young to be swept."""
    monkeypatch.setattr("headrace.state.ledger.leases.GRACE_SECONDS", -1)


def test_all_of_a_run_whose_process_is_gone_is_ended(world):
    run = world.flow_run(tags=[])
    task = world.task_run(run)
    lease = world.lease(run, **GONE)
    mlflow_run = world.mlflow_run(run, lease)
    assert world.sweep() == [run]
    state, message = world.state(run)
    assert state == "CRASHED"
    assert f"process {lease.pid}" in message
    assert world.task_state(task) == "CRASHED"
    assert world.status(mlflow_run) == "KILLED"
    assert world.leases.all()[0][0].state == "ended"
    assert world.sweep() == []


def test_a_run_that_was_being_cancelled_is_cancelled(world):
    from prefect.states import Cancelling

    run = world.flow_run(Cancelling())
    world.lease(run, **GONE)
    world.sweep()
    assert world.state(run)[0] == "CANCELLED"


AUDIT = """
from prefect import flow

@flow(name="audit", persist_result=False)
def audit():
    return 1
"""


def test_a_flow_of_another_package_that_died_is_ended(world, at_once, extend):
    extend("flows", "audit", AUDIT)
    audit = extensions.load("flows", "audit").audit
    dead, alive, unknown = (world.flow_run(flow=audit) for _ in range(3))
    world.lease(dead, f"flow-run/{dead}", **GONE)
    with heartbeat(world.settings, alive):
        assert world.sweep() == [dead]
    assert world.state(dead)[0] == "CRASHED"
    assert {world.state(run)[0] for run in (alive, unknown)} == {"RUNNING"}


def test_a_healthy_run_is_never_touched(world, at_once):
    here, elsewhere, waiting = (world.flow_run() for _ in range(3))
    far = world.lease(elsewhere, "others", **ELSEWHERE)
    with (
        hold(world.settings, "blobs", here) as held,
        heartbeat(world.settings, waiting),
    ):
        runs = [world.mlflow_run(here, held.lease), world.mlflow_run(elsewhere, far)]
        assert world.sweep() == []
        assert {world.state(r)[0] for r in (here, elsewhere, waiting)} == {"RUNNING"}
        assert {world.status(run) for run in runs} == {"RUNNING"}


def test_a_run_elsewhere_has_until_its_lease_expires(world):
    run = world.flow_run()
    mlflow_run = world.mlflow_run(run, world.lease(run, **ELSEWHERE))
    assert world.sweep() == []
    with rewritten(world, expires=time.time()):
        assert world.sweep() == [run]
    assert world.state(run)[0] == "CRASHED"
    assert world.status(mlflow_run) == "KILLED"


def test_what_died_before_its_lease_is_known_by_its_age(world, monkeypatch):
    run, foreign = world.flow_run(), world.flow_run(tags=["headrace-of another home"])
    assert world.sweep() == [], "it may just be starting"
    monkeypatch.setattr("headrace.state.ledger.leases.GRACE_SECONDS", -1)
    assert world.sweep() == [run]
    assert world.state(run)[0] == "CRASHED"
    assert world.state(foreign)[0] == "RUNNING"


def test_a_run_that_has_just_ended_may_still_tell_how(world, monkeypatch):
    run = world.flow_run()
    with hold(world.settings, "blobs", run):
        pass
    assert world.sweep() == []
    monkeypatch.setattr("headrace.state.ledger.leases.GRACE_SECONDS", -1)
    assert world.sweep() == [run], "nobody will tell any more"


def test_a_task_that_an_ended_run_has_left_running_is_ended(world, monkeypatch):
    """A flow that is told to end says so; of its task it may say nothing any more."""
    from prefect.states import Crashed

    run = world.flow_run(Crashed())
    task = world.task_run(run)
    world.sweep()
    assert world.task_state(task) == "RUNNING", "it may yet be told of"
    monkeypatch.setattr("headrace.state.ledger.leases.GRACE_SECONDS", -1)
    assert world.sweep() == []
    assert world.task_state(task) == "CRASHED"


@pytest.fixture
def pool():
    """Makes a work pool of a type, with no worker yet."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    made = []

    def make(kind):
        made.append(f"{kind}-{uuid4().hex[:8]}")
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=made[-1], type=kind))
        return made[-1]

    yield make
    with get_client(sync_client=True) as client:
        for name in made:
            client.delete_work_pool(name)


def taken(world, pool, infrastructure=None):
    """A run that a worker of the pool has taken; Prefect's own write a bare id."""
    from prefect.client.orchestration import get_client
    from prefect.states import Pending

    from headrace_flows.train import train

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(
            train,
            parameters={},
            tags=world.tags,
            state=Pending(),
            work_pool_name=pool,
        )
        if infrastructure:
            client.update_flow_run(run.id, infrastructure_pid=infrastructure)
    return str(run.id)


def heard_of(pool):
    """A worker of the pool says that it lives."""
    from prefect.client.orchestration import get_client

    async def say():
        async with get_client() as client:
            await client.send_worker_heartbeat(pool, f"worker {uuid4().hex[:4]}", 30)

    asyncio.run(say())


def test_a_run_whose_worker_was_killed_before_it_began_is_ended(world, at_once, pool):
    cpu = pool("process")
    runs = {taken(world, cpu), taken(world, cpu, str(2**22 + 1))}
    heard_of(cpu)  # the next one, which knows nothing of them
    assert {*world.sweep()} == runs
    assert {world.state(run)[0] for run in runs} == {"CRASHED"}


def test_a_run_that_a_worker_is_starting_is_left_alone(
    world, at_once, pool, monkeypatch
):
    cpu = pool("process")
    heard_of(cpu)
    run = taken(world, cpu, "17")
    assert world.sweep() == []
    assert world.state(run)[0] == "PENDING"
    monkeypatch.setattr("headrace_flows.recovery.LONGEST_PROCESS_START_SECONDS", -1)
    assert world.sweep() == [run], "another worker than its own may have been heard of"


def test_a_container_may_wait_for_its_place(world, at_once, pool, monkeypatch):
    run = taken(world, pool("kubernetes"), "cluster:headrace:job-1")
    assert world.sweep() == []
    monkeypatch.setattr("headrace_flows.recovery.LONGEST_START_SECONDS", -1)
    assert world.sweep() == [run]


def test_an_mlflow_run_that_its_run_left_behind_is_ended(world):
    """MLflow could not be told of the end; the flow run itself has ended."""
    with pytest.raises(ValueError, match="bad"), hold(world.settings, "blobs", "f"):
        raise ValueError("bad")
    lease = world.leases.all()[0][0].model_copy(update=GONE)
    left = world.mlflow_run("f", lease)
    with rewritten(world, started=lease.started):
        world.sweep()
    assert world.status(left) == "KILLED"


@contextmanager
def rewritten(world, **values):
    """The ledger's leases say something else, as if time had passed."""
    import sqlalchemy as sa

    from headrace.state.ledger.leases import LEASES

    engine = sa.create_engine(world.settings.database_url)
    with engine.begin() as connection:
        connection.execute(sa.update(LEASES).values(**values))
    yield
    engine.dispose()


def test_old_leases_are_forgotten_but_the_count_is_kept(world, monkeypatch):
    monkeypatch.setattr("headrace_flows.recovery.MEMORY_SECONDS", -1)
    for run in ("one", "two"):
        with hold(world.settings, "blobs", run), heartbeat(world.settings, run):
            pass
    world.sweep()
    assert [(r.name, r.token) for r in world.leases.all()[0]] == [("blobs", 2)]


def test_sweeping_goes_on_when_a_server_does_not_answer(world, caplog, monkeypatch):
    from headrace_flows import recovery

    monkeypatch.setattr(recovery, "SWEEP_SECONDS", 0.05)
    answers = [ConnectionError("no route"), []]
    done = []

    def sweep(settings):
        done.append(answers.pop(0) if answers else [])
        if isinstance(done[-1], Exception):
            raise done[-1]
        return []

    monkeypatch.setattr(recovery, "sweep", sweep)
    with caplog.at_level("WARNING", "headrace"), recovery.sweeping(world.settings):
        limit = time.monotonic() + 600
        while len(done) < 3:
            assert time.monotonic() < limit
            time.sleep(0.02)
    assert [r.getMessage() for r in caplog.records] == [
        "sweep: ConnectionError: no route"
    ]
