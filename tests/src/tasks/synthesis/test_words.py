"""What `headrace new` finds out from the texts of recordings."""

from collections import Counter

from headrace.tasks.synthesis.words import SURVEY


def surveyed(takes_in_test):
    """Of two texts by ten speakers: so many takes of each in test, and one in train."""
    rows = Counter[tuple[str, str, str]]()
    for text in ("on", "off"):
        for speaker in "abcdefghij":
            rows["train", text, speaker] = 1
            rows["test", text, speaker] = takes_in_test
    labels = Counter[tuple[str, str]]()
    for (split, text, _), count in rows.items():
        labels[split, text] += count
    survey = SURVEY.survey("x.csv", labels, rows.total(), [])
    return SURVEY.count_groups(survey, rows)


def test_takes_of_one_text_and_speaker_make_a_gate_on_their_diversity():
    survey = surveyed(takes_in_test=2)
    assert "diversity" in [gate["name"] for gate in survey.gates]
    assert not survey.findings


def test_without_two_takes_in_test_their_diversity_is_no_gate_and_that_is_said():
    survey = surveyed(takes_in_test=1)
    assert "diversity" not in [gate["name"] for gate in survey.gates]
    (finding,) = survey.findings
    assert "no speaker has two recordings of one text in test" in finding.message
