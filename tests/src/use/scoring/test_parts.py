"""A source that is scored in parts gives the same file, and goes on where it ended."""

import errno
import os
import threading
import time

import numpy as np
import pytest
from tests.src.use.scoring.conftest import X

from headrace.data.sources.readers import folder as readers
from headrace.errors import DependencyError, SourceError
from headrace.media import chunks
from headrace.state.store import Store
from headrace.use import scoring
from headrace.use.rows import ScoredColumns
from headrace.use.scoring import parts


@pytest.fixture
def small(monkeypatch):
    """Parts of six rows, one after the other."""
    monkeypatch.setattr(parts, "THREADS", 1)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    monkeypatch.setattr(readers, "ROWS_PER_CHUNK", 6)


@pytest.fixture
def done(monkeypatch):
    """The parts whose rows are made, not taken from before."""
    seen, write = [], Store.write

    def counted(store, key, data):
        if key.startswith("scores/") and key.count("/") == 2 and key.endswith(".arrow"):
            seen.append(key)
        return write(store, key, data)

    monkeypatch.setattr(Store, "write", counted)
    return seen


@pytest.fixture
def in_parts(trained, out):
    """Scores a source in parts; returns the record and the bytes of the output."""
    trained.home.store.delete_folder("scores")  # of tests that have failed to write

    def _score(source, name="parts.parquet", workers=0, settings=None, **given):
        place, settings = out / name, settings or trained.settings
        record = scoring.score(
            "blobs", str(source), str(place), settings, workers=workers, **given
        )
        return record, place.read_bytes()

    return _score


def kept(trained):
    """The files below ``scores/`` in the store."""
    return [key for key in trained.home.store.keys() if key.startswith("scores/")]


def stop_after(most):
    def progress(rows):
        if rows > most:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def labelled(tmp_path):
    """40 images with labels, as one array."""
    np.savez(tmp_path / "y.npz", x=X, y=np.arange(40) % 3)
    return tmp_path / "y.npz"


@pytest.mark.usefixtures("small")
def test_the_parts_of_a_source_are_gone_when_the_output_is_there(
    in_parts, trained, labelled, folder, done
):
    for source, count in ((labelled, 7), (folder, 8)):
        done.clear()
        seen = []
        record, _ = in_parts(source, progress=seen.append)
        assert len(done) == count
        assert seen[-1] == record.rows
        assert kept(trained) == []


@pytest.mark.usefixtures("small")
def test_a_score_that_was_stopped_goes_on_with_the_parts_that_it_has(
    in_parts, trained, labelled, done, caplog
):
    caplog.set_level("INFO", "headrace")
    expected = in_parts(labelled)[1]
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        in_parts(labelled, progress=stop_after(12))
    earlier = len(done)
    assert 3 <= earlier < 7
    assert {*done} <= {*kept(trained)}
    assert in_parts(labelled)[1] == expected
    assert len(done) == len({*done}) == 7
    assert f"{earlier} of 7 parts were there from an earlier score" in caplog.text
    assert kept(trained) == []


@pytest.mark.usefixtures("small")
def test_parts_of_another_source_or_with_other_columns_are_not_taken(
    in_parts, labelled, arrays, done
):
    with pytest.raises(KeyboardInterrupt):
        in_parts(labelled, progress=stop_after(0))
    earlier = len(done)
    in_parts(arrays)
    assert len(done) == earlier + 7
    labels = np.arange(40) % 3
    np.savez(labelled, x=X[::-1], y=labels)
    in_parts(labelled)
    assert len(done) == earlier + 7 + 7


def test_a_file_that_is_not_in_the_store_of_a_worker_is_named(trained):
    version = trained.home.ledger.find("blobs/1")
    job = parts.ScoringJob(
        store=trained.settings.store,
        source="x.npz",
        kind="npz",
        identity="",
        model="blobs/1",
        model_digest=version.model_digest,
        description=version.description,
        columns=ScoredColumns(),
        max_item_bytes=1,
    )
    part = parts.Part("rows.arrow", chunks.Chunk(None, X, [""] * 40, [""] * 40))
    with pytest.raises(DependencyError, match=r"model.keras is gone or was changed"):
        parts.score_part(job, part)


@pytest.mark.usefixtures("small")
def test_a_damaged_part_is_told_as_in_one_process(in_parts, trained, tmp_path, out):
    np.savez(tmp_path / "x.npz", x_train=X, x_test=np.full((2, 8, 8), np.nan))
    with pytest.raises(SourceError, match=r"x_test\[0\] has the pixel value nan"):
        in_parts(tmp_path / "x.npz")
    assert not list(out.iterdir())
    assert kept(trained) == []


@pytest.mark.usefixtures("small")
def test_an_output_that_cannot_be_written_keeps_its_parts(
    in_parts, trained, labelled, out, monkeypatch
):
    replace = os.replace

    def full(source, target):
        if str(target).startswith(str(out)):
            raise OSError(errno.ENOSPC, "no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DependencyError):
        in_parts(labelled)
    assert len(kept(trained)) == 8
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_refused_source_leaves_nothing_in_the_store(in_parts, trained, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((8, 9, 8), np.uint8))
    with pytest.raises(SourceError, match="None of the 8 items"):
        in_parts(tmp_path / "x.npz")
    assert kept(trained) == []


@pytest.mark.system
def test_processes_make_the_same_file(in_parts, labelled, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    expected = in_parts(labelled)[1]
    assert in_parts(labelled, workers=2)[1] == expected


@pytest.mark.system
@pytest.mark.parametrize("count", [1, 2])
def test_no_more_workers_of_dask_are_at_it_than_are_asked_for(
    in_parts, trained, labelled, monkeypatch, count
):
    distributed = pytest.importorskip("distributed")
    alone, running, most, answer = threading.Lock(), [], [], parts.answered

    def slowly(source, loaded, *, with_id):
        key = id(source)
        with alone:
            running.append(key)
            most.append(len(running))
        time.sleep(0.05)
        running.remove(key)
        yield from answer(source, loaded, with_id=with_id)

    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    expected = in_parts(labelled)[1]
    monkeypatch.setattr(parts, "answered", slowly)
    kinds = {"n_workers": 1, "threads_per_worker": 4, "dashboard_address": None}
    with distributed.LocalCluster(**kinds, processes=False) as cluster:
        address = {"dask_address": cluster.scheduler_address}
        settings = trained.settings.model_copy(update=address)
        assert in_parts(labelled, settings=settings, workers=count)[1] == expected
    assert len(most) == 7
    assert max(most) == count
