"""Explanations are checked by a command, once, and never behind one's back."""

import json
import tarfile
from pathlib import Path

import pytest
from tests.blobs import blobs, png
from tests.homes import Home

from headrace.errors import Refusal
from headrace.explanations.checked import find_check
from headrace.explanations.verdict import MOST_ALIKE
from headrace.settings import Settings
from headrace.stages import evaluation
from headrace.state.ledger import Ledger
from headrace.state.store import Store

CHECK = ("explain", "blobs", "--json")


def ledger_of(home):
    return Ledger(settings_of(home).database_url)


def settings_of(home):
    return Settings(project=home.project, home=home.path)


def checks_of(home, version=1):
    check = find_check(ledger_of(home), "blobs", version)
    return [check] if check else []


def references(home):
    return Store(settings_of(home).store).names("references")


@pytest.fixture(scope="module")
def unchecked(tmp_path_factory, project, prefect_server):
    """A home whose run has answered; its evidence."""
    place = tmp_path_factory.mktemp("unchecked")
    home = Home(place / "home", project)
    home = home.with_law(place / "project", evaluation='{ depth = "auto" }')
    run = home.headrace("run", "blobs", "--json")
    assert run.exit_code == 0, run.err
    return home, run.json, ledger_of(home).evidence_of("blobs", 1)


@pytest.fixture(scope="module")
def answered(unchecked, copy_of, tmp_path_factory):
    """A copy of it whose explanations are checked."""
    first, run, evidence = unchecked
    home = Home(
        copy_of(first.path, tmp_path_factory.mktemp("answered") / "home"), first.project
    )
    assert home.headrace(*CHECK).exit_code == 0
    return home, run, evidence


def test_a_run_checks_no_explanations_and_says_which_command_does(unchecked):
    home, run, evidence = unchecked
    assert run["status"] == "promoted"
    own = [*run["metrics"], *evidence[0].metrics]
    assert not any(name.startswith(("occlusion", "gradients")) for name in own)
    assert checks_of(home) == []
    assert references(home) == []
    report = Path(home.headrace("open", "blobs", "--json").json["report"]).read_text()
    assert "which takes two more trainings: `headrace explain blobs`" in report


def test_what_is_found_later_is_evidence_of_its_own(answered):
    home, run, evidence = answered
    (check,) = checks_of(home)
    assert check.metrics["occlusion_random_labels"] <= MOST_ALIKE
    assert check.snapshot_digest == run["snapshot"]["digest"]
    assert ledger_of(home).evidence_of("blobs", 1) == evidence
    assert ledger_of(home).find("blobs").version == 1
    assert ledger_of(home).walk_chain().problem == ""


def test_the_page_and_mlflow_have_it_as_well(answered):
    home, run, _ = answered
    (place,) = home.path.glob(f"mlartifacts/*/{run['run_id']}/artifacts")
    page = (place / "report.html").read_text()
    assert "passed the sanity check: rank correlation" in page
    assert "Which parts speak for an answer (red) and against it (blue)" in page
    section = page.partition('<div id="explanations">')[2].partition("</details>")[0]
    assert "passed the sanity check" in section
    assert page.count('id="picture-explanations"') == 1
    assert 'id="picture-explanations"' in section
    assert page.count("<h2>") == page.count('<li><a href="#')
    assert (place / "pictures" / "explanations.png").exists()
    assert home.headrace("open", "blobs", "--json").exit_code == 0


def test_verify_reproduce_and_bundle_stay_right(answered, copy_of, tmp_path):
    home = Home(copy_of(answered[0].path, tmp_path / "home"), answered[0].project)
    verified = home.headrace("verify", "blobs", "--json")
    assert verified.exit_code == 0, verified.out
    home.assert_reproduced("blobs/1")
    assert home.repaired("blobs")[0]["status"] == "sound"
    file = tmp_path / "blobs.tar"
    assert (
        home.headrace(
            *("export", "blobs", "--evidence", "--output", str(file))
        ).exit_code
        == 0
    )
    assert home.headrace("verify", str(file)).exit_code == 0
    with tarfile.open(file) as archive:
        evidence = json.load(archive.extractfile("blobs-1/evidence.json"))
    (check,) = evidence["map_checks"]
    assert check["metrics"] == dict(checks_of(home)[0].metrics)


def test_a_run_with_nothing_to_do_checks_nothing_again(answered):
    home, *_ = answered
    rows = ledger_of(home).walk_chain().rows
    assert home.headrace("run", "blobs", "--json").json["status"] == "unchanged"
    again = home.headrace(*CHECK)
    assert (again.exit_code, again.json["is_new"]) == (0, False)
    assert ledger_of(home).walk_chain().rows == rows


def test_the_command_checks_any_version_and_makes_no_new_one(after_first, tmp_path):
    home, evidence = after_first, ledger_of(after_first).evidence_of("blobs", 1)
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    made = home.headrace(*CHECK)
    assert made.exit_code == 0, made.err
    assert made.json["status"] == "ok"
    assert (made.json["model"], made.json["version"]) == ("blobs", 1)
    assert made.json["is_new"]
    assert made.json["sanity"]["occlusion"]["status"] == "passed"
    (version,) = ledger_of(home).versions("blobs")
    assert version.version == 1
    assert ledger_of(home).evidence_of("blobs", 1) == evidence
    assert len(references(home)) == 2
    shown = home.headrace("explain", "blobs", str(tmp_path / "one.png"), "--json")
    assert shown.exit_code == 0, shown.out
    text = home.headrace(*CHECK[:-1]).out
    assert text.startswith("blobs version 1: was checked before\n")
    assert "Occlusion passed the sanity check: rank correlation" in text


def test_the_first_explanation_checks_first_and_the_next_one_does_not(
    after_first, tmp_path
):
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    asked = ("explain", "blobs", str(tmp_path / "one.png"))
    first = after_first.headrace(*asked)
    assert first.exit_code == 0, first.err
    assert "sanity check passed" in first.out
    assert "blobs version 1: checking its explanations first, once" in first.err
    assert len(checks_of(after_first)) == 1
    second = after_first.headrace(*asked)
    assert (second.exit_code, second.out) == (0, first.out)
    assert "checking its explanations" not in second.err
    assert len(checks_of(after_first)) == 1


def test_an_explanation_that_is_unchecked_checks_nothing_and_says_so(
    after_first, tmp_path
):
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    page = tmp_path / "page.html"
    asked = ("explain", "blobs", str(tmp_path / "one.png"), "--output", str(page))
    shown = after_first.headrace(*asked, "--unchecked")
    assert shown.exit_code == 0, shown.err
    assert "sanity check unchecked: maps were not checked" in shown.out
    about = "blobs version 1, explained by integrated gradients; sanity check unchecked"
    assert about in page.read_text()
    assert checks_of(after_first) == []


def test_why_it_could_not_be_checked_is_recorded_and_told(
    after_first, tmp_path, monkeypatch
):
    def diverge(*_):
        raise Refusal("Training diverged.", "Lower training.learning_rate.")

    with monkeypatch.context() as patch:
        patch.setattr(evaluation.explained, "fit_seed_and_labels", diverge)
        answer = after_first.headrace(*CHECK)
    assert answer.exit_code == 1
    assert "Training diverged" in answer.json["reason"]
    (check,) = checks_of(after_first)
    assert (check.reason, check.metrics) == ("Training diverged", {})
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    shown = after_first.headrace("explain", "blobs", str(tmp_path / "one.png"))
    assert shown.exit_code == 1
    assert "Not explained: maps could not be checked: Training diverged" in shown.out
    assert len(checks_of(after_first)) == 1
    again = after_first.headrace(*CHECK)
    assert (again.exit_code, again.json["is_new"]) == (0, True)


def test_a_version_that_is_not_there_is_not_checked(after_first):
    answer = after_first.headrace("explain", "blobs/9")
    assert answer.exit_code == 2
    assert "no version 9 of blobs" in answer.err
