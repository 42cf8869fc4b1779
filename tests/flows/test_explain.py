"""``headrace explain`` as a user has it."""

import json

import pytest
from PIL import Image
from tests.blobs import blobs
from tests.homes import Home
from tests.src.serving.conftest import Site

from headrace.data.snapshots.splits import SplitRows
from headrace.explanations import Verdict, verdict
from headrace.serving.served import open_served
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.use import explaining


@pytest.fixture(scope="module")
def explained(tmp_path_factory, project, prefect_server):
    """A home after a run that has checked its explanations."""
    place = tmp_path_factory.mktemp("explained")
    home = Home(place / "home", project)
    home = home.with_law(place / "project", evaluation='{ depth = "auto" }')
    run = home.headrace("run", "blobs", "--json")
    home.headrace("explain", "blobs")
    return home, run


@pytest.fixture
def picture(tmp_path):
    """A blob of class 1: a bright band in rows 4 and 5 of 8."""
    pixels = blobs(2, seed=9)[0][1]
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_a_file_is_explained_and_its_map_drawn(explained, picture, tmp_path):
    home, _ = explained
    output = tmp_path / "map.png"
    arguments = ("explain", "blobs", str(picture), "--output", str(output))
    answer = home.headrace(*arguments, "--json")
    assert answer.exit_code == 0, answer.err
    given = answer.json
    assert given["status"] == "ok"
    assert (given["model"], given["version"]) == ("blobs", 1)
    assert given["answer"]["label"] == "1"
    assert given["words"].startswith("1 (")
    assert given["method"] in ("gradients", "occlusion")
    assert given["sanity"][given["method"]]["status"] == "passed"
    first_part, *rest = given["parts"]
    assert first_part["name"].startswith(("rows 3 to 4", "rows 5 to 6"))
    assert first_part["value"] > 0
    sizes = [abs(part["value"]) for part in (first_part, *rest)]
    assert sizes == sorted(sizes, reverse=True)
    with Image.open(output) as drawn:
        assert drawn.format == "PNG"
    text = home.headrace(*arguments).out
    assert text.startswith("blobs version 1 answers 1 (")
    assert text.endswith(f"{output}\n")
    assert "sanity check passed: rank correlation" in text


def test_the_items_of_a_folder_are_explained_on_a_page(explained, picture, tmp_path):
    home, _ = explained
    folder, output = tmp_path / "some", tmp_path / "page.html"
    folder.mkdir()
    for name in ("a.png", "b<i>.png"):
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "c.png").write_bytes(picture.read_bytes()[:-30])
    arguments = ("explain", "blobs", str(folder), "--output", str(output))
    answer = home.headrace(*arguments, "--json")
    assert answer.exit_code == 0, answer.err
    (other,) = answer.json["others"]
    assert (answer.json["name"], other["name"]) == ("a.png", "b<i>.png")
    assert other["answer"] == answer.json["answer"]
    assert other["parts"] == answer.json["parts"]
    assert "c.png cannot be used: decode: " in answer.err
    page = output.read_text()
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<h2>1 (") == 2
    assert ">b&lt;i&gt;.png</span></h2>" in page
    assert answer.json["parts"][0]["name"] in page
    text = home.headrace(*arguments).out
    assert text.startswith("blobs version 1 answers to a.png 1 (")
    assert "\n  to b<i>.png 1 (" in text
    assert text.endswith(f"{output}\n")
    one = home.headrace("explain", "blobs", str(picture), "--output", str(output))
    assert one.exit_code == 0, one.err
    assert output.read_text().count("data:image/png;base64,") == 2


def test_both_methods_can_be_chosen_and_gradients_add_up(explained, picture):
    options = ("explain", "blobs@champion", str(picture), "--json", "--method")
    gradients = explained[0].headrace(*options, "gradients").json
    occlusion = explained[0].headrace(*options, "occlusion").json
    assert gradients["completeness_error"] < 0.01
    assert occlusion["completeness_error"] is None
    assert {part["name"] for part in gradients["parts"]} == {
        part["name"] for part in occlusion["parts"]
    }


def test_an_item_of_the_test_split_is_found_by_its_digest(explained):
    from headrace.data.snapshots.reading import find_snapshot
    from headrace.state.store import Store

    home, run = explained
    settings = Settings(project=home.project, home=home.path)
    snapshot = find_snapshot(Store(settings.store), run.json["snapshot"]["digest"])
    assert snapshot is not None
    item = bytes(SplitRows(snapshot, "test").items()[5]).hex()
    for digest in (item, item[:8]):
        assert home.headrace("explain", "blobs", digest, "--json").json["item"] == item
    answer = home.headrace("explain", "blobs", "0" * 12)
    assert answer.exit_code == 2
    assert "begins with 000000000000" in answer.err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("missing.png",), 2, "missing.png"),
        (("{picture}", "--output", "map.jpg"), 2, "map.jpg is not a .png file"),
        (("{picture}", "--output", "none/map.png"), 2, "none does not exist"),
        (("words", "--text"), 2, "the items of blobs are of the medium image"),
        (("{folder}",), 1, "more than one item"),
        (("{words}",), 1, "Give a file with one item of the medium image, or the"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    explained, picture, options, code, message
):
    (picture.parent / "two").mkdir()
    for name in ("a.png", "b.png"):
        (picture.parent / "two" / name).write_bytes(picture.read_bytes())
    words = picture.parent / "words.png"
    words.write_text("hello")
    names = {"picture": picture, "folder": words.parent / "two", "words": words}
    given = [option.format(**names) for option in options]
    answer = explained[0].headrace("explain", "blobs", *given)
    assert answer.exit_code == code, answer.err
    assert message in answer.err


def test_a_map_by_a_method_that_failed_is_refused_before_any_answer(
    explained, picture, tmp_path, monkeypatch
):
    failed = Verdict(status="failed", reason="it depends on the seed")
    monkeypatch.setattr(verdict, "verdict_of", lambda metrics, method: failed)
    monkeypatch.setattr(explaining, "answers", pytest.fail)
    given = ("explain", "blobs", str(picture), "--output", str(tmp_path / "map.png"))
    answer = explained[0].headrace(*given, "--json")
    assert answer.exit_code == 1
    assert "map.png cannot be drawn of blobs: it depends" in answer.json["reason"]


def test_a_method_that_failed_is_not_used_even_if_asked_for(
    explained, picture, monkeypatch
):
    real = verdict.verdict_of
    bad = {f"occlusion_{name}": 0.9 for name in ("random_weights", "random_labels")}
    bad["occlusion_other_seed"] = 0.9
    monkeypatch.setattr(verdict, "verdict_of", lambda metrics, m: real(bad, m))
    options = ("--method", "occlusion", "--unchecked", "--json")
    answer = explained[0].headrace("explain", "blobs", str(picture), *options)
    assert answer.exit_code == 1
    assert "too much like those of a model with random weights" in answer.json["reason"]


def test_the_maps_of_chosen_rows_and_the_ladder_are_in_mlflow(explained):
    home, run = explained
    (place,) = home.path.glob(f"mlartifacts/*/{run.json['run_id']}/artifacts/pictures")
    files = {file.name: file.read_bytes() for file in place.iterdir()}
    for name in ("explanations.png", "robustness.png"):
        assert files[name].startswith(b"\x89PNG")
    assert b"speaks against it" in files["explanations.html"]
    rows = json.loads(files["explanations.json"])["rows"]
    assert {row["cells"][0] for row in rows} >= {"typical"}
    assert all("rows " in row["cells"][2] for row in rows)
    assert (place.parent / "evaluation" / "rung.json").exists()


@pytest.mark.parametrize("passed", ["occlusion", "gradients"])
def test_a_server_explains_by_what_has_passed(explained, picture, passed):
    home, _ = explained
    settings = Settings(project=home.project, home=home.path)
    row = Ledger(settings.database_url).version("blobs", 1)
    served = open_served(row, settings, "champion")
    other = "gradients" if passed == "occlusion" else "occlusion"
    served.sanity |= {other: Verdict(status="failed", reason="for a test")}
    try:
        reply = Site(served).ask(
            *("POST", "/models/blobs/explain", picture.read_bytes()),
            {"content-type": "image/png"},
        )
    finally:
        served.close()
    assert reply.status == 200, reply.body
    assert reply.json["method"] == passed
    command = ("explain", "blobs", str(picture), "--json", "--method", passed)
    parts = home.headrace(*command).json["parts"]
    assert [part["name"] for part in parts[:2]] == [
        part["name"] for part in reply.json["parts"][:2]
    ]
    for one, same in zip(parts, reply.json["parts"], strict=True):
        assert one["value"] == pytest.approx(same["value"], abs=1e-3)
    error = reply.json["completeness_error"]
    assert error is None if passed == "occlusion" else error < 0.01
