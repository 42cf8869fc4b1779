"""Work on a Dask cluster: a scheduler and workers on loopback, which are killed."""

import contextlib
import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.blobs import BLOBS, blobs, png
from tests.engine.clusters import WAIT_SECONDS, Cluster, until
from tests.homes import Home

from headrace.settings import Settings
from headrace.stages import clusters

pytest.importorskip("distributed", reason="needs the extra dask")
pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ROWS = 40_000


@pytest.fixture
def cluster(tmp_path):
    with contextlib.closing(Cluster(tmp_path)) as made:
        made.start("one", "two")
        yield made


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The pipeline ``blobs`` on a table of PNG files."""
    place = tmp_path_factory.mktemp("project")
    folder = place / "pipelines" / "blobs"
    folder.mkdir(parents=True)
    law = BLOBS.replace("blobs.npz", "blobs.parquet")
    (folder / "pipeline.toml").write_text(law.replace("epochs = 3", "epochs = 1"))
    (folder / "README.md").write_text("Bands.")
    images, labels = blobs(ROWS)
    table = {"image": [png(image) for image in images], "label": labels.astype(str)}
    pq.write_table(pa.table(table), folder / "blobs.parquet")
    return place


def started(home, *arguments, **environment):
    """A command in a process; its standard error is read, so that it goes on."""
    process = home.start(*arguments, **environment)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr))
    reader.start()
    return process, lines, reader


def ended(process, lines, reader):
    out = process.stdout.read()
    process.wait(WAIT_SECONDS)
    reader.join()
    return process.returncode, out and json.loads(out), "".join(lines)


@pytest.fixture(scope="module")
def whole(project, mlflow_database):
    """A home after a run by itself, and what the run said."""
    home = Home.of_project(project, mlflow_database)
    code, said, err = ended(*started(home, "run", "blobs", "--json"))
    assert code == 0, err
    return home, said


@pytest.fixture(scope="module")
def scored(whole, tmp_path_factory):
    """What one process writes of the source, and what it says."""
    place = tmp_path_factory.mktemp("scored") / "scores.parquet"
    answer = whole[0].headrace(*score(whole, place))
    assert answer.exit_code == 0, answer.err
    return place.read_bytes(), answer.json


def score(whole, place):
    source = whole[0].project / "pipelines/blobs/blobs.parquet"
    return "score", "blobs", str(source), str(place), "--json"


def same_but_for_place(said):
    return {k: v for k, v in said.items() if k not in ("seconds", "output")}


def test_a_worker_that_is_killed_while_it_decodes_changes_nothing(
    cluster, whole, project, mlflow_database, tmp_path
):
    home = Home(tmp_path / "home", project)
    Settings(project=project, home=home.path).prepare_home()
    run = started(home, "run", "blobs", "--json", HEADRACE_DASK_ADDRESS=cluster.address)
    cluster.kill_at_work("one")
    code, said, err = ended(*run)
    assert code == 0, err
    expected = whole[1]
    assert said["snapshot"]["digest"] == expected["snapshot"]["digest"]
    assert said["weights_digest"] == expected["weights_digest"]


def test_a_worker_that_is_killed_while_it_scores_changes_nothing(
    cluster, whole, scored, tmp_path
):
    home, place = whole[0], tmp_path / "scores.parquet"
    on_dask = {"HEADRACE_DASK_ADDRESS": cluster.address}
    run = started(home, *score(whole, place), **on_dask)
    cluster.kill_at_work("two")
    code, said, err = ended(*run)
    assert code == 0, err
    assert said["rows"] == ROWS
    assert same_but_for_place(said) == same_but_for_place(scored[1])
    assert place.read_bytes() == scored[0]
    assert not list((home.path / "store").glob("scores/*"))


def test_without_a_worker_it_says_so_and_ends_and_goes_on_with_a_new_one(
    cluster, whole, scored, tmp_path, monkeypatch
):
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(clusters, "WITHOUT_WORKERS_SECONDS", 3.0)
    monkeypatch.setenv("HEADRACE_DASK_ADDRESS", cluster.address)
    home, place = whole[0], tmp_path / "scores.parquet"
    command = score(whole, place)
    cluster.kill("two")
    killer = threading.Thread(target=lose_all, args=(cluster, home, parts_of(home)))
    killer.start()
    answer = home.headrace(*command)
    killer.join()
    assert answer.exit_code == 3
    assert "has no workers; waiting 3 s for one" in answer.err
    assert answer.json["error"]["kind"] == "DependencyError"
    assert "ended in the middle of their work" in answer.json["error"]["message"]
    assert not place.exists()
    cluster.start("three")
    answer = home.headrace(*command)
    assert answer.exit_code == 0, answer.err
    assert "parts were there from an earlier score" in answer.err
    assert same_but_for_place(answer.json) == same_but_for_place(scored[1])
    assert place.read_bytes() == scored[0]


def parts_of(home):
    return {*(home.path / "store").glob("scores/*/*.arrow")}


def lose_all(cluster, home, before):
    """Kill the only worker once the store has a part that it made."""
    until(lambda: parts_of(home) != before)
    cluster.kill_at_work("one")
