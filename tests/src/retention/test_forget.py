"""``headrace forget``: items are gone from data, logs, pages and golden answers."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.blobs import blobs, spec_of, write_blobs

from headrace.data.corrections import (
    Correction,
    Corrections,
    ForgottenItems,
    find_corrections,
    save_corrections,
)
from headrace.data.snapshots.reading import DIGEST
from headrace.errors import IntegrityError
from headrace.models.engines.stored import golden_bytes
from headrace.models.logged.checks import require_sound
from headrace.models.logged.copies import golden_key
from headrace.models.logged.golden import Golden
from headrace.models.logged.loading import load_champion
from headrace.planning import Plan
from headrace.records import MANIFEST
from headrace.retention import forgetting
from headrace.stages.evaluation.comparison import judged_items, keep_items
from headrace.stages.ingestion import ingest
from headrace.state.home import Home
from headrace.state.ledger.holding import hold
from headrace.state.requests import SCHEMA
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.state.tracking.disposal import Disposal
from headrace.state.tracking.runs import PROCESS_TAG

pytestmark = pytest.mark.system

KILLED = Path(__file__).parents[2] / "flows" / "killed.py"


def rows_of(many, digest):
    """All rows of a stored snapshot."""
    folder = Path(many.settings.store) / "snapshots" / digest
    return pa.concat_tables(
        pq.read_table(path, columns=["item", "split", "label", "group"])
        for path in sorted((folder / "items").iterdir())
    )


@pytest.fixture
def item(many):
    """An item of train of the champion's data, which its golden answers show."""
    data = Tracking(many.settings).run_file(
        many.ledger.version("blobs", 1).run_id, GOLDEN_FILE
    )
    return hashlib.sha256(Golden.read(data).items[2].tobytes()).hexdigest()


def shas_in(path):
    """The sha256 of the items of a golden file."""
    items = Golden.read(path.read_bytes()).items
    return [hashlib.sha256(one.tobytes()).hexdigest() for one in items]


def write_log(path, items):
    """Write a file of a request log."""
    names, count = ("model", "role", "answer", "engine", "request_id"), len(items)
    columns = {name: ["x"] * count for name in names}
    columns |= {"item": items, "row": [0] * count, "version": [1] * count}
    table = pa.table(
        {
            field.name: pa.array(columns.get(field.name, [None] * count), field.type)
            for field in SCHEMA
        }
    )
    pq.write_table(table, path)


def forget(item):
    return ("forget", "blobs", "--item", item, "--yes", "--json")


def check_forgotten(many, item):
    """Nothing in the home names or shows the item, and all that is left is whole."""
    snapshots = [path.name for path in (many.home.path / "store/snapshots").iterdir()]
    assert snapshots == [many.other.digest]
    assert item not in rows_of(many, many.other.digest)["item"].to_pylist()
    for path, content in many.files.items():
        assert item.encode() not in content, path
        assert bytes.fromhex(item) not in content, path
    assert item.encode() not in (many.home.path / "headrace.db").read_bytes()
    verified = many.home.headrace("verify", "--json")
    assert verified.exit_code == 0, verified.out
    collected = {"forgotten snapshots": 1, "golden answers": 2}
    assert verified.json["collected"] == collected
    repaired = many.home.headrace("verify", "--repair", "--json")
    assert (repaired.exit_code, repaired.json["repairs"]) == (0, [])
    assert [one.ended is None for one in many.ledger.facts.forgettings()] == [False]


def test_an_item_is_gone_from_all_that_shows_it(many, item):
    assert item in rows_of(many, many.first.digest)["item"].to_pylist()
    pages = [name for name in many.files if "/pictures/" in name]
    answer = many.home.headrace(*forget(item))
    assert answer.exit_code == 0, answer.out
    done = answer.json
    assert (done["status"], done["rows"]) == ("forgotten", {"train": 1})
    assert done["snapshots"] == [many.first.digest]
    assert done["versions"] == ["blobs/1", "blobs/4"]
    assert done["champions"] == ["blobs"]
    assert "train anew with `headrace run blobs`, and promote" in done["reason"]
    check_forgotten(many, item)
    left = [name for name in many.files if "/pictures/" in name]
    assert pages
    runs = Disposal(many.settings).stored_runs()
    others = {run.run_id for run in runs if run.snapshot == many.other.digest}
    assert left == [name for name in pages if any(run in name for run in others)]


def test_golden_answers_that_show_it_are_deleted(many, item):
    """The version is served with its answer to zeros, and never promoted again."""
    answer = many.home.headrace(*forget(item)).json
    assert answer["deleted"]["golden answers"] == 2
    assert "nothing is rolled back to the old one" in answer["reason"]
    version, home = many.ledger.version("blobs", 1), Home(many.settings)
    for place in (many.settings.home / "mlartifacts", Path(many.settings.store)):
        for path in place.rglob("golden.npz"):
            assert item not in shas_in(path)
    with pytest.raises(IntegrityError, match="deleted by `headrace gc` or `headrace f"):
        require_sound(version, home)
    verified = many.home.headrace("verify", "--repair", "--json")
    assert verified.exit_code == 0, verified.out
    model = load_champion("blobs", many.settings)
    assert model.version == 1
    golden = Golden.read(golden_bytes(version, many.settings))
    assert golden.items.shape[0] == 1 and not golden.items.any()
    np.testing.assert_allclose(model(golden.items), golden.outputs, atol=1e-6)


def test_copies_and_corrections_are_without_it(many, item):
    store = Home(many.settings).store
    rows = Correction(item, "a", "b"), Correction("c" * 64, "a", "b")
    for some in (rows[:1], rows):
        save_corrections(store, Corrections(pipeline="blobs", rows=some, who="ada"))
    store.write("references/one.npz", b"weights")
    store.write("recognisers/one.keras", b"a voice")
    assert many.home.headrace(*forget(item)).json["deleted"]["corrected labels"] == 1
    check_forgotten(many, item)
    assert find_corrections(store, "blobs").rows == rows[1:]
    assert not any(name.startswith("store/references/") for name in many.files)
    assert not any(name.startswith("store/recognisers/") for name in many.files)


def test_golden_answers_are_deleted_where_only_the_copy_is_left(many, item):
    version, settings = many.ledger.version("blobs", 1), many.settings
    for path in settings.home.glob("mlartifacts/**/golden.npz"):
        path.unlink()
    assert many.home.headrace(*forget(item)).json["deleted"]["golden answers"] == 2
    assert not Home(settings).store.exists(golden_key(version))


def test_what_a_new_pipeline_was_drafted_from_is_of_the_ledger(many, item):
    many.home.headrace(*forget(item))
    source = spec_of(many.settings.project).data.source
    drafted = many.home.headrace(
        "new", "again", "--medium", "image", "--data", source, "--json"
    )
    assert drafted.exit_code == 0, drafted.err
    shutil.rmtree(many.settings.project / "pipelines" / "again")  # others list them
    snapshots = Path(many.settings.store) / "snapshots"
    for folder in snapshots.iterdir():
        assert item not in rows_of(many, folder.name)["item"].to_pylist()
    assert many.home.headrace(*forget(item)).exit_code == 0


def test_snapshots_that_killed_runs_have_left_are_deleted_if_they_may_have_the_item(
    many, item
):
    snapshots = Path(many.settings.store) / "snapshots"
    first = snapshots / many.first.digest
    with_item, torn = (snapshots / (letter * 64) for letter in "ab")
    for folder in (with_item, torn):
        shutil.copytree(first, folder)
    (torn / MANIFEST).unlink()
    data = write_blobs(many.settings.project / "more.npz", seed=99)
    spec = spec_of(many.settings.project, f"data.source='{data}'")
    without = ingest(spec.data, "image", Store(many.settings.store), many.settings)
    answer = many.home.headrace(*forget(item))
    assert answer.exit_code == 0, answer.err
    assert {*answer.json["snapshots"]} == {many.first.digest, with_item.name}
    assert not with_item.exists() and not torn.exists()
    assert (snapshots / without.digest).exists(), "another ledger may use it"


@pytest.mark.parametrize("damage", ["manifest", "shard"])
def test_a_snapshot_that_cannot_be_searched_is_named_and_nothing_changes(
    many, item, damage
):
    folder = Path(many.settings.store) / "snapshots" / many.other.digest
    name = MANIFEST if damage == "manifest" else "items/0000.parquet"
    (folder / name).write_text("[]")
    before = many.files
    answer = many.home.headrace(*forget(item))
    assert answer.exit_code == 1
    assert f"{folder} cannot be searched" in answer.json["reason"]
    assert "Delete this folder" in answer.json["reason"]
    assert many.files == before
    assert many.ledger.facts.forgettings() == []


def test_judged_items_stay_judged_without_the_forgotten_one(many, item):
    judged = [bytes([n]) * 32 for n in (1, 2)] + [bytes.fromhex(item)]
    store = Home(many.settings).store
    digest = keep_items(np.array(judged, DIGEST), store)
    many.home.headrace(*forget(item))
    left = judged_items(digest, store)
    assert left is not None
    assert left.tolist() == judged[:2]
    assert bytes.fromhex(item) not in b"".join(
        store.read(key) for key in store.keys() if key.startswith("judged/")
    )


def test_reports_are_gone_where_only_the_log_has_the_item(many):
    logged = "d" * 64
    day = many.home.path / "store" / "requests" / "blobs" / "2999-01-01" / "00"
    day.mkdir(parents=True)
    write_log(day / "00-a.parquet", [logged, "b" * 64])
    tracking = Tracking(many.settings)
    experiment = tracking.experiment("blobs")
    tags = {PROCESS_TAG: "host-1"}
    run = tracking.client.create_run(experiment, tags=tags).info.run_id
    tracking.client.log_text(run, f"<img>{logged}", "monitor.html")
    assert any(logged.encode() in content for content in many.files.values())
    deleted = many.home.headrace(*forget(logged)).json["deleted"]
    assert deleted["parts of request logs"] == 1
    assert not any(logged.encode() in content for content in many.files.values())


def test_the_next_snapshot_leaves_it_out_and_says_so(many, item):
    project = many.settings.project
    plan = Plan(spec_of(project), project / "pipelines" / "blobs", Home(many.settings))
    key = plan.ingest().fingerprint
    many.home.headrace(*forget(item))
    assert plan.ingest().fingerprint != key
    snapshot = ingest(
        plan.spec.data,
        "image",
        plan.home.store,
        many.settings,
        forgotten=plan.forgotten,
    )
    assert sum(snapshot.rows.values()) == sum(many.first.rows.values()) - 1
    assert any("1 of 240 items: left out" in note for note in snapshot.notes)


def test_a_run_on_such_data_is_not_said_to_be_reproducible(many, item):
    many.home.headrace(*forget(item))
    answer = many.home.headrace("reproduce", "blobs/4", "--json")
    assert answer.exit_code == 2
    assert "data of the run was deleted by `headrace gc` or" in answer.json["reason"]


def test_the_tombstone_does_not_reveal_the_item(many, item):
    many.home.headrace(*forget(item))
    forgotten = ForgottenItems.of(many.ledger, "blobs")
    assert forgotten.marks == {forgotten.mark_item(item)}
    (one,) = many.ledger.facts.forgettings()
    assert (one.pipeline, one.kind, one.who) == ("blobs", "item", "ada@lab")
    other = ForgottenItems("blobs", "00" * 32, forgotten.marks)
    assert not other.has_items([item]).any(), "the key is needed to test a guess"
    assert many.ledger.walk_chain().problem == ""


def test_parts_of_request_logs_that_have_it_are_deleted(many, item):
    hour = many.home.path / "store" / "requests" / "blobs" / "2999-01-01" / "00"
    hour.mkdir(parents=True)
    write_log(hour / "a.parquet", [item, "b" * 64, item])
    write_log(hour / "b.parquet", ["b" * 64])
    deleted = many.home.headrace(*forget(item)).json["deleted"]
    assert deleted["parts of request logs"] == 1
    assert [path.name for path in hour.iterdir()] == ["b.parquet"]


POINTS = [
    ("headrace.state.ledger.facts:Facts.begin_forgetting", "after"),
    ("headrace.retention.forgetting.deleting:_delete_results", "before"),
    ("headrace.state.ledger.facts:Facts.record_deleted", "after"),
    ("headrace.retention.forgetting.deleting:delete_snapshots", "before"),
    ("headrace.state.ledger.facts:Facts.record_deleted", "after:3"),
    ("headrace.state.store:Store.delete_folder", "before:4"),
    ("headrace.state.ledger.facts:Facts.end_forgettings", "before"),
]


@pytest.mark.parametrize(
    ("place", "when"),
    [
        POINTS[0],
        *(pytest.param(*p, marks=pytest.mark.integration) for p in POINTS[1:]),
    ],
)
def test_a_killed_command_is_ended_by_the_next_which_need_not_know_the_item(
    many, item, place, when
):
    process = subprocess.run(
        [sys.executable, str(KILLED), place, when, *forget(item)],
        env={**os.environ, **many.home.environment},
        cwd=many.home.project,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    answer = many.home.headrace("forget", "blobs", "--yes", "--json")
    assert answer.exit_code == 0, answer.out
    assert answer.json["versions"] == ["blobs/1", "blobs/4"]
    check_forgotten(many, item)


def test_what_no_snapshot_has_is_said_to_be_found_nowhere(many):
    answer = many.home.headrace(*forget("a" * 64))
    assert answer.exit_code == 0
    assert answer.json["reason"].startswith("no stored snapshot has this item (see")
    assert answer.json["versions"] == []


def test_what_is_not_confirmed_changes_nothing(many, item):
    before, asked = many.files, []

    def decline(outcome):
        asked.append(outcome)
        return False

    done = forgetting.forget(many.settings, "blobs", item=item, confirm=decline)
    assert done.status == "declined"
    assert (asked[0].rows, asked[0].snapshots) == ({"train": 1}, (many.first.digest,))
    assert asked[0].versions == ("blobs/1", "blobs/4")
    assert done.reason.startswith("1 row of 1 snapshot; the data of a champion had")
    assert many.files == before
    assert many.ledger.facts.forgettings() == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--item", "12ab", "--yes"), 2, "is not the sha256 of an item"),
        (("--item", "a" * 64, "--group", "x", "--yes"), 2, "either --item or --group"),
        (("--item", "a" * 64), 2, "Add --yes"),
    ],
)
def test_bad_words_are_refused(many, words, code, text):
    answer = many.home.headrace("forget", "blobs", *words, "--json")
    assert answer.exit_code == code
    assert text in answer.json["reason"]
    assert many.ledger.facts.forgettings() == []


def test_nothing_is_forgotten_under_a_run_or_of_an_unknown_pipeline(many, item):
    with hold(many.settings, "blobs", "run-1"):
        answer = many.home.headrace(*forget(item))
    assert answer.exit_code == 3
    assert "A run uses the data: blobs" in answer.json["reason"]
    unknown = many.home.headrace("forget", "nobody", "--item", item, "--yes", "--json")
    assert unknown.exit_code == 2
    assert "Known pipelines" in unknown.json["reason"]
    assert item in rows_of(many, many.first.digest)["item"].to_pylist()


@pytest.fixture
def speakers(many, tmp_path):
    """Blobs in a table whose rows are of four people, one of whom is in val, too."""
    from PIL import Image

    images, labels = blobs(60, seed=3)
    folder = tmp_path / "people"
    folder.mkdir()
    lines = ["path,label,who"]
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{label},person {row % 4}")
    (folder / "people.csv").write_text("\n".join(lines))
    yield folder
    shutil.rmtree(folder)


def test_a_group_is_gone_with_all_its_items(many, speakers):
    project = many.settings.project
    spec = spec_of(
        project,
        f"data.source='{speakers}'",
        "data.item=path",
        "data.label=label",
        "data.group=who",
    )
    plan = Plan(spec, project / "pipelines" / "blobs", Home(many.settings))
    snapshot = ingest(spec.data, "image", plan.home.store, many.settings)
    plan.save(plan.ingest(), snapshot, 0.1)
    groups = rows_of(many, snapshot.digest)["group"].to_pylist()
    assert groups.count("person 2") == 15
    answer = many.home.headrace(
        *("forget", "blobs", "--group", "person 2", "--yes", "--json")
    )
    assert answer.exit_code == 0, answer.out
    assert sum(answer.json["rows"].values()) == 15
    assert not (Path(many.settings.store) / "snapshots" / snapshot.digest).exists()
    again = ingest(
        spec.data, "image", plan.home.store, many.settings, forgotten=plan.forgotten
    )
    left = rows_of(many, again.digest)["group"].to_pylist()
    assert sorted({*left}) == ["person 0", "person 1", "person 3"]
    assert len(left) == 45
    another = replace(ForgottenItems.of(many.ledger), pipeline="other")
    shas = ["c" * 64]
    assert not another.has_rows(shas, ["person 2"]).any(), "its group is another one"
    assert ForgottenItems.of(many.ledger, "blobs").has_rows(shas, ["person 2"]).all()
    assert np.array_equal(ForgottenItems().has_rows(shas, ["person 2"]), [False])
