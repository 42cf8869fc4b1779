"""``headrace explain`` as a user has it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.blobs import blobs
from tests.homes import Home
from tests.src.serving.conftest import Site

from headrace.data.snapshots.splits import SplitRows
from headrace.explanations import Verdict, check
from headrace.serving.served import open_served
from headrace.settings import Settings
from headrace.state.ledger import Ledger


@pytest.fixture(scope="module")
def explained(tmp_path_factory, project, prefect_server):
    """A home after a run."""
    place = tmp_path_factory.mktemp("explained")
    home = Home(place / "home", project)
    home = home.with_law(place / "project", evaluation='{ depth = "auto" }')
    run = home.headrace("run", "blobs", "--json")
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
    assert given["sanity"]["status"] == "passed"
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
    assert "passed their check: rank correlation" in text


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


def test_without_an_item_the_verdict_of_the_evaluation_is_shown(explained):
    home, _ = explained
    given = home.headrace("explain", "blobs", "--json")
    assert (given.exit_code, given.json["status"]) == (0, "ok")
    assert (given.json["version"], given.json["sanity"]["status"]) == (1, "passed")
    assert given.json["sanity"]["reason"] in home.headrace("explain", "blobs").out
    evidence = Ledger(settings_of(home).database_url).evidence_of("blobs", 1)
    assert evidence[-1].metrics["occlusion_p_value"] <= 0.05
    assert home.headrace("explain", "blobs/9").exit_code == 2
    report = Path(home.headrace("open", "blobs", "--json").json["report"]).read_text()
    section = report.partition('<div id="explanations">')[2].partition("</details>")[0]
    assert "Explanations passed their check: rank correlation" in section
    assert 'id="picture-explanations"' in section


def settings_of(home):
    return Settings(project=home.project, home=home.path)


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


def test_what_has_failed_is_not_shown_and_nothing_written(
    explained, picture, tmp_path, monkeypatch
):
    failed = Verdict(status="failed", reason="the strongest pieces do not decide")
    monkeypatch.setattr(check, "verdict_of", lambda metrics: failed)
    output = tmp_path / "map.png"
    given = ("explain", "blobs", str(picture), "--output", str(output), "--json")
    answer = explained[0].headrace(*given)
    assert answer.exit_code == 1
    assert answer.json["status"] == "refused"
    assert "pieces do not decide" in answer.json["reason"]
    assert "map.png was not written" in answer.json["reason"]
    assert (answer.json["answer"]["label"], answer.json["parts"]) == ("1", [])
    assert not output.exists()


def test_the_maps_of_chosen_rows_and_the_ladder_are_in_mlflow(explained):
    home, run = explained
    (place,) = home.path.glob(f"mlartifacts/*/{run.json['run_id']}/artifacts/pictures")
    files = {file.name: file.read_bytes() for file in place.iterdir()}
    for name in ("explanations.png", "robustness.png"):
        assert files[name].startswith(b"\x89PNG")
    assert b"speaks against it" in files["explanations.html"]
    rows = json.loads(files["explanations.json"])["rows"]
    assert {row["cells"][0] for row in rows} >= {"test item"}
    assert all("rows " in row["cells"][2] for row in rows)
    assert (place.parent / "evaluation" / "rung.json").exists()


def test_a_server_explains_as_the_command_does(explained, picture):
    home, _ = explained
    row = Ledger(settings_of(home).database_url).version("blobs", 1)
    served = open_served(row, settings_of(home), "champion")
    try:
        reply = Site(served).ask(
            *("POST", "/models/blobs/explain", picture.read_bytes()),
            {"content-type": "image/png"},
        )
    finally:
        served.close()
    assert reply.status == 200, reply.body
    parts = home.headrace("explain", "blobs", str(picture), "--json").json["parts"]
    assert [part["name"] for part in parts[:2]] == [
        part["name"] for part in reply.json["parts"][:2]
    ]
    for one, same in zip(parts, reply.json["parts"], strict=True):
        assert one["value"] == pytest.approx(same["value"], abs=1e-3)
