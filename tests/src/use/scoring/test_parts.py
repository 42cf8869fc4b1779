"""A source that is scored in parts gives the same file, and goes on where it ended."""

import contextlib
import errno
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.src.use.scoring.conftest import X, png

from headrace.data import decoding
from headrace.data.sources.readers import folder as readers
from headrace.errors import DependencyError, SourceError, UsageError
from headrace.media import chunks
from headrace.stages.pieces import Place
from headrace.state.store import Store
from headrace.use import scoring
from headrace.use.scoring import packing, parts


@pytest.fixture
def small(monkeypatch):
    """Chunks of six rows, whose parts are done by a thread of this process."""
    monkeypatch.setattr(packing, "ROWS", 1)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    monkeypatch.setattr(readers, "ROWS_PER_CHUNK", 6)

    @contextlib.contextmanager
    def opened(settings, count, *, threads):
        with ThreadPoolExecutor(1) as executor:
            yield Place(executor, count, "here", settings)

    monkeypatch.setattr(parts, "opened", opened)


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

    def _score(source, name="parts.parquet", workers=2, settings=None, **given):
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
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_file_is_that_of_one_process(
    in_parts, trained, labelled, folder, suffix, done
):
    for source, count in ((labelled, 7), (folder, 8)):
        done.clear()
        one, expected = in_parts(source, f"one.{suffix}", workers=0)
        assert not done
        seen = []
        record, given = in_parts(source, f"parts.{suffix}", progress=seen.append)
        assert len(done) == count
        assert given == expected
        same = {"output": "", "seconds": 0}
        assert record.model_copy(update=same) == one.model_copy(update=same)
        assert seen[-1] == record.rows
        assert kept(trained) == []


@pytest.mark.usefixtures("small")
def test_a_score_that_was_stopped_goes_on_with_the_parts_that_it_has(
    in_parts, trained, labelled, done, caplog
):
    caplog.set_level("INFO", "headrace")
    expected = in_parts(labelled, workers=0)[1]
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
    part = parts.Part(trained.settings.store, "scores/none", "0" * 64)
    with pytest.raises(DependencyError, match=r"plan.json is gone or was changed"):
        parts.score_part(part)


@pytest.mark.usefixtures("small")
def test_a_damaged_part_is_told_as_in_one_process(in_parts, trained, tmp_path, out):
    np.savez(tmp_path / "x.npz", x_train=X, x_test=np.full((2, 8, 8), np.nan))
    with pytest.raises(SourceError, match=r"x_test\[0\] has the pixel value nan"):
        in_parts(tmp_path / "x.npz")
    assert not list(out.iterdir())
    assert kept(trained) == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
def test_an_output_that_cannot_be_written_keeps_earlier_parts(
    in_parts, trained, labelled, out, monkeypatch, number
):
    make = tempfile.mkdtemp

    def made(suffix=None, prefix=None, place=None):
        if place == str(out):
            raise OSError(number, "no")
        return make(suffix, prefix, place)

    with pytest.raises(KeyboardInterrupt):
        in_parts(labelled, progress=stop_after(0))
    before = {*kept(trained)}
    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with pytest.raises((UsageError, DependencyError)):
        in_parts(labelled)
    assert {*kept(trained)} == before


@pytest.mark.usefixtures("small")
def test_a_refused_source_leaves_nothing_in_the_store(in_parts, trained, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((8, 9, 8), np.uint8))
    with pytest.raises(SourceError, match="None of the 8 items"):
        in_parts(tmp_path / "x.npz")
    assert kept(trained) == []


@pytest.mark.usefixtures("small")
def test_files_that_unpack_to_too_much_are_refused_over_all_parts(
    in_parts, trained, folder, monkeypatch
):
    for row in range(12):
        (folder / f"{row}.png").write_bytes(png(np.zeros((200, 200), np.uint8)))
    monkeypatch.setattr(decoding, "_FREE_BYTES", 300_000)  # more than a part has
    monkeypatch.setattr(decoding, "MEDIA_RATIO", 1)
    for count in (0, 2):
        with pytest.raises(SourceError, match=r"decodes from .* bytes to [34]\d\d,"):
            in_parts(folder, workers=count)


@pytest.mark.usefixtures("small")
def test_a_worker_with_other_code_is_refused(in_parts, labelled, monkeypatch):
    parts._opened.cache_clear()
    states = iter([{"code a": "1"}, {"code a": "2"}])
    monkeypatch.setattr(parts, "code_state", lambda roots: next(states))
    with pytest.raises(UsageError, match="code a differs"):
        in_parts(labelled)


@pytest.mark.system
def test_processes_make_the_same_file(in_parts, labelled, monkeypatch):
    monkeypatch.setattr(packing, "ROWS", 1)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    expected = in_parts(labelled, workers=0)[1]
    assert in_parts(labelled, workers=2)[1] == expected


@pytest.mark.system
@pytest.mark.parametrize("count", [1, 2])
def test_no_more_workers_of_dask_are_at_it_than_are_asked_for(
    in_parts, trained, labelled, monkeypatch, count
):
    distributed = pytest.importorskip("distributed")
    alone, running, most, read = threading.Lock(), [], [], parts.fetch

    def slowly(store, key, sha256):
        if "/read/" not in key:
            return read(store, key, sha256)
        with alone:
            running.append(key)
            most.append(len(running))
        time.sleep(0.05)
        running.remove(key)
        return read(store, key, sha256)

    monkeypatch.setattr(packing, "ROWS", 1)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 6)
    monkeypatch.setattr(parts, "fetch", slowly)
    expected = in_parts(labelled, workers=0)[1]
    kinds = {"n_workers": 1, "threads_per_worker": 4, "dashboard_address": None}
    with distributed.LocalCluster(**kinds, processes=False) as cluster:
        address = {"dask_address": cluster.scheduler_address}
        settings = trained.settings.model_copy(update=address)
        assert in_parts(labelled, settings=settings, workers=count)[1] == expected
    assert len(most) == 7
    assert max(most) == count
