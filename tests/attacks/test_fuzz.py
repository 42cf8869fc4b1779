"""Some damaged files for every reader: each is read, refused or set aside."""

import pytest
from tests.attacks.fuzz.running import Report, distinct, fuzz
from tests.attacks.fuzz.seeds import all_seeds

MUTANTS = 24
ABORTED = "the process ended: SIGABRT"
SEEDS = {seed.name: seed for seed in all_seeds()}


@pytest.mark.parametrize("name", SEEDS)
def test_no_damaged_file_ends_a_reader(name):
    report = Report()
    fuzz(range(MUTANTS), report, [SEEDS[name]])
    told = [(one.number, one.what) for one in report.findings]
    aborted = [one for one in told if one[1] == ABORTED]
    if name.startswith("parquet"):  # whose metadata may lie: SECURITY.md
        told = [one for one in told if one not in aborted]
    assert told == []
    assert report.count + len(aborted) == MUTANTS
    # The first is the good file itself.
    assert any("read" in outcome for outcome in report.outcomes[name])


def test_findings_of_one_kind_are_told_once():
    from tests.attacks.fuzz.running import Finding

    some = [
        Finding("csv", 1, "ValueError at csv.py:3: no", b"long"),
        Finding("csv", 2, "ValueError at csv.py:3: not", b"one"),
        Finding("csv", 3, "the process ended: SIGABRT"),
    ]
    assert [(one.number, count) for one, count in distinct(some)] == [(2, 2), (3, 1)]
