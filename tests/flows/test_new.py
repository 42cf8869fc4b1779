"""``headrace new``: a pipeline for data that nobody has seen, and its first run."""

import csv
import tomllib
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.homes import Home

THINGS = {
    "fruit": ("apple", "pear", "plum", "cherry", "melon"),
    "tool": ("hammer", "saw", "drill", "wrench", "chisel"),
}


@pytest.fixture
def home(tmp_path, mlflow_database):
    """An empty home in a project without pipelines."""
    return Home.of_project(tmp_path, mlflow_database)


@pytest.fixture
def table(tmp_path):
    """Sentences about fruit and about tools by twelve authors, tab-separated."""
    path = tmp_path / "things.tsv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["sentence", "kind", "author", "lang"])
        for number in range(240):
            kind = list(THINGS)[number % 2]
            thing, other = rng.choice(THINGS[kind], 2)
            text = f"the {thing} and {other} lie in box {number}"
            rows.writerow([text, kind, f"author {number % 12}", "en"])
        rows.writerow(["une pomme", "fruit", "author 1", "fr"])
    return path


def write_tone(path, hertz, seed):
    rng = np.random.default_rng(seed)
    seconds = np.arange(4000) / 8000
    sound = np.sin(2 * np.pi * hertz * rng.uniform(0.8, 1.2) * seconds)
    level = np.repeat(rng.uniform(0, 0.8, 20), 200)  # no two are alike
    sound = sound * level + rng.normal(0, 0.01, 4000)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((sound.clip(-1, 1) * 32000).astype("<i2").tobytes())


@pytest.mark.integration
def test_texts_of_a_table_become_a_champion_without_an_edit(
    home, table, prefect_server
):
    said = ["--label", "kind", "--group", "author", "--where", "lang=en"]
    answer = home.headrace(
        "new", "things", "--medium", "text", "--data", str(table), *said, "--json"
    )
    assert answer.exit_code == 0, answer.out
    made = answer.json
    assert (made["classes"], made["medium"]) == (["fruit", "tool"], "text")
    assert made["rows"]["train"] + made["rows"]["test"] == 240
    assert made["rows"]["test"] in {40, 60}  # two or three authors of twelve
    folder = Path(made["folder"])
    assert folder == home.project / "pipelines" / "things"
    spec = tomllib.loads((folder / "pipeline.toml").read_text())
    assert spec["data"]["group"] == "author"
    assert spec["gates"][0] == {
        "name": "accuracy",
        "threshold": made["gates"]["accuracy"],
    }
    assert "2 classes: fruit, tool" in (folder / "README.md").read_text()
    run = home.headrace("run", "things", "--json")
    assert (run.exit_code, run.json["status"]) == (0, "promoted"), run.out
    assert run.json["metrics"]["test_accuracy"] >= 0.9
    assert run.json["slices"]["groups=unseen"]["rows"] == made["rows"]["test"]
    scores = home.project / "scores.csv"
    scored = home.headrace("score", "things", str(table), str(scores), "--json")
    assert scored.json["scored"] == 241, scored.out
    assert "texts in sentence" in scored.err
    other = ["--text", "author", "--json"]
    wrong = home.headrace("score", "things", str(table), str(scores), *other)
    assert "texts in author" in wrong.err
    keeping = ["--id", "author"]
    home.headrace("score", "things/1", str(table), str(scores), *keeping)
    rows, source = pd.read_csv(scores), pd.read_csv(table, sep="\t")
    assert rows["id"].tolist() == source["author"].tolist()
    no_column = ["--id", "nothing", "--json"]
    answer = home.headrace("score", "things", str(table), str(scores), *no_column)
    assert (answer.exit_code, "'nothing' is not a column" in answer.out) == (2, True)
    nothing = ["--text", "nothing", "--json"]
    answer = home.headrace("score", "things", str(table), str(scores), *nothing)
    assert answer.exit_code == 2
    assert "nothing" in answer.out


@pytest.mark.integration
def test_the_header_of_what_a_model_has_learned_from_is_no_item(
    home, table, prefect_server
):
    column = "Kundenäußerung"
    table.write_text(table.read_text().replace("sentence", column))
    said = ["--label", "kind", "--data", str(table), "--json"]
    assert home.headrace("new", "things", "--medium", "text", *said).exit_code == 0
    assert home.headrace("run", "things", "--json").exit_code == 0
    listed, out = home.project / "list.csv", home.project / "out.csv"
    listed.write_bytes(f"{column}\nthe saw\n\na plum\n".encode("cp1252"))
    scored = home.headrace("score", "things", str(listed), str(out), "--json")
    assert scored.json["scored"] == 2, scored.out
    assert f"one column, with a header; texts in {column}" in scored.err
    assert pd.read_csv(out)["name"].tolist() == ["list.csv line 2", "list.csv line 4"]
    monitored = home.headrace("monitor", "things", "--data", str(listed), "--json")
    assert monitored.json["window"]["items"] == 2, monitored.out
    page = ["--output", str(home.project / "page.html"), "--json"]
    explained = home.headrace("explain", "things", str(listed), *page)
    names = [explained.json["name"], *(one["name"] for one in explained.json["others"])]
    assert names == ["list.csv line 2", "list.csv line 4"]


@pytest.mark.integration
def test_sounds_in_folders_become_a_champion_without_an_edit(home, prefect_server):
    for number in range(60):
        place = home.project / "sounds"
        write_tone(place / "low" / f"{number}.wav", 300, number)
        write_tone(place / "high" / f"{number}.wav", 1500, 1000 + number)
    answer = home.headrace(
        "new", "two-tones", "--medium", "audio", "--data", "sounds", "--json"
    )
    assert answer.exit_code == 0, answer.out
    assert answer.json["data"]["sample_rate_hz"] == 8000
    assert answer.json["data"]["seconds"] == 0.5
    run = home.headrace("run", "two-tones", "--json")
    assert (run.exit_code, run.json["status"]) == (0, "promoted"), run.out
    sounds, answers = home.project / "sounds", home.project / "out.csv"
    scored = home.headrace(
        "score", "two-tones@champion", str(sounds), str(answers), "--json"
    )
    assert scored.json["scored"] == 120, scored.out
    (warning,) = run.json["warnings"]
    of_val = {"check": "few_rows", "split": "val", "count": 4}
    assert {key: warning[key] for key in of_val} == of_val
    assert (
        "4 validation rows to choose a temperature by, and needs 50"
        in (warning["message"])
    )


def test_the_answer_for_people_says_what_was_taken_for_what(home, table):
    answer = home.headrace("new", "things", "--medium", "text", "--data", str(table))
    assert answer.exit_code == 1
    # No column has a name that labels have.
    assert "sentence" in answer.err
    assert "--label" in answer.err or "data.label" in answer.err
    assert not (home.project / "pipelines" / "things").exists()
    said = ["--label", "kind"]
    answer = home.headrace(
        "new", "things", "--medium", "text", "--data", str(table), *said
    )
    assert answer.exit_code == 0
    assert "2 classes: fruit, tool" in answer.out
    assert "next: headrace run things" in answer.out
    again = home.headrace(
        "new", "things", "--medium", "text", "--data", str(table), *said
    )
    assert again.exit_code == 2
    assert "is there already" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["Bad-Name", "--medium", "text", "--data", "x.csv"],
            "is not a valid pipeline name",
        ),
        (["good", "--medium", "text", "--data", "nothing.csv"], "no data at"),
        (["good", "--medium", "video", "--data", "x.csv"], "video"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(home, arguments, message):
    answer = home.headrace("new", *arguments)
    assert answer.exit_code == 2
    assert message in answer.err
    assert not (home.project / "pipelines").exists()


def test_encoding_and_separator_are_taken_and_written(home, tmp_path):
    path = tmp_path / "notes.txt"
    notes = [f"\u4eca\u65e5\u306f {number}\nend" for number in range(60)]
    path.write_text("\n--\n".join(notes), encoding="shift_jis")
    said = ["--medium", "text", "--task", "generation", "--data", str(path)]
    said += ["--separator", r"\n--\n"]
    wrong = home.headrace("new", "notes", *said, "--encoding", "nix")
    assert (wrong.exit_code, "--encoding: 'nix' is not" in wrong.err) == (2, True)
    answer = home.headrace("new", "notes", *said, "--encoding", "shift_jis", "--json")
    assert sum(answer.json["rows"].values()) == 60
    file = home.project / "pipelines" / "notes" / "pipeline.toml"
    data = tomllib.loads(file.read_text())["data"]
    assert (data["encoding"], data["separator"]) == ("shift_jis", "\n--\n")


def test_data_that_a_run_will_refuse_is_told(home, tmp_path):
    path = tmp_path / "empty.csv"
    rows = [
        f"row {n} of text,{'ab'[n % 2]}" if n % 5 else f",{'ab'[n % 2]}"
        for n in range(100)
    ]
    path.write_text("text,label\n" + "\n".join(rows))
    answer = home.headrace(
        "new", "holes", "--medium", "text", "--data", str(path), "--json"
    )
    (warning,) = [
        one for one in answer.json["warnings"] if one["check"] == "quarantine_limit"
    ]
    assert "20 of 100 rows (20.0%)" in warning["message"]


def test_the_line_of_the_header_is_written_and_the_first_rows_are_shown(home, tmp_path):
    path = tmp_path / "meinungen.csv"
    rows = [f"Nummer {n} war {w};{w}" for n in range(60) for w in ("gut", "fade")]
    path.write_text("\n".join(["Export", "", "Meinung;Urteil;", *rows]))
    said = ("--medium", "text", "--data", str(path), "--header", "3")
    answer = home.headrace("new", "meinungen", *said, "--label", "Urteil", "--json")
    assert answer.exit_code == 0, answer.out
    first, second = answer.json["first_rows"]
    text = "Nummer 0 war gut"
    assert first == {"name": "meinungen.csv line 4", "text": text, "label": "gut"}
    assert second["name"] == "meinungen.csv line 5"
    file = home.project / "pipelines" / "meinungen" / "pipeline.toml"
    assert tomllib.loads(file.read_text())["data"]["header"] == 3
    checked = home.headrace("check", "meinungen", "--data", "--json")
    assert sum(checked.json["snapshot"]["rows"].values()) == 120, checked.out
    path.write_text("\n".join(["Meinung;Urteil;", *rows]))
    answer = home.headrace("new", "ohne", *said[:-1], "0", "--label", "column_2")
    assert "first rows: meinungen.csv line 1: 'Meinung' → 'Urteil'\n" in answer.out
    assert answer.out.count("first rows:") == 1
    ohne = tomllib.loads((file.parent.parent / "ohne" / file.name).read_text())
    assert ohne["data"]["header"] == 0


@pytest.mark.parametrize(("odd", "is_refused"), [(2, False), (5, True)])
def test_what_cannot_be_read_is_told_by_kind_with_examples(
    home, tmp_path, odd, is_refused
):
    rng = np.random.default_rng(0)
    for number in range(100):
        path = tmp_path / "tiles" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (8, 9) if number < odd else (8, 8)
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    said = ("new", "tiles", "--medium", "image", "--data", str(tmp_path / "tiles"))
    answer = home.headrace(*said)
    lines = answer.out.splitlines()
    start = next(n for n, line in enumerate(lines) if "could not be read" in line)
    assert f"{odd + 1} could not be read" in lines[start]
    names = ("a/00.png", "a/02.png") if is_refused else ("a/00.png", "b/01.png")
    sizes = "; ".join(f"{name}: 8 x 9 pixels; 8 x 8 is the form" for name in names)
    assert lines[start + 1] == f"  size: {odd}, such as {sizes}"
    assert lines[start + 2].startswith("  decode: 1, such as b/99.png: ")
    steps = "mend the data, or raise data.quarantine_limit; then "
    assert lines[-1] == f"  next: {steps * is_refused}headrace run tiles"
    aside = (
        "a run sets them aside with these reasons, as long as they are at most 5% of"
    )
    assert (aside in answer.out) != is_refused
    assert ("a run refuses over 5%. Set data.shape" in answer.out) == is_refused


def test_a_project_is_begun(home, tmp_path):
    answer = home.headrace("init", str(tmp_path / "mill"))
    assert answer.exit_code == 0
    assert f"next: cd {tmp_path / 'mill'} && headrace run digits" in answer.out
    refused = home.headrace("init", str(tmp_path / "mill"), "--json")
    assert refused.exit_code == 2
    assert "already has pipelines" in refused.json["reason"]
