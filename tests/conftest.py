"""A tiny pipeline, and homes: fresh ones, and copies of one with two trainings."""

import fcntl
import importlib
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

import absl.logging
import pytest
from tests.blobs import (
    BLOBS,
    WEAK,
    Trained,
    a_contract,
    copy_home,
    spec_of,
    write_blobs,
    write_law,
)
from tests.homes import Answer, Home
from tests.places import new_base
from tests.warm import COLD, warm_processes

from headrace.data.sources.readers import readers
from headrace.imports import extensions
from headrace.settings import Settings
from headrace.state import children
from headrace.state.home import Home as Opened

# In the background of a shell, SIGINT is ignored, by the processes of tests as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Whole runs, as a user or an attacker starts them.
_SYSTEM = {"attacks", "faults", "flows"}
_OWN_BASE = pytest.StashKey[Path]()


def pytest_addoption(parser):
    """Add the option of ``make figures``."""
    about = "keep the figures of the documentation that the tests draw"
    parser.addoption("--figures", action="store_true", help=about)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Give the session a folder of its own; the processes of one share it."""
    if config.option.basetemp is None:
        config.stash[_OWN_BASE] = config.option.basetemp = new_base()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """After a failure, what the tests wrote stays until the next session."""
    if exitstatus == 0 and _OWN_BASE in session.config.stash:
        shutil.rmtree(session.config.stash[_OWN_BASE], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Mark what runs whole commands; one such run stays among the quick tests."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in _SYSTEM and item.path.stem != "test_run":
            item.add_marker("system")
        if folder == "engine":
            item.add_marker("engine")


def made_once(tmp_path_factory, name, make):
    """A folder that the first of the test processes to ask for it makes, for all."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    place, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            done.touch()
    return place


@pytest.fixture(autouse=True)
def _log_as_at_the_start(monkeypatch):
    """A flow in this process sets up the log; no other test is to see that."""
    logger = logging.getLogger("headrace")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "disabled", False)
    logger.manager._clear_cache()


@pytest.fixture(scope="session", autouse=True)
def _environment():
    """No setting of the machine reaches a test; libraries stay quiet and offline."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("HEADRACE_", "MLFLOW_", "PREFECT_")):
                patch.delenv(name)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("DO_NOT_TRACK", "true")
        # A run records it, and it depends on who imports Keras first in a process.
        patch.setenv("KERAS_BACKEND", "tensorflow")
        patch.setenv("HEADRACE_ENGINES", "none")  # no process outlives a test
        # Prefect closes all logs when it is imported, and TensorFlow's, in its turn,
        # would close pytest's standard error.
        patch.setattr(absl.logging.PythonHandler, "close", logging.StreamHandler.close)
        yield


@pytest.fixture(scope="session", autouse=True)
def _warm_processes():
    with warm_processes():
        yield


@pytest.fixture
def cold(monkeypatch):
    """Processes of ours start as users have them, imports included."""
    monkeypatch.setattr(children, "start", COLD)


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A project with the pipeline ``blobs`` and its data."""

    def make(root):
        folder = root / "pipelines" / "blobs"
        folder.mkdir(parents=True)
        (folder / "pipeline.toml").write_text(BLOBS)
        write_blobs(folder / "blobs.npz")

    return made_once(tmp_path_factory, "project", make)


@pytest.fixture
def extend(tmp_path, monkeypatch):
    """Adds to an installed package ``tidepool`` a module and its entry point."""
    place = tmp_path / "site"
    info = place / "tidepool-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: tidepool\nVersion: 0.1\n")
    (place / "tidepool").mkdir()
    points = {}

    def forget():
        importlib.invalidate_caches()
        for cached in (extensions.modules, extensions.added, extensions.path_of):
            cached.cache_clear()
        for cached in (extensions.load, extensions.constant, extensions._assigned):
            cached.cache_clear()
        readers.cache_clear()
        for name in [n for n in sys.modules if n.partition(".")[0] == "tidepool"]:
            del sys.modules[name]

    def add(kind, name, code=None, value=""):
        module = f"tidepool.{name}"
        if code is not None:
            (place / "tidepool" / f"{name}.py").write_text(code)
        points.setdefault(kind, []).append(f"{name} = {value or module}\n")
        sections = (f"[headrace.{k}]\n{''.join(v)}" for k, v in points.items())
        (info / "entry_points.txt").write_text("".join(sections))
        forget()
        return module

    monkeypatch.syspath_prepend(place)
    yield add
    monkeypatch.undo()
    forget()


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory):
    """An empty MLflow database; making one takes seconds, copying it none."""
    from headrace.state.tracking import Tracking

    def make(home):
        _ = Tracking(Settings(project=home, home=home)).client

    return made_once(tmp_path_factory, "mlflow", make) / "mlflow.db"


@pytest.fixture
def settings(tmp_path, project, mlflow_database):
    """The settings of an empty home."""
    made = Settings(project=project, home=tmp_path / "home", user="ada@lab")
    made.prepare_home()
    shutil.copy(mlflow_database, made.home / "mlflow.db")
    return made


@pytest.fixture(scope="session")
def copy_of():
    """`copy_home`, for tests."""
    return copy_home


@pytest.fixture(scope="session")
def write_data():
    """`write_blobs`, for tests."""
    return write_blobs


@pytest.fixture(scope="session")
def _trained(project, mlflow_database, tmp_path_factory):
    from headrace.stages.evaluation import evaluate
    from headrace.stages.ingestion import ingest
    from headrace.stages.promotion import conclude
    from headrace.stages.registration import register
    from headrace.stages.training import train
    from headrace.state.store import Store

    home = tmp_path_factory.mktemp("trained") / "home"
    settings = Settings(project=project, home=home, user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, home / "mlflow.db")
    weak_settings = settings.model_copy(update={"project": home.parent / "weak"})
    folder = project / "pipelines" / "blobs"
    weak_folder = weak_settings.project / "pipelines" / "blobs"
    write_law(project, weak_folder, gates="[{ name = 'champion' }]")
    spec, weak_spec = spec_of(project), spec_of(project, *WEAK, folder=weak_folder)
    snapshot = ingest(spec.data, "image", Store(settings.store), settings)
    contract = a_contract(snapshot)
    place = (folder, "mlp", snapshot, contract, settings)
    weak = train(weak_spec, *place, {"headrace.flow_run_id": "f1"})
    seen = evaluate(weak_spec, snapshot, contract, weak, None, Opened(settings))
    registered = register(
        weak_spec, weak_folder, snapshot, weak, seen, Opened(weak_settings)
    )
    conclude(weak_spec, seen, registered, Opened(weak_settings))
    good = train(spec, *place, {"headrace.flow_run_id": "f2"})
    good_seen = evaluate(spec, snapshot, contract, good, 1, Opened(settings))
    return Trained(
        settings, spec, folder, snapshot, contract, weak, seen, good, good_seen
    )


@pytest.fixture
def trained(_trained, tmp_path):
    """A copy of the home with two trainings, to do with as a test likes."""
    return _trained.moved(tmp_path / "trained")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    """One Prefect server for all runs inside this process."""
    from headrace_ops.run_server import TemporaryServer, configure

    home = tmp_path_factory.mktemp("server")
    before = dict(os.environ)
    settings = Settings(project=home, home=home)
    configure(settings)
    server = TemporaryServer(settings)
    server.wait()
    os.environ["PREFECT_API_URL"] = server.api_url
    if "prefect" in sys.modules:  # by a test that was collected
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    yield server.api_url
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=10)
    server.stop()
    for name in set(os.environ) - set(before):
        if name.startswith("PREFECT_"):
            del os.environ[name]


@pytest.fixture
def home(tmp_path, project):
    """An empty home."""
    return Home(tmp_path / "home", project)


@pytest.fixture(scope="session")
def first(tmp_path_factory, project, mlflow_database):
    """A home after its first run: a process of its own, with a temporary server."""

    def make(place):
        home = Home(place / "home", project)
        Settings(project=project, home=home.path).prepare_home()
        shutil.copy(mlflow_database, home.path / "mlflow.db")
        process = home.start("run", "blobs", "--json")
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        (place / "out").write_text(out)
        (place / "err").write_text(err)

    place = made_once(tmp_path_factory, "first", make)
    texts = [(place / name).read_text() for name in ("out", "err")]
    return Home(place / "home", project), Answer(0, *texts)


@pytest.fixture
def after_first(first, copy_of, tmp_path):
    """A copy of the home after its first run."""
    return Home(copy_of(first[0].path, tmp_path / "home"), first[0].project)


@pytest.fixture(scope="session")
def second(first, prefect_server, copy_of, tmp_path_factory):
    """A home after a second run, with another seed."""
    place = tmp_path_factory.mktemp("second") / "home"
    home = Home(copy_of(first[0].path, place), first[0].project)
    return home, home.headrace("run", "blobs", "--set", "training.seed=2", "--json")


@pytest.fixture
def after_second(second, copy_of, tmp_path):
    """A copy of the home after its second run."""
    return Home(copy_of(second[0].path, tmp_path / "home"), second[0].project)
