"""What the names of files say of speakers or sources."""

import pytest

from headrace.use.first_look import Prefixes

WHO = ("george", "speaker03", "0a7c2a8d")


def found(names, medium="audio"):
    """The findings on files, by names that begin with the folder of their class."""
    prefixes = Prefixes(medium)
    for name in names:
        prefixes.add(name, name.partition("/")[0])
    return [finding.message for finding in prefixes.finding()]


@pytest.mark.parametrize(
    "form",
    [
        "{who}_{label}_{n}.wav",
        "{label}_{who}_{n}.wav",
        "{who}-{n}.WAV",
        "C:\\Sounds\\{who}_{n}.wav",
    ],
)
def test_prefixes_that_recur_beside_several_labels_may_be_speakers(form):
    names = [
        f"{label}/{form.format(who=who, label=label, n=n)}"
        for label in ("zero", "one")
        for who in WHO
        for n in range(2 + WHO.index(who))
    ]
    (message,) = found(names)
    assert "may be 3 speakers or sources, such as 0a7c2a8d (8 files) and" in message


@pytest.mark.parametrize(
    "names",
    [
        [f"{label}/{label}_{n}.wav" for label in ("cat", "dog") for n in range(9)],
        [f"{label}/img_{n}.wav" for label in ("cat", "dog") for n in range(9)],
        [f"{label}/{n:04}_x.wav" for label in ("cat", "dog", "cow") for n in range(9)],
        [f"{label}/a{n}.wav" for label in ("cat", "dog", "cow") for n in range(9)],
        [f"{label}/a{n}_x.wav" for label in ("cat", "dog") for n in range(9)],
        [f"cat/ann_{n}.wav" for n in range(9)] + [f"dog/bob_{n}.wav" for n in range(9)],
        [
            f"{label}/{who}_1_{n}.wav"
            for label in "ab"
            for n in range(9)
            for who in ("train", "test")
        ],
        [f"{who}.csv line {n}" for who in WHO for n in range(9)],
        [f"{label}/{who}_{n}.wav" for label in "ab" for who in WHO for n in range(4)]
        + [f"a/{n}.wav" for n in range(9)],
        [],
    ],
    ids=[
        *("the class", "one for all", "numbers", "no separator", "rarely the same"),
        *("one class each", "splits", "no files", "others among them", "none"),
    ],
)
def test_other_beginnings_are_none(names):
    assert found(names) == []
