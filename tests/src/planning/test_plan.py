"""What was done is found again; a champion is compared with what it was."""

from tests.src.planning.conftest import end, keys_of, records_of

from headrace.planning import Plan, StageKey
from headrace.stages.ingredients import closure
from headrace.state.home import Home
from headrace.state.ledger import Ledger


def test_what_was_saved_is_found_with_all_its_ingredients(trained, done):
    for name, key in keys_of(trained).items():
        record = records_of(trained)[name]
        assert done.find(key, type(record)) == record
        saved = done.home.store.read_json(f"stages/{key.fingerprint}.json")
        assert (saved["stage"], saved["pipeline"]) == (name, "blobs")
        assert (saved["ingredients"], saved["seconds"]) == (key.ingredients, 1.5)


def test_nothing_changed_nothing_runs(changed):
    assert changed() == {}


def test_a_first_run_says_so(trained, settings):
    plan = Plan(trained.spec, trained.folder, Home(settings))
    assert plan.find(plan.ingest(), type(trained.snapshot)) is None
    assert plan.why(plan.ingest()) == "first run"


def test_after_a_run_that_did_not_end_what_changed_since_is_said(trained, settings):
    plan = Plan(trained.spec, trained.folder, Home(settings))
    key = plan.train(trained.snapshot, trained.contract)
    plan.begin(key)
    assert plan.why(key) == "first run"
    changed = dict(key.ingredients) | {"code headrace.stages.training": "another"}
    assert plan.why(StageKey("train", changed)) == (
        "since a run that did not end: code of headrace.stages.training"
    )


def test_a_result_that_is_gone_or_damaged_is_made_again(trained, done):
    for content in (b"{", b""):
        key = done.ingest()
        done.home.store.write(f"stages/{key.fingerprint}.json", content)
        assert done.find(key, type(trained.snapshot)) is None
        assert done.why(key) == "its result is gone from the store"


def test_code_that_was_parsed_by_the_last_run_is_known(done, trained, monkeypatch):
    assert done.last.training == trained.good
    again = Plan(trained.spec, trained.folder, trained.home)
    closure._read.cache_clear()
    monkeypatch.setattr(closure, "_imports", {})
    monkeypatch.setattr(closure, "_imported", None)
    assert again.last == done.last


def test_a_champion_is_compared_with_what_it_was_compared_with(trained):
    plan = Plan(trained.spec, trained.folder, trained.home)
    before = plan.comparator(trained.good)
    assert plan.comparator(trained.good) == 1
    end(trained)
    champion = Ledger(trained.settings.database_url).champion("blobs")
    assert champion is not None
    assert champion.version.version == 2
    assert plan.comparator(trained.good) == 1
    assert plan.comparator(trained.weak) == 2
    assert plan.comparator(trained.good) == before


def test_a_forgotten_result_is_made_again(trained, done):
    key = keys_of(trained)["train"]
    done.forget(key)
    assert done.find(key, type(trained.good)) is None


def test_a_run_says_how_its_file_differs_from_that_of_the_champion(trained):
    assert end(trained).status == "promoted"
    assert Plan(trained.spec, trained.folder, trained.home).other_law() == []
    other = trained.with_law(promotion="{ approval_hours = 9 }")
    (finding,) = Plan(other.spec, other.folder, other.home).other_law()
    assert (finding.check, finding.message) == (
        "law",
        "the pipeline's file is not that of the champion, version 2: "
        "promotion.approval_hours 24.0 → 9.0",
    )
