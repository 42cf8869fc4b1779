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


def test_running_numbers_with_a_file_of_each_class_are_no_speakers():
    classes = ("hoch", "mittel", "tief")
    names = [f"{kind}/t{n}_{kind}_1.wav" for kind in classes for n in range(40)]
    assert found(names) == []
    some = [name for name in names if not name.startswith("tief/t3")]
    assert found(some) == [], "a class may have fewer files"
    # A speaker says each word more than once, or has a name that is no number.
    twice = [f"{kind}/t{n % 4}_{kind}_{n}.wav" for kind in "abc" for n in range(8)]
    assert "may be 4 speakers" in found(twice)[0]
    called = [f"{kind}/{who}_{kind}_1.wav" for kind in classes for who in (*WHO, "eve")]
    assert "may be 4 speakers" in found(called)[0]
    # A text for each file is no class.
    told = [f"text {n}/s{n % 5}_{n}.wav" for n in range(50)]
    assert "may be 5 speakers" in found(told)[0]


def test_two_or_three_beginnings_that_share_the_files_are_no_sources():
    # They name kinds of files; as groups, a test could only have a third or half.
    names = [
        f"{kind}/{word}_{kind}_{n}.png"
        for kind in ("cat", "dog", "cow")
        for word, count in (("foto", 23), ("bild", 22))
        for n in range(count)
    ]
    assert found(names, "image") == []
    scans = [
        f"{kind}/scan_{kind}_{n}.png" for kind in ("cat", "dog") for n in range(30)
    ]
    assert found(names + scans, "image") == []
