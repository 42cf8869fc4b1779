"""An engine is kept only if it gives the golden answers, whole or not at all."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests import versions

from headrace.errors import DependencyError, HeadraceError
from headrace.models.engines import (
    TOLERANCE,
    build_engine,
    onnx,
    open_engine,
)
from headrace.models.engines.stored import open_stored, read_record, read_stored
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.system

BUILD = """
import sys
from headrace.models.engines import build_engine
from headrace.settings import Settings
from headrace.state.ledger import Ledger
settings = Settings()
version = Ledger(settings.database_url).version("images", 1)
print(build_engine(version, settings).record.engine)
"""


def version_of(settings, model):
    return Ledger(settings.database_url).version(model, 1)


def kept_files(settings):
    return sorted(Path(settings.store).glob("engines/*/*"))


def building(settings):
    """Another process that builds the engine of images."""
    places = {"HEADRACE_HOME": str(settings.home), "HEADRACE_ENGINES": "auto"}
    return subprocess.Popen(
        [sys.executable, "-c", BUILD],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        text=True,
    )


def exporter_of(pid):
    """The child of a process that exports, once it works."""
    for _ in range(600):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.ZombieProcess):  # of another test
                if "headrace.models.engines.exporting" in child.cmdline():
                    return child
        time.sleep(0.05)
    raise AssertionError("nothing exports")


def has_gone(pid):
    for _ in range(1200):
        if not psutil.pid_exists(pid):
            return True
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def no_more_exports(monkeypatch):
    """A process that were started now would end at once, without a result."""
    monkeypatch.setattr(sys, "executable", "/bin/false")


@pytest.mark.parametrize(
    ("model", "engine"), [("images", "onnx"), ("audios", "onnx"), ("texts", "keras")]
)
@pytest.mark.usefixtures("no_more_exports")
def test_each_medium_has_the_engine_that_gives_its_answers(built, model, engine):
    version = version_of(built, model)
    record = read_record(version, built)
    assert record is not None
    assert record.engine == engine
    attempt = record.attempt
    assert (attempt.engine, bool(attempt.reason)) == ("onnx", engine == "keras")
    if not attempt.reason:
        assert attempt.difference is not None
        assert attempt.difference <= TOLERANCE
        assert attempt.latency_ms is not None
        assert attempt.latency_ms > 0
    stored = build_engine(version, built)  # known, without an export
    assert (stored is None) == (engine == "keras")


def test_an_engine_whose_answers_differ_is_not_admitted(registered):
    version = version_of(registered, "wild")
    assert build_engine(version, registered) is None
    record = read_record(version, registered)
    assert record is not None
    assert record.engine == "keras"
    assert [path.name for path in kept_files(registered)] == ["record.json"]
    assert "its answers differ by" in record.attempt.reason
    assert record.attempt.difference is not None
    assert record.attempt.difference > TOLERANCE


def test_what_was_refused_is_tried_again_with_other_libraries(built):
    version = version_of(built, "texts")
    record = read_record(version, built)
    assert record is not None
    assert record.is_current
    older = record.attempt.model_copy(update={"libraries": {"onnx": "0.1"}})
    assert not record.model_copy(update={"attempt": older}).is_current


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "record.json"])
def test_a_changed_file_counts_as_absent_and_is_built_anew(built, name):
    version = version_of(built, "images")
    (file,) = Path(built.store).glob(f"engines/{version.model_digest}/{name}")
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert read_stored(version, built) is None
    assert open_stored(version, built) is None
    assert build_engine(version, built) is not None
    engine = open_stored(version, built)
    assert engine is not None
    engine.close()


def test_another_models_engine_is_not_this_ones(built):
    version, other = version_of(built, "images"), version_of(built, "audios")
    folder = Path(built.store) / "engines"
    theirs = (folder / other.model_digest / "record.json").read_bytes()
    (folder / version.model_digest / "record.json").write_bytes(theirs)
    assert open_stored(version, built) is None


@pytest.mark.parametrize("medium", ["image", "audio"])
def test_a_kept_engine_answers_without_tensorflow(built, medium):
    script = f"""
import sys
import numpy as np
from tests import versions
from headrace.models.engines import open_engine
from headrace.settings import Settings
from headrace.state.ledger import Ledger
settings = Settings()
version = Ledger(settings.database_url).version("{medium}s", 1)
engine = open_engine(version, settings)
expected = versions.expected(settings, version)
for items in versions.forms("{medium}"):
    assert np.abs(engine(items) - expected).max() <= 1e-5
    assert engine(items[:0]).shape == (0, 3)
    many = engine(np.resize(items, (2500, *items.shape[1:])))
    assert many.dtype == np.float32
    assert np.abs(many - np.resize(expected, many.shape)).max() <= 1e-5
heavy = {{"tensorflow", "keras", "mlflow", "pandas", "prefect", "great_expectations"}}
print(engine.name, sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HEADRACE_HOME": str(built.home),
            "HEADRACE_ENGINES": "auto",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "onnx []\n", done.stderr


def test_a_killed_builder_leaves_nothing(registered):
    builder = building(registered)
    exporter = exporter_of(builder.pid)
    builder.kill()
    builder.wait()
    assert has_gone(exporter.pid)
    assert kept_files(registered) == []


def test_a_home_that_is_deleted_meanwhile_can_be_made_anew(registered):
    version = version_of(registered, "images")
    shutil.rmtree(registered.home)
    registered.home.mkdir(0o700)  # as where files are made while others are deleted
    with pytest.raises(HeadraceError):
        build_engine(version, registered)
    registered.prepare_home()


@pytest.mark.usefixtures("cold")
def test_a_killed_export_is_no_verdict(registered):
    version = version_of(registered, "images")
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(open_engine, version, registered)
        exporter_of(os.getpid()).send_signal(signal.SIGKILL)
        with pytest.raises(DependencyError, match="to onnx was killed by signal 9"):
            found.result()
    assert kept_files(registered) == []


def test_of_two_builders_at_once_one_engine_is_kept_whole(registered):
    builders = [building(registered), building(registered)]
    assert [one.communicate()[0] for one in builders] == ["onnx\n", "onnx\n"]
    files = kept_files(registered)
    assert [path.name for path in files] == ["golden.npz", "model.onnx", "record.json"]
    assert open_stored(version_of(registered, "images"), registered) is not None


def test_nothing_is_built_where_engines_are_off(registered):
    off = registered.model_copy(update={"engines": "none"})
    version = version_of(registered, "images")
    assert build_engine(version, off) is None
    assert kept_files(off) == []


def test_without_the_extra_nothing_is_built_and_the_log_says_so(
    registered, monkeypatch, caplog
):
    monkeypatch.setattr(onnx, "RUNTIME", "no-such-distribution")
    with caplog.at_level(logging.INFO):
        assert build_engine(version_of(registered, "images"), registered) is None
    assert "pip install 'headrace[serve]'" in caplog.text
    assert kept_files(registered) == []


def test_an_engine_without_its_runtime_is_not_opened(built, monkeypatch, caplog):
    monkeypatch.setattr(onnx, "RUNTIME", "no-such-distribution")
    with caplog.at_level(logging.INFO):
        assert open_stored(version_of(built, "images"), built) is None
    assert "onnx is not installed" in caplog.text


def test_an_interrupt_amid_a_runtimes_import_is_not_taken_for_its_failure(
    built, monkeypatch
):
    def engine(*_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:  # as pybind11 reports it
            raise ImportError("initialization failed") from interrupt

    monkeypatch.setattr(onnx, "ENGINE", engine)
    with pytest.raises(KeyboardInterrupt):
        open_stored(version_of(built, "images"), built)


def test_an_engine_is_built_at_its_first_use_and_kept(registered, caplog):
    version = version_of(registered, "images")
    with caplog.at_level(logging.INFO):
        engine = open_engine(version, registered)
    assert engine.name == "onnx"
    answers = engine(versions.forms("image")[0])
    assert np.abs(answers - versions.expected(registered, version)).max() <= TOLERANCE
    assert "images version 1: engine onnx" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        open_engine(version, registered).close()
    assert "is built" not in caplog.text
    engine.close()
