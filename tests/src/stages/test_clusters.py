"""A Dask cluster does the work, and that it has no workers is said and ends."""

import gc
import math
import os
import socket
import sys

import pytest
from tests.waiting import meeting

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.stages import clusters
from headrace.stages.pieces import Workers

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def no_client_that_failed():
    """Collect it now: collected while another one starts, it waits for its lock."""
    yield
    gc.collect()


def spread(work, tasks, settings):
    with Workers(settings) as several:
        yield from several.spread(work, tasks)


def _on_dask(folder, address, **values):
    settings = Settings(project=folder, dask_address=address, **values)
    return list(spread(math.sqrt, [1, 4, 9, 16, 25], settings))


def test_dask_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"not installed.* Install headrace\[dask\]"):
        _on_dask(tmp_path, "tcp://127.0.0.1:8786")


def test_a_store_that_is_no_folder_is_not_shared_with_dask(tmp_path):
    with pytest.raises(UsageError, match=r"the store memory://store is no folder"):
        _on_dask(tmp_path, "tcp://127.0.0.1:8786", store="memory://store")


def test_a_dask_address_must_be_one(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(
        DependencyError, match=r"scheduler here does not answer: .*port"
    ):
        _on_dask(tmp_path, "here")


def test_a_dask_scheduler_that_is_away_can_be_tried_again(tmp_path):
    dask = pytest.importorskip("dask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        with pytest.raises(DependencyError, match=rf"{address} does not answer"):
            _on_dask(tmp_path, address)


def test_a_dask_cluster_without_workers_can_be_tried_again(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        with pytest.raises(DependencyError, match=r"has no workers"):
            _on_dask(tmp_path, cluster.scheduler_address)


def test_a_dask_cluster_that_loses_its_workers_is_not_waited_for_without_end(
    tmp_path, monkeypatch, caplog
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(clusters, "WITHOUT_WORKERS_SECONDS", 1.0)
    kinds = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**kinds, processes=False) as cluster:
        settings = Settings(project=tmp_path, dask_address=cluster.scheduler_address)
        with pytest.raises(DependencyError, match=r"ended in the middle"):
            for _ in spread(math.sqrt, map(float, range(100)), settings):
                cluster.scale(0)
    assert "has no workers; waiting 1 s" in caplog.text


def test_a_dask_scheduler_that_vanishes_is_not_waited_for_without_end(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    )
    settings = Settings(project=tmp_path, dask_address=cluster.scheduler_address)
    with pytest.raises(DependencyError, match=r"ended in the middle"):
        for _ in spread(math.sqrt, map(float, range(100_000)), settings):
            cluster.close()


def test_a_dask_cluster_does_the_work(tmp_path):
    distributed = pytest.importorskip("distributed")
    patience = {"distributed.scheduler.allowed-failures": 0}
    with (
        pytest.importorskip("dask").config.set(patience),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
    ):
        settings = Settings(project=tmp_path, dask_address=cluster.scheduler_address)
        assert _on_dask(tmp_path, cluster.scheduler_address) == [1, 2, 3, 4, 5]
        found = set(spread(eval, [meeting(tmp_path / "met", 2)] * 8, settings))
        assert len(found) == 2
        assert os.getpid() not in found
        with pytest.raises(ZeroDivisionError):
            list(spread(eval, ["1 / 0"] * 8, settings))
        with pytest.raises(DependencyError, match=r"ended in the middle"):
            list(spread(eval, ["__import__('os')._exit(9)"] * 4, settings))
