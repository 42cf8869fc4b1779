"""Attack: words that drive what shows them, and values that no reader can hold."""

import csv
import json
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.opening import open_source
from headrace.errors import SourceError, SpecError
from headrace.media.chunks import Reading
from headrace.pipeline import load_spec
from headrace.settings import Settings
from headrace.state.ledger import Approval, Ledger, Version
from headrace.use.scoring import write_output

MARKS = [
    "[red]x[/red] [link=https://evil]",
    "ends with \\",
    "\x1b]0;title\x07",
    "a\nforged line",
    "\u202egnp.exe",
    "a\U000e0061",
]
OBEYED = set(map(chr, [*range(9), *range(11, 32), *range(127, 160)])) | set(
    "\u202e\u2066\u2069\u2028\u200b\u2060\xad\u180e\U000e0061"
)


def a_version(number):
    return Version(
        model="blobs",
        version=number,
        training=f"t{number}",
        run_id=f"r{number}",
        model_uri="models:/m",
        model_digest="d",
        weights_digest="w",
        snapshot_digest="s" * 64,
        created_by="ada",
    )


@pytest.fixture
def ledger(home):
    """A ledger with two versions, in a home."""
    settings = Settings(project=home.project, home=home.path)
    settings.prepare_home()
    ledger = Ledger(settings.database_url)
    for number in (1, 2):
        ledger.add_version(a_version(number))
    return ledger


def force(ledger, version, why, who="ada"):
    sequence = ledger.sequence("blobs")
    ledger.promote(
        "blobs", version, who=who, why=why, expected_sequence=sequence, forced=True
    )


@pytest.mark.parametrize("words", MARKS)
def test_a_reason_drives_no_command_that_shows_it(words, home, ledger):
    force(ledger, 1, f"why{words}", who=f"who{words}")
    force(ledger, 2, words)
    for command in ("history", "compare"):
        answer = home.headrace(command, "blobs")
        assert answer.exit_code == 0, answer
        assert not OBEYED & set(answer.out + answer.err)
    told = home.headrace("history", "blobs")
    assert len(told.out.splitlines()) == 3, "a head and a line for each entry"
    plain = words.partition("\x1b")[0].split("\n")[0]
    if plain.isprintable() and plain:
        assert f"why{plain}" in told.out
    assert home.headrace("list").exit_code == 0
    answer = home.headrace("history", "blobs", "--json")
    assert answer.json["history"][1]["why"] == words
    assert not OBEYED & set(answer.out)
    refused = home.headrace("promote", "blobs", "1", "--reason", words)
    assert refused.exit_code == 1
    assert not OBEYED & set(refused.out + refused.err)


def test_history_is_in_the_order_of_the_ledger_whatever_the_clock_says(home, ledger):
    same = {"model": "blobs", "version": 1, "who": "ada"}
    late, early = (f"20{year}-01-01T00:00:00.000+00:00" for year in (99, 10))
    ledger.add_approval(Approval(**same, step=1, action="request", when=late))
    ledger.add_approval(Approval(**same, step=2, action="approve", when=early))
    force(ledger, 1, "first")
    force(ledger, 2, "second")
    force(ledger, 1, "third")
    told = home.headrace("history", "blobs").out.splitlines()[1:]
    assert [line.split()[0] for line in told] == ["request", "approve", "1", "2", "3"]
    answer = home.headrace("history", "blobs", "--json").json
    assert [entry["why"] for entry in answer["history"]] == ["first", "second", "third"]
    assert [word["action"] for word in answer["approvals"]] == ["request", "approve"]


DEEP = 20_000


@pytest.mark.parametrize(
    "text",
    [
        "gates = " + "[" * DEEP + "]" * DEEP,
        "a." * DEEP + "b = 1",
        "x = " + "1" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_a_deep_or_endless_pipeline_file_is_one_sentence(text, tmp_path):
    head = 'medium = "image"\ndata.source = "x"\n'
    (tmp_path / "pipeline.toml").write_text(head + text)
    with pytest.raises(SpecError, match=r"pipeline\.toml") as raised:
        load_spec(tmp_path)
    assert len(str(raised.value)) < 1500


VALUES = {
    "10^400": "1" + "0" * 400,
    "20,000 deep": "[" * DEEP + "]" * DEEP,
}
COUNT = 200


def json_rows(value):
    return [
        json.dumps({"text": f"some {i} words", "label": "ab"[i % 2], "score": i / 2})
        if i != 5
        else f'{{"text": "some 5 words", "label": "b", "score": {value}}}'
        for i in range(COUNT)
    ]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_row_of_json_lines_that_cannot_be_held_is_set_aside(value, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json_rows(value)))
    reading = Reading(medium="text", item="text", label="label")
    with open_source(str(file), Settings(project=tmp_path), reading) as source:
        taken = sum(len(chunk.labels) for chunk in source.chunks)
        messages = [finding.message for finding in source.findings]
    assert taken in (COUNT - 1, COUNT), "the row is left out, or counted as unreadable"
    assert any("line 6" in message and "rows.jsonl" in message for message in messages)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_an_array_of_json_that_cannot_be_held_is_refused(value, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text("[" + ",\n".join(json_rows(value)) + "]")
    reading = Reading(medium="text", item="text", label="label")
    with pytest.raises(SourceError, match=r"rows\.json: row 6 of the array"):
        with open_source(str(file), Settings(project=tmp_path), reading) as source:
            list(source.chunks)


FORMULAS = [
    "=1+1",
    "+1+1",
    "-2+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "＝1+1",
]
PLAIN = ["7", "-1", "+1", "-1.5e-3", "a=b", "x-y", "", "it's", "图像/1.png"]


def test_no_text_in_the_csv_of_score_is_a_formula(tmp_path):
    texts = [*FORMULAS, *PLAIN]
    table = pa.table(
        {
            "name": texts,
            "label": texts[::-1],
            "probability": pa.array(np.ones(len(texts)), pa.float32()),
            "error": pa.array([None] * len(texts), pa.string()),
            "true_label": texts,
        }
    )
    for name in ("out.csv", "out.parquet"):
        kinds = {"is_csv": name == "out.csv", "has_labels": True}
        parts = table.to_batches()
        write_output(parts, tmp_path / name, {"model": "blobs"}, **kinds)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as opened:
        written = list(csv.DictReader(opened))
    for column, expected in (("name", texts), ("true_label", texts)):
        shown = [row[column] for row in written]
        for text, cell in zip(expected, shown, strict=True):
            assert cell == (f"'{text}" if text in FORMULAS else text)
        back = [cell[1:] if cell.startswith("'") else cell for cell in shown]
        assert back == expected, "and each text comes back"
    assert pq.read_table(tmp_path / "out.parquet")["name"].to_pylist() == texts


def test_the_last_resort_of_the_command_line_is_sanitised(tmp_path):
    """A traceback with such words in it, in a process of its own."""
    code = (
        "import sys, headrace_cli.main as m, headrace.settings as s\n"
        "def fail(*_): raise RuntimeError('\\x1b[31m at https://u:canary@h/x')\n"
        "s.find_project = fail\n"
        "sys.argv = ['headrace', 'list']\n"
        "m.main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ran.returncode == 3
    assert "Traceback" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "canary" not in ran.stderr


def test_labels_of_any_signs_make_a_pipeline_in_which_all_can_be_seen(home, tmp_path):
    labels = [
        *("a\nb", "\x1b[31mred", "\u202eright", "a\u200bb", "\x7f\x9b", "c|d`e\\"),
        *("<script>alert(1)</script>", "[a](javascript:alert(1))", "a\U000e0061"),
    ]
    data = tmp_path / "evil.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(20 * len(labels)):
            place = row % len(labels)
            writer.writerow(
                [f"one{place} {row} " + "of many words " * 20, labels[place]]
            )
    answer = home.headrace("new", "evil", "--medium", "text", "--data", str(data))
    assert answer.exit_code == 0, answer
    folder = Settings(project=home.project, home=home.path).project
    [made] = (folder / "pipelines").glob("evil")
    try:
        law, readme = (
            (made / name).read_text(encoding="utf-8")
            for name in ("pipeline.toml", "README.md")
        )
    finally:
        shutil.rmtree(made)
    assert set(tomllib.loads(law)["data"]["classes"]) == set(labels)
    assert not OBEYED & set(law + readme + answer.out + answer.err)
    assert "<script" not in readme.replace("\\<", "")
    assert "[a](" not in readme.replace("\\[", "")
    assert f"{len(labels)} classes: " in readme
