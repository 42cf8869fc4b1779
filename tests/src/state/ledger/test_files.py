"""What the bytes of the store's files must be: the last digest of a key counts."""

from headrace.state.ledger import Ledger
from headrace.state.ledger.database import Database


def test_the_last_digest_of_a_key_counts(url):
    files = Ledger(url).files
    files.anchor({"a": "1", "b": "2"})
    files.anchor({"a": "3", "b": ""})
    assert files.anchored_before("a") == {"1", "3"}, "a killed run may leave either"
    files.anchor({"a": "1"})
    assert files.anchors(["a", "b", "c"]) == {"a": "1"}
    assert files.anchors() == {"a": "1"}
    many = {str(number): "d" for number in range(1200)}
    files.anchor(many)
    assert files.anchors(many) == many


def test_files_are_listed_in_the_order_of_their_recording(url):
    files = Ledger(url).files
    files.anchor({"b/2": "1", "b/1": "1", "c": "1"})
    files.anchor({"b/2": "2"})
    assert [*files.anchors()] == ["b/1", "c", "b/2"]
    assert files.anchors_below(["b/", "c"]) == {"b/1": "1", "c": "1", "b/2": "2"}
    assert files.last_anchor_below("b/") == "b/2"


def test_a_folder_is_not_one_with_a_similar_name(url):
    files = Ledger(url).files
    files.anchor({"corrections/a_b/1.json": "1" * 64})
    files.anchor({"corrections/a-b/2.json": "2" * 64})
    assert files.last_anchor_below("corrections/a_b/") == "corrections/a_b/1.json"
    assert files.last_anchor_below("corrections/a%/") == ""


def test_files_and_facts_lengthen_no_chain(ledger):
    ledger.files.anchor({"a": "1"})
    ledger.facts.record({"train/digits": "a.b"}, "ada@lab")
    assert ledger.walk_chain().rows == 0


def test_a_fact_is_recorded_once_changed_and_withdrawn(url):
    facts = Ledger(url).facts
    assert facts.all() == {}
    facts.record({"train/digits": "a.b", "fit/digits": "c.d"}, "ada@lab")
    facts.record({"train/digits": "a.b"}, "grace@lab")
    assert Ledger(url).facts.all() == {"train/digits": "a.b", "fit/digits": "c.d"}
    facts.record({"fit/digits": "", "none/digits": ""}, "grace@lab")
    assert facts.all() == {"train/digits": "a.b"}
    facts.record({"fit/digits": "e.f"}, "ada@lab")
    assert facts.recorded("fit/digits") == "e.f"
    assert facts.recorded("none/digits") is None


def test_what_is_recorded_already_is_not_written_again(ledger, monkeypatch):
    ledger.facts.record({"train/digits": "a.b"}, "ada@lab")
    monkeypatch.setattr(Database, "adding", None)
    ledger.facts.record({"train/digits": "a.b"}, "grace@lab")


def test_reading_writes_nothing(ledger, tmp_path):
    frozen = Ledger(f"sqlite:///file:{tmp_path}/headrace.db?mode=ro&uri=true")
    assert frozen.files.anchors() == frozen.facts.all() == {}
    assert frozen.disposals.tombstones() == frozenset()
    assert frozen.disposals.secret() == ledger.disposals.secret()
