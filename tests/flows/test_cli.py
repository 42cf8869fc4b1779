"""The other commands, and what every command does with a mistake."""

import re

import pytest

from headrace.stages.fitting.privacy import refusals


def test_a_version_is_promoted_by_hand_and_rolled_back(after_second):
    home = after_second
    refused = home.headrace("promote", "blobs", "2", "--json")
    assert refused.exit_code == 1
    assert "did not pass its gates: champion" in refused.json["reason"]
    bare = home.headrace("promote", "blobs", "2", "--force", "--json")
    assert (bare.exit_code, bare.json["error"]["kind"]) == (2, "UsageError")

    said = ("--force", "--reason", "a demo", "--json")
    promoted = home.headrace("promote", "blobs", "2", *said)
    assert promoted.exit_code == 0
    assert (promoted.json["status"], promoted.json["version"]) == ("promoted", 2)
    assert promoted.json["entry"]["forced"] is True
    again = home.headrace("promote", "blobs", "2", *said)
    assert (again.exit_code, again.json["status"]) == (0, "unchanged")

    back = home.headrace("rollback", "blobs", "--reason", "it shouted", "--json")
    assert back.exit_code == 0
    assert (back.json["status"], back.json["version"]) == ("rolled_back", 1)
    nothing = home.headrace("rollback", "blobs", "--json")
    assert nothing.exit_code == 1
    assert "nothing to roll back to" in nothing.json["reason"]

    entries = home.headrace("history", "blobs", "--json").json["history"]
    assert [
        (e["sequence"], e["action"], e["from"], e["to"], e["who"], e["why"])
        for e in entries[1:]
    ] == [
        (2, "promote", 1, 2, "ada@lab", "a demo"),
        (3, "rollback", 2, 1, "ada@lab", "it shouted"),
    ]
    assert (entries[0]["action"], entries[0]["from"], entries[0]["to"]) == (
        "promote",
        None,
        1,
    )
    assert all(entry["when"].endswith("+00:00") for entry in entries)

    kept = home.headrace("run", "blobs", "--set", "training.seed=2", "--json")
    assert (kept.exit_code, kept.json["status"]) == (0, "unchanged")
    assert home.headrace("list", "--json").json["pipelines"][0]["champion"] == 1


def test_versions_are_compared_side_by_side(second):
    answer = second[0].headrace("compare", "blobs", "--json")
    assert answer.exit_code == 0
    assert answer.json["champion"] == 1
    one, two = answer.json["versions"]
    assert (one["version"], one["champion"], one["passed"]) == (1, True, True)
    assert (two["version"], two["champion"], two["passed"]) == (2, False, False)
    assert two["failed_gates"] == ["champion"]
    assert two["metrics"]["test_accuracy"] >= 0.95
    text = second[0].headrace("compare", "blobs")
    assert "1 champion" in text.out
    assert "failed: champion" in text.out


def test_two_versions_are_compared_in_detail(second):
    found = second[0].headrace("compare", "blobs", "1", "2", "--json").json
    assert found["versions"] == [1, 2]
    assert found["failed_gates"] == [[], ["champion"]]
    assert len(found["metrics"]["test_accuracy"]) == 2
    differences = {(row["kind"], row["name"]) for row in found["differences"]}
    assert ("spec", "training.seed") in differences
    assert {kind for kind, _ in differences} == {"spec", "who"}
    text = second[0].headrace("compare", "blobs", "1", "2")
    assert re.search(r"pipeline file +training.seed", text.out)
    assert re.search(r"\ncompared_items +\d+\n", text.out)
    assert re.search(r"\nmodel_megabytes +[\d.]+ MB +[\d.]+ MB\n", text.out)
    only_one = second[0].headrace("compare", "blobs", "1")
    assert (only_one.exit_code, "1 were given" in only_one.err) == (2, True)


def test_pipelines_are_listed_with_their_champion(second):
    answer = second[0].headrace("list", "--json")
    assert answer.exit_code == 0
    listed = {row["name"]: row for row in answer.json["pipelines"]}
    assert (listed["blobs"]["champion"], listed["blobs"]["versions"]) == (1, 2)
    assert listed["digits"]["champion"] is None
    text = second[0].headrace("list")
    assert "blobs" in text.out
    assert f"home: {second[0].path}" in text.out


def test_a_pipeline_is_checked_without_its_data(home):
    answer = home.headrace("check", "blobs", "--json")
    assert answer.exit_code == 0
    assert answer.json["pipeline"] == "blobs"
    assert answer.json["snapshot"] is None
    assert answer.json["warnings"] == []
    assert "it trains mlp" in answer.json["reason"]
    assert not home.path.exists(), "checking a spec writes nothing"
    everything = home.headrace("check", "--json").json["pipelines"]
    packaged = [
        "dictation",
        "digit_voice",
        "digits",
        "few_spoken_digits",
        "messages",
        "plays",
        "poems",
        "spoken_digits",
        "topics",
    ]
    assert [row["pipeline"] for row in everything] == ["blobs", *packaged]
    own, _, rest = home.headrace("check").out.partition("comes with Headrace:\n")
    assert own.startswith("blobs")
    assert rest.startswith("dictation")


def test_a_check_with_data_says_what_a_run_would_refuse_before_it_trains(
    home, monkeypatch
):
    monkeypatch.setattr(refusals, "MOST_BYTES", 1000)
    private = ["--set", "training.privacy={ epsilon = 8 }"]
    private += ["--set", "data.classes=['0', '1', '2']"]
    private += ["--set", "data.shape=[8, 8, 1]"]
    answer = home.headrace("check", "blobs", "--data", "default", *private, "--json")
    assert (answer.exit_code, answer.json["status"]) == (1, "refused")
    assert "each step samples from all of it" in answer.json["reason"]
    assert answer.json["snapshot"]["rows"]["train"]


def test_a_check_warns_of_data_that_is_not_there(home):
    missing = ["--set", "data.source='elsewhere/things'"]
    answer = home.headrace("check", "blobs", *missing, "--json")
    assert (answer.exit_code, answer.json["status"]) == (0, "ok")
    (warning,) = answer.json["warnings"]
    path = home.project / "pipelines" / "blobs" / "elsewhere" / "things"
    assert warning["check"] == "source"
    assert f"no data at {path} (data.source)" in warning["message"]
    named = ["--set", "data.source='s3://bucket/things'"]
    assert home.headrace("check", "blobs", *named, "--json").json["warnings"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu", "blobs"], "No such command 'rnu'"),
        (["run"], "Missing argument 'PIPELINE'"),
        (["run", "blobs", "--sett", "x=1"], "No such option.*--sett"),
        (["run", "blobz"], "no pipeline 'blobz'.*Did you mean blobs?"),
        (["run", "blobs", "--set", "trainng.epochs=3"], "Did you mean training?"),
        (["run", "blobs", "--set", "training.epochs"], "is not KEY=VALUE"),
        (["run", "blobs", "--data", "/nowhere.npz"], "/nowhere.npz"),
        (
            ["check", "blobs", "--set", "model.arguments.hiden=[3]"],
            "Did you mean hidden?",
        ),
        (["promote", "blobs", "one"], "Invalid value for 'VERSION': .*integer"),
        (["promote", "nothing"], "There is no model 'nothing'"),
        (["history", "nothing"], "There is no home at .*no model 'nothing'"),
        (["compare", "nothing"], "There is no home at .*no model 'nothing'"),
    ],
)
def test_a_mistake_is_one_object_and_exit_2(home, arguments, message):
    answer = home.headrace(*arguments, "--json")
    assert answer.exit_code == 2, answer.err
    assert answer.json["status"] == "error"
    assert re.search(message, answer.json["reason"]), answer.json["reason"]
    assert answer.json["error"]["message"]
    assert "Traceback" not in answer.err


def test_a_mistake_is_text_on_standard_error_for_people(home):
    answer = home.headrace("run", "blobz")
    assert (answer.exit_code, answer.out) == (2, "")
    assert answer.err.startswith("headrace: There is no pipeline 'blobz'.")


@pytest.mark.parametrize(
    "command",
    [["run", "blobs"], ["history", "blobs"], ["promote", "blobs"], ["list"]],
)
def test_a_home_of_another_format_is_refused(home, command):
    home.path.mkdir()
    (home.path / "format").write_text("0\n")
    answer = home.headrace(*command, "--json")
    assert answer.exit_code == 2
    assert "has format '0'; this version reads format '2'" in answer.json["reason"]


def test_a_pipeline_file_with_a_mistake_is_named(home, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "pipeline.toml").write_text(
        'medium = "image"\n[data]\nsource = "x"\n[traning]\nepochs = 3\n'
    )
    answer = home.headrace("check", str(folder), "--json")
    assert answer.exit_code == 2
    assert f"{folder}/pipeline.toml: unknown key traning" in answer.json["reason"]
    assert "Did you mean training?" in answer.json["reason"]
