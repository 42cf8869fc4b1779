"""What each medium provides beside the interface of all."""

from __future__ import annotations

import pytest

from headrace.media import medium, optional

PROVIDED = {
    "audio": {"CutsItems", "DividesItems", "JoinsClips", "TakesFingerprints"},
    "image": {
        *("DividesItems", "FindsMarks", "MeasuresDifferences", "MeasuresSets"),
        *("TakesFingerprints", "TakesObjects"),
    },
    "text": {"DividesItems", "KnowsPassages", "NamesSlices", "TakesFingerprints"},
}


@pytest.mark.parametrize("name", PROVIDED)
def test_a_medium_provides_what_it_says(name: str) -> None:
    protocols = {
        key: value
        for key, value in vars(optional).items()
        if getattr(value, "__module__", "") == optional.__name__
    }
    module = medium(name)
    provided = {key for key, value in protocols.items() if isinstance(module, value)}
    assert provided == PROVIDED[name]
