"""Recorded decisions that contradict themselves, or are not as they were added."""

import pytest
from tests.attacks.test_ledger import setting, without_triggers
from tests.src.state.ledger.conftest import (
    SERVED,
    a_version,
    fill,
    promote,
    some_evidence,
)

from headrace.records import GateResult
from headrace.state.ledger import Ledger, ledger_exists
from headrace.state.ledger.decisions import doubts, earlier_dates, wrong_verdicts

CHAMPION = {"name": "champion", "threshold": 0.05}
FAIR = {"kind": "fairness", "arguments": {"gap": 0.05}}
RUNG = {"kind": "robustness", "arguments": {"rung": "noise 25", "score": 0.9}}
ACCURACY = {"name": "accuracy", "metric": "test_accuracy", "threshold": 0.9}
GAIN = {**CHAMPION, "arguments": {"gain": 0.01}}


def a_gate(value, bound, sign=">=", **changes):
    fields = {"name": "accuracy", "passed": True, "value": value, "threshold": bound}
    fields["compared"] = f"{value:.4g} {sign} {bound:.4g}"
    return GateResult.model_validate(fields | changes)


def law_of(**row):
    """A law of one gate."""
    row = {"name": "it", "direction": "min", "margin": 0.005, **row}
    return {"applied": {"gates": [row]}}


def judged(ledger, gate, **changes):
    """What is said of a version with this gate, and with that of serving."""
    law = law_of(name=gate.name, kind="of-a-package")  # whose words count
    fields = {"gates": (gate, SERVED), "law": law} | changes
    measured = {"serving_difference": 0.0, "champion_p_value": gate.p_value}
    measured |= {"compared_items": 900.0, "new_items": 800.0}
    fields["metrics"] = measured | fields.get("metrics", {"test_accuracy": 0.9})
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, **fields))
    return [wrong.text for wrong in wrong_verdicts("digits", ledger)]


@pytest.mark.parametrize(
    ("gate", "numbers"),
    [
        (a_gate(0.8555, 0.999), "0.8555 >= 0.999"),
        (a_gate(0.3, 0.2, "<="), "0.3 <= 0.2"),
        (a_gate(0.2, 0.2, "<"), "0.2 < 0.2"),
        (
            a_gate(0.2, 0.05, compared="p(better) 0.2 < 0.05", kind="champion"),
            "p(better) 0.2 < 0.05",
        ),
    ],
)
def test_a_gate_that_passed_against_its_own_numbers_is_named(ledger, gate, numbers):
    assert judged(ledger, gate) == [
        f"The gate {gate.name} of digits/1 is recorded as passed with {numbers} "
        "(evidence 1)"
    ]


@pytest.mark.parametrize(
    "gate",
    [
        a_gate(0.999, 0.999),
        a_gate(0.8555, 0.999, passed=False),
        a_gate(0.8555, 0.999, compared=""),  # of a kind that does not say its sign
        a_gate(0.0193799, 0.01938, "<"),  # equal as they are printed
        a_gate(0.5, 0.1, compared="0.5 is well above 0.1"),
    ],
)
def test_other_gates_are_not(ledger, gate):
    assert judged(ledger, gate, passed=gate.passed) == []


def test_evidence_that_passed_with_a_gate_that_failed_is_named(ledger):
    (found,) = judged(ledger, a_gate(0.31, 0.9, passed=False))
    assert found == (
        "The evidence 1 of digits/1 is recorded as passed, and its gate accuracy as "
        "failed"
    )


def test_evidence_without_a_gate_of_its_law_is_named(ledger):
    rows = [
        {"name": name, "metric": f"test_{name}", "direction": "min", "threshold": 0.9}
        for name in ("accuracy", "latency")
    ]
    (found,) = judged(ledger, a_gate(0.9, 0.9), law={"applied": {"gates": rows}})
    assert found.endswith("as passed, and has no verdict of the gate latency")


@pytest.mark.parametrize("gates", [None, 7, ["accuracy"], [{"threshold": 0.9}]])
def test_a_law_whose_gates_are_no_tables_ends_no_look(ledger, gates):
    judged(ledger, a_gate(0.95, 0.9), law={"applied": {"gates": gates}})
    ledger.add_evidence(some_evidence(1, law={"applied": gates}, run_id="run2"))
    found = doubts(ledger, "digits")
    assert len(found) == 2
    assert all(" gate None" in one or "no gates of a law" in one for one in found)


@pytest.mark.parametrize("when", ["yesterday", "2026-11-30T16:44:00", ""])
def test_an_entry_whose_date_is_none_is_named(ledger, url, when):
    made = Ledger(url)
    fill(made, 1, 2)
    promote(made, 1)
    promote(made, 2)
    without_triggers(url, setting(url, "when", when, "kind = 'entry' AND step = 2"))
    assert [*earlier_dates("digits", made)] == [
        f"Entry 2 of digits has the date {when!r}"
    ]


@pytest.mark.parametrize(("value", "named"), [(0.98, True), (0.999, False)])
def test_a_value_is_held_against_the_law_whatever_was_said_to_be_compared(
    ledger, value, named
):
    law = law_of(name="accuracy", metric="test_accuracy", threshold=0.99)
    gate = a_gate(value, 0.99, compared="0.98 ≥ 0.9")
    found = judged(ledger, gate, law=law, metrics={"test_accuracy": value})
    assert bool(found) == named
    if named:
        assert "passed with 0.98 >= 0.99" in found[0]


def test_an_entry_that_is_dated_before_the_one_above_is_named(ledger, url):
    made = Ledger(url)
    fill(made, 1, 2)
    promote(made, 1)
    promote(made, 2)
    assert [*earlier_dates("digits", made)] == []
    without_triggers(
        url,
        setting(
            url, "when", "2020-01-01T00:00:00+00:00", "kind = 'entry' AND step = 2"
        ),
    )
    (found,) = earlier_dates("digits", made)
    assert found.startswith(
        "Entry 2 of digits is dated 2020-01-01T00:00:00+00:00, before entry 1 ("
    )
    assert doubts(made, "digits") == [
        "The ledger is not as it was written: the row "
        f"{made.walk_chain().rows} (entry digits/2) was changed",
        found,
    ]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (setting("sqlite", "passed", False, "kind = 'evidence'"), "was changed"),
        ("DELETE FROM events WHERE kind = 'entry'", "the row 4 is gone"),
        ("UPDATE events SET link = 'x' WHERE number = 1", "does not follow from"),
        (
            "INSERT INTO events SELECT 6, kind, model, subject, 2, rests_on, body, "
            "digest, link FROM events WHERE kind = 'entry'",
            "(entry digits/2) was changed",
        ),
    ],
)
def test_a_glance_sees_what_was_written_past_headrace(
    ledger, tmp_path, statement, problem
):
    fill(ledger, 1)
    ledger.anchor({"stages/a.json": "a" * 64})
    promote(ledger, 1)
    ledger.anchor({"stages/b.json": "b" * 64})
    assert ledger.glance() == ""
    url = f"sqlite:///{tmp_path}/headrace.db"
    assert ledger_exists(url)
    without_triggers(url, statement)
    assert problem in ledger.glance()
    assert ledger.walk_chain().problem


FORGED = [
    ({"name": "accuracy", "direction": "min", "threshold": 0.99}, 0.995, 0.5),
    ({"kind": "fairness", "arguments": {"gap": 0.05}}, 0.3, 0.4),
    ({"kind": "robustness", "arguments": {"rung": "noise 25", "drop": 0.1}}, 0.3, 0.4),
    ({"kind": "shortcut", "threshold": 0.1}, 0.3, 0.4),
    ({"kind": "weak_slice", "threshold": 0.1}, 0.3, 0.4),
    ({"kind": "membership", "threshold": 0.6}, 0.7, 0.8),
    ({"kind": "ratio", "threshold": 0.1, "arguments": {"to": "x"}}, 0.3, 0.4),
]


@pytest.mark.parametrize(("row", "value", "threshold"), FORGED)
def test_a_threshold_that_is_not_that_of_the_law_is_named(
    ledger, row, value, threshold
):
    row = {"name": "it", "direction": "max", **row}
    law = {"applied": {"gates": [row]}}
    gate = a_gate(value, threshold, "<=", name=row["name"])
    if row["name"] == "accuracy":
        gate = a_gate(value, threshold, name="accuracy")
    (found,) = judged(ledger, gate, law=law, metrics={})
    bound = row.get("threshold") or row["arguments"].get("gap", 0.1)
    assert f"the threshold {threshold:g}, and its law has {bound:g}" in found


MEASURED = {
    "weak_slice_loss": 0.3,
    "membership_auc_high": 0.8,
    "champion_p_value": 0.6,
    "test_latency": 9.0,
    "own": 0.9,
    "whole": 3.0,
}


OF_METRICS = [
    ({"kind": "weak_slice", "threshold": 0.5}, "weak_slice_loss", 0.3),
    ({"kind": "membership"}, "membership_auc_high", 0.8),
    ({"name": "champion", "threshold": 0.5}, "champion_p_value", 0.6),
    ({"metric": "test_latency"}, "test_latency", 9),
    (
        {"kind": "ratio", "metric": "own", "arguments": {"to": "whole"}},
        "own / whole",
        0.3,
    ),
]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("row", "name", "measured"), OF_METRICS)
def test_a_value_that_is_not_the_measured_one_is_named(
    ledger, row, name, measured, is_known
):
    row = {"name": "it", "direction": "max", "margin": 0.005, **row}
    gate = a_gate(0.01, 0.5, "<=", name=row["name"], p_value=0.01)
    metrics = MEASURED if is_known else {"champion_p_value": None, "whole": 3.0}
    law = {"applied": {"gates": [row]}}
    (found,) = judged(ledger, gate, law=law, metrics=metrics)
    known = f"{name} {measured:g} (" if is_known else f"no {name} ("
    assert f"passed with 0.01, and its evidence has {known}" in found


def test_a_slice_whose_metrics_are_not_recorded_may_be_any(ledger):
    row = {"name": "it", "direction": "max", "kind": "ratio", "metric": "group=a/f1"}
    law = {"applied": {"gates": [{**row, "arguments": {"to": "test_f1"}}]}}
    gate = a_gate(0.01, 0.5, "<=", name="it")
    assert judged(ledger, gate, law=law, metrics={"test_f1": 0.9}) == []


@pytest.mark.parametrize(
    ("gate", "numbers"),
    [
        (a_gate(0, 9, kind="serving"), "0 >= 9"),
        (a_gate(0.3, 9, name="champion", kind="serving"), "no comparison with the"),
        (SERVED.model_copy(update={"value": 0.1}), "0.1 <= 1e-05"),
        (
            SERVED.model_copy(update={"value": 0.1, "threshold": 0.5}),
            "the threshold 0.5, and the serving gate has 1e-05",
        ),
        (
            SERVED.model_copy(update={"value": 1e-6}),
            "1e-06, and its evidence has serving_difference 0",
        ),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_gate_is_of_the_kind_that_the_law_has_by_its_name(
    ledger, gate, numbers, is_named
):
    rows = [{**ACCURACY, "direction": "min"}, {**CHAMPION, "margin": 0.005}]
    if is_named and gate.name == "serving":  # by no law that a file can have
        rows.append({**ACCURACY, "name": "serving", "threshold": 0.0})
    law = {"applied": {"gates": rows}}
    found = judged(ledger, gate, law=law, champion_version=1)
    assert any(f"gate {gate.name} of digits/1" in one for one in found)
    assert any(f"passed with {numbers}" in one for one in found)


def test_a_serving_gate_whose_difference_was_not_measured_is_named(ledger):
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, metrics={"test_accuracy": 0.9}))
    (found,) = wrong_verdicts("digits", ledger)
    assert "gate serving" in found.text
    assert "0, and its evidence has no serving_difference" in found.text


@pytest.mark.parametrize(
    ("compared", "threshold", "named"),
    [
        ("p(better) 0.01 < 0.0195", 0.0195, False),
        ("p(better) 0.01 < 0.9", 0.9, True),
        ("lowest difference 0.01 > -0.005", -0.005, False),
        ("lowest difference 0.01 > -0.9", -0.9, True),
    ],
)
def test_a_champion_is_judged_by_no_milder_bound_than_the_law_has(
    ledger, compared, threshold, named
):
    row = {"name": "champion", "threshold": 0.05, "margin": 0.005}
    fields = {"name": "champion", "kind": "champion", "compared": compared}
    gate = a_gate(0.01, threshold, p_value=0.01, **fields)
    found = judged(ledger, gate, law={"applied": {"gates": [row]}})
    assert bool(found) == named


def test_a_sign_that_is_turned_is_no_way_round(ledger):
    row = {"name": "it", "kind": "fairness", "arguments": {"gap": 0.05}}
    gate = a_gate(0.3, 0.05, ">=", name="it")
    assert judged(ledger, gate, law={"applied": {"gates": [row]}})


@pytest.mark.parametrize("odd", [None, "much", [], {"a": 1}, True])
@pytest.mark.parametrize("kind", ["", "fairness", "ratio", "champion"])
def test_a_gate_of_a_law_of_another_form_ends_no_look(ledger, kind, odd):
    row = {"kind": kind, "metric": odd, "threshold": odd, "margin": odd}
    row["name"] = "champion" if kind == "champion" else "it"
    gate = a_gate(0.2, 0.3, compared="p(better) 0.2 < 0.3", name=row["name"])
    law = {"applied": {"gates": [{**row, "arguments": odd}]}}
    judged(ledger, gate, law=law)


@pytest.mark.parametrize(
    ("row", "numbers", "said"),
    [
        (CHAMPION, {}, "no comparison with the champion on record"),
        (CHAMPION, {"p_value": 0.9, "threshold": 0.0194}, "no comparison"),
        (
            CHAMPION,
            {"value": 0.9, "p_value": 0.9, "threshold": 0.0194},
            "0.9 < 0.0194",
        ),
        (
            CHAMPION,
            {"value": 0.9, "p_value": 0.9, "threshold": 0.95},
            "the threshold 0.95, and its law has 0.05",
        ),
        (
            CHAMPION,
            {"value": -0.2, "p_value": 0.9, "threshold": -0.005},
            "-0.2 > -0.005",
        ),
        (GAIN, {"value": 0.002, "p_value": 0.01, "threshold": 0.01}, "0.002 > 0.01"),
        (GAIN, {"value": 0.02, "p_value": 0.9, "threshold": 0.01}, "0.9 < 0.05"),
        (
            GAIN,
            {"value": 0.01, "p_value": 0.01, "threshold": 0.0194},
            "the threshold 0.0194, and its law has 0.01",
        ),
        (
            {"kind": "shortcut", "threshold": 0.1},
            {"value": 0.9, "threshold": 0.1},
            "0.9 <= 0.1",
        ),
        (FAIR, {"value": 0.5, "threshold": 0.05}, "0.5 <= 0.05"),
        (FAIR, {}, "no value on record"),
        (
            {**FAIR, "arguments": {"gap": 0.05, "cannot_tell": "fail"}},
            {"threshold": 0.05},
            "no value on record",
        ),
        (RUNG, {"value": 0.1, "threshold": 0.9}, "0.1 >= 0.9"),
        (
            {"kind": "weak_slice", "threshold": 0.1},
            {"threshold": 0.1},
            "no value on record",
        ),
        (ACCURACY, {"threshold": 0.9}, "no value on record"),
        (
            ACCURACY,
            {"value": 0.95, "threshold": 0.9},
            "0.95, and its evidence has no test_accuracy",
        ),
        (
            {"name": "latency", "metric": "latency_ms", "threshold": 5000},
            {"threshold": 5000, "compared": "9000 <= 5000"},
            "no value on record",
        ),
    ],
)
def test_a_verdict_that_does_not_follow_from_the_record_is_named(
    ledger, row, numbers, said
):
    gate = GateResult(name=row.get("name", "it"), passed=True, **numbers)
    changes = {"law": law_of(**row), "metrics": {"test_accuracy": None}}
    (found,) = judged(ledger, gate, **changes, champion_version=1)
    assert f"is recorded as passed with {said}" in found


@pytest.mark.parametrize(
    ("row", "numbers", "champion"),
    [
        (CHAMPION, {}, None),
        (CHAMPION, {"value": 0.01, "p_value": 0.01, "threshold": 0.0194}, 1),
        (CHAMPION, {"value": 0.02, "p_value": 0.9, "threshold": -0.005}, 1),
        (GAIN, {"value": 0.02, "p_value": 0.01, "threshold": 0.01}, 1),
        (FAIR, {"threshold": 0.05}, 1),
        ({"kind": "shortcut", "threshold": 0.1}, {"threshold": 0.1}, 1),
        (RUNG, {"value": 0.95, "threshold": 0.9}, 1),
        (
            {"metric": "class=spam/f1", "threshold": 0.9},
            {"value": 0.95, "threshold": 0.9},
            1,
        ),
        ({"kind": "of-a-package"}, {}, 1),
    ],
)
def test_a_verdict_that_follows_from_the_record_is_not(ledger, row, numbers, champion):
    gate = GateResult(name=row.get("name", "it"), passed=True, **numbers)
    changes = {"law": law_of(**row), "metrics": {}, "champion_version": champion}
    assert judged(ledger, gate, **changes) == []


@pytest.mark.parametrize("count", [0.0, None, -3.0])
@pytest.mark.parametrize(
    ("value", "threshold", "items"),
    [(0.01, 0.0194, "compared items"), (0.02, -0.005, "new items")],
)
def test_a_champion_by_a_comparison_of_no_items_is_named(
    ledger, value, threshold, items, count
):
    gate = a_gate(value, threshold, name="champion", p_value=0.01, compared="")
    fields = {"law": law_of(**CHAMPION), "champion_version": 1}
    metrics = {items.replace(" ", "_"): count}
    (found,) = judged(ledger, gate, metrics=metrics, **fields)
    assert f"is recorded as passed with no {items} on record" in found


@pytest.mark.parametrize("direction", [None, "up", 7])
@pytest.mark.parametrize("kind", ["", "ratio"])
def test_a_law_of_another_direction_lets_no_gate_pass(ledger, kind, direction):
    law = law_of(**{**ACCURACY, "kind": kind, "direction": direction})
    gate, metrics = a_gate(0.1, 0.9, "<="), {"test_accuracy": 0.1}
    (found,) = judged(ledger, gate, law=law, metrics=metrics)
    assert f"passed with the direction {direction!r} of its law" in found


def test_evidence_that_passed_by_no_law_is_named(ledger):
    (found,) = judged(ledger, a_gate(0.95, 0.9), law={})
    assert found.endswith("is recorded as passed, and has no gates of a law")


@pytest.mark.parametrize(
    ("recorded", "before", "fields"),
    [
        ((), 0.99, "gates"),
        (("gates",), 0.99, ""),
        (("gates",), 0.9, "none"),
        (("data.limit",), 0.99, "gates"),
        ((), None, "fields that cannot be read"),
    ],
)
def test_overrides_that_do_not_follow_from_the_laws_are_named(
    ledger, recorded, before, fields
):
    applied = law_of(**ACCURACY)["applied"]
    row = {**applied["gates"][0], "threshold": before}
    law = {"applied": applied, "committed": {"gates": [row] if before else [7]}}
    metrics = {"test_accuracy": 0.95}
    gate = a_gate(0.95, 0.9)
    found = judged(ledger, gate, law=law, overrides=recorded, metrics=metrics)
    assert len(found) == bool(fields)
    for one in found:
        names = ", ".join(recorded) or "none"
        assert f"with the overrides {names}, and its laws differ in {fields}" in one


def test_evidence_whose_answers_were_not_checked_in_a_clean_process_is_named(ledger):
    gate, metrics = a_gate(0.95, 0.9), {"test_accuracy": 0.95}
    bare = {"law": law_of(**ACCURACY), "gates": (gate,), "metrics": metrics}
    (found,) = judged(ledger, gate, **bare)
    assert found.endswith("as passed, and has no verdict of the gate serving")
    far = SERVED.model_copy(update={"value": 0.5})
    ledger.add_evidence(some_evidence(1, **{**bare, "gates": (gate, far)}))
    assert "passed with 0.5 <= 1e-05" in [*wrong_verdicts("digits", ledger)][1].text
