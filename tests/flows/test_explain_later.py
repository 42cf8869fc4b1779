"""Explanations are checked after the answer, or by a command, whatever the machine."""

import json
import os
import signal
import sqlite3
import tarfile
from types import SimpleNamespace

import pytest
from tests.blobs import blobs, png
from tests.homes import Home
from tests.waiting import until

from headrace.errors import Refusal
from headrace.evidence import maps
from headrace.evidence.maps import check_later
from headrace.explanations.verdict import MOST_ALIKE
from headrace.settings import Settings
from headrace.stages import evaluation
from headrace.state import background
from headrace.state.ledger import Ledger, holding
from headrace.state.ledger.holding import checking_maps, hold
from headrace.state.ledger.leases import Leases
from headrace.state.store import Store
from headrace_flows import train
from headrace_flows.run import current
from headrace_ops.running import look

CHECK = ("explain", "blobs", "--check", "--json")


def ledger_of(home):
    return Ledger(settings_of(home).database_url)


def settings_of(home):
    return Settings(project=home.project, home=home.path)


def checks_of(home, version=1):
    return ledger_of(home).map_checks("blobs", version)


def references(home):
    return Store(settings_of(home).store).names("references")


@pytest.fixture(scope="module")
def answered(tmp_path_factory, project, prefect_server):
    """A home whose run has answered, once what comes after it is done; its evidence."""
    place = tmp_path_factory.mktemp("answered")
    home = Home(place / "home", project)
    home = home.with_law(place / "project", evaluation='{ depth = "auto" }')
    run = home.headrace("run", "blobs", "--json")
    assert run.exit_code == 0, run.err
    evidence = ledger_of(home).evidence_of("blobs", 1)
    until(lambda: checks_of(home), (home.path / "maps.log").read_text)
    lease = checking_maps("blobs", 1)
    leases = Leases(settings_of(home).database_url)
    until(lambda: leases.current(lease).state == "ended")
    return home, run.json, evidence


def test_a_first_run_does_not_wait_for_reference_models(answered):
    home, run, evidence = answered
    assert run["status"] == "promoted"
    own = [*run["metrics"], *evidence[0].metrics]
    assert not any(name.startswith(("occlusion", "gradients")) for name in own)
    assert "reference models" in (home.path / "maps.log").read_text()


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


def test_an_edited_check_is_found_and_put_back(answered, copy_of, tmp_path):
    home = Home(copy_of(answered[0].path, tmp_path / "home"), answered[0].project)
    good = checks_of(home)
    with sqlite3.connect(home.path / "headrace.db") as database:
        for (name,) in database.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            database.execute(f"drop trigger {name}")
        database.execute(
            "update events set body = json_set(body, '$.metrics.occlusion_other_seed',"
            " 0.99) where kind = 'map_check'"
        )
    assert home.headrace("verify", "blobs").exit_code == 1
    assert home.headrace("verify", "blobs", "--repair").exit_code == 0
    assert checks_of(home) == good


def test_a_run_with_nothing_to_do_checks_nothing_again(answered):
    home, *_ = answered
    rows = ledger_of(home).walk_chain().rows
    log = (home.path / "maps.log").read_text()
    assert home.headrace("run", "blobs", "--json").json["status"] == "unchanged"
    again = home.headrace(*CHECK)
    assert (again.exit_code, again.json["is_new"]) == (0, False)
    assert ledger_of(home).walk_chain().rows == rows
    assert (home.path / "maps.log").read_text() == log


def test_a_check_that_was_killed_begins_again_with_the_next_run(
    answered, copy_of, tmp_path, monkeypatch
):
    """It is as if nothing of it had been recorded."""
    home = Home(copy_of(answered[0].path, tmp_path / "home"), answered[0].project)
    started = []
    monkeypatch.setattr(Ledger, "map_checks", lambda *_: [])
    monkeypatch.setattr(
        maps.background, "start", lambda *given, **_: started.append(given)
    )
    assert home.headrace("run", "blobs", "--json").json["status"] == "unchanged"
    ((module, order, log, _),) = started
    assert (module, order, log) == (maps.MODULE, "blobs/1", "maps.log")


@pytest.mark.parametrize(
    ("spec", "metrics", "rows", "is_started"),
    [
        ({}, {}, 180, True),
        ({}, {"epoch_cpu_seconds": 1e9}, 180, True),
        ({}, {"parameters": 1e12}, 180, False),
        ({}, {}, 10**12, False),
        ({"depth": "quick"}, {}, 180, False),
        ({"depth": "full"}, {}, 180, False),
    ],
)
def test_the_size_of_the_training_decides_and_not_its_time(
    trained, monkeypatch, spec, metrics, rows, is_started
):
    how = trained.spec.evaluation.model_copy(update={"depth": "auto", **spec})
    training = trained.good.model_copy(
        update={"metrics": {**trained.good.metrics, **metrics}}
    )
    contract = trained.contract.model_copy(update={"rows": {"train": rows}})
    run = SimpleNamespace(
        spec=trained.spec.model_copy(update={"evaluation": how}),
        training=training,
        contract=contract,
    )
    monkeypatch.setattr(maps.background, "start", lambda *_, **__: "started")
    assert bool(check_later(run, 1, trained.home)) == is_started
    assert check_later(run, None, trained.home) is None


@pytest.mark.parametrize("signal", [None, KeyboardInterrupt])
def test_a_flow_of_a_worker_waits_for_the_check_and_lives_meanwhile(
    monkeypatch, tmp_path, signal
):
    settings, alive = Settings(home=tmp_path / "home").prepare_home(), []

    def wait():
        leases, now = Leases(settings.database_url).all()
        alive.extend(lease.name for lease in leases if lease.is_alive(now))
        if signal:
            raise signal

    monkeypatch.setattr(train, "check_later", lambda *_: SimpleNamespace(wait=wait))
    plan = SimpleNamespace(settings=settings, home=None)
    spec = SimpleNamespace(name="blobs")
    run = SimpleNamespace(version=1, plan=plan, flow_run_id="1", spec=spec)
    token = current.set(run)
    train.explain_later(run)
    current.reset(token)
    assert alive == [], "a command does not wait"
    train.explain_later(run)
    assert alive == ["flow-run/1/blobs"]


def test_any_version_says_how_its_check_is_made_and_the_command_makes_it(
    after_first, tmp_path
):
    home, evidence = after_first, ledger_of(after_first).evidence_of("blobs", 1)
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    refused = home.headrace("explain", "blobs", str(tmp_path / "one.png"))
    assert refused.exit_code == 1
    assert "`headrace explain blobs --check` does it" in refused.out
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


def test_an_explanation_waits_for_a_check_that_is_being_made(after_first, tmp_path):
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    check = after_first.start(*CHECK)
    leases = Leases(settings_of(after_first).database_url)
    until(lambda: leases.current(checking_maps("blobs", 1)), "the check is begun")
    shown = after_first.headrace("explain", "blobs", str(tmp_path / "one.png"))
    assert check.communicate()[0]
    assert shown.exit_code == 0, shown.out
    assert "sanity check passed" in shown.out


def test_an_explanation_that_is_unchecked_waits_for_nothing_and_says_so(
    after_first, tmp_path
):
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    page = tmp_path / "page.html"
    asked = ("explain", "blobs", str(tmp_path / "one.png"), "--output", str(page))
    with hold(settings_of(after_first), checking_maps("blobs", 1), "explain-1"):
        shown = after_first.headrace(*asked, "--unchecked")
    assert shown.exit_code == 0, shown.err
    assert "sanity check unchecked: maps were not checked" in shown.out
    about = "blobs version 1, explained by integrated gradients; sanity check unchecked"
    assert about in page.read_text()


def test_an_explanation_waits_a_minute_for_a_check_and_says_what_to_do(
    after_first, tmp_path, monkeypatch
):
    (tmp_path / "one.png").write_bytes(png(blobs(2, seed=9)[0][1]))
    monkeypatch.setattr(holding, "PATIENCE_SECONDS", 1.0)
    with hold(settings_of(after_first), checking_maps("blobs", 1), "explain-1"):
        shown = after_first.headrace("explain", "blobs", str(tmp_path / "one.png"))
    assert shown.exit_code == 1
    assert "are being checked: waiting, up to a minute" in shown.err
    assert (
        "Not explained: maps were not checked yet: that is being done, and `headrace "
        "explain blobs --check` waits for it. With --unchecked it is explained"
    ) in shown.out


def test_two_commands_at_once_check_once(after_first):
    both = [after_first.start(*CHECK) for _ in range(2)]
    answers = [(process, *process.communicate(timeout=600)) for process in both]
    for process, _, err in answers:
        assert process.returncode == 0, err
    assert sorted(json.loads(out)["is_new"] for _, out, _ in answers) == [False, True]
    assert len(checks_of(after_first)) == 1
    assert len(references(after_first)) == 2


def test_what_a_run_leaves_behind_ends_where_another_process_checks(after_first):
    settings = settings_of(after_first)
    with hold(settings, checking_maps("blobs", 1), "1"):
        second = background.start(maps.MODULE, "blobs/1", "maps.log", settings)
        assert second.wait(timeout=120) == 0
    assert "is busy" in (after_first.path / "maps.log").read_text()
    assert checks_of(after_first) == []


def test_a_command_that_waits_for_a_check_is_not_taken_for_one(after_first):
    settings = settings_of(after_first)
    leases = Leases(settings.database_url)
    with hold(settings, checking_maps("blobs", 1), "1"):
        waiting = after_first.start(*CHECK)
        until(lambda: any("explain-" in one.flow_run_id for one in leases.all()[0]))
        seen = look(settings)
    assert ([one.version for one in seen.checks], seen.runs) == (["blobs/1"], ())
    assert waiting.communicate(timeout=600)[0]


def test_a_command_that_was_killed_goes_on_with_what_it_had_fitted(
    after_first, monkeypatch
):
    process = after_first.start(*CHECK)
    until(lambda: references(after_first), "a reference model is fitted")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert checks_of(after_first) == []
    if len(references(after_first)) == 2:  # else it was killed between both

        def fit(*_):
            raise AssertionError("they are fitted already")

        monkeypatch.setattr(evaluation.explained, "fit_seed_and_labels", fit)
    again = after_first.headrace(*CHECK)
    assert again.exit_code == 0, again.err
    assert len(checks_of(after_first)) == 1
    assert len(references(after_first)) == 2


def test_why_it_could_not_be_checked_is_recorded_and_told(after_first, monkeypatch):
    def diverge(*_):
        raise Refusal("Training diverged.", "Lower training.learning_rate.")

    with monkeypatch.context() as patch:
        patch.setattr(evaluation.explained, "fit_seed_and_labels", diverge)
        answer = after_first.headrace(*CHECK)
    assert answer.exit_code == 1
    assert "Training diverged" in answer.json["reason"]
    (check,) = checks_of(after_first)
    assert (check.reason, check.metrics) == ("Training diverged", {})
    again = after_first.headrace(*CHECK)
    assert (again.exit_code, again.json["is_new"]) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("blobs",), "ITEM is missing"),
        (("blobs", "one.png", "--check"), "--check takes no ITEM"),
        (("blobs/9", "--check"), "no version 9 of blobs"),
    ],
)
def test_a_wrong_command_says_what_to_do(after_first, arguments, message):
    answer = after_first.headrace("explain", *arguments)
    assert answer.exit_code == 2
    assert message in answer.err
