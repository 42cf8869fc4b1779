"""A home that a release has made is read, used and gone on with by this version."""

import csv

import numpy as np
import pytest
from tests.releases import kept

HOMES = sorted(kept.FOLDER.glob(f"*{kept.SUFFIX}"))
MOST_BYTES = 300_000


def answers_in(path):
    """The label and the probabilities of each item."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("probability")]
    values = np.array([[float(row[name]) for name in names] for row in rows])
    return [row["label"] for row in rows], values


def use(home):
    """All that a user does with a home that was upgraded; whatever fails is a break."""
    (listed,) = [
        one
        for one in home.headrace("list", "--json").json["pipelines"]
        if one["name"] == "blobs"
    ]
    assert listed["champion"] == 1
    (row,) = home.headrace("history", "blobs", "--json").json["history"]
    assert (row["action"], row["to"], row["who"]) == ("promote", 1, "ada@lab")

    verified = home.headrace("verify", "--json")
    assert verified.exit_code == 0, verified.out
    chain = verified.json["chain"]

    scored = home.headrace("score", "blobs", kept.ITEMS, "now.csv", "--json")
    assert scored.exit_code == 0, scored.err
    labels, values = answers_in(home.project / "now.csv")
    former_labels, former_values = answers_in(home.project / kept.ANSWERS)
    assert labels == former_labels
    assert np.abs(values - former_values).max() < 1e-4

    again = home.headrace("run", "blobs", "--json")
    assert again.exit_code == 0, again.err
    assert again.json["status"] in ("unchanged", "promoted", "registered")

    file = home.project / kept.PIPELINE / "pipeline.toml"
    file.write_text(file.read_text().replace("seed = 1", "seed = 2"))
    other = home.headrace("run", "blobs", "--json")
    assert other.exit_code == 0, other.err
    assert other.json["version"] > 1
    verified = home.headrace("verify", "--head", chain["head"], "--json")
    assert verified.exit_code == 0, verified.out
    assert verified.json["chain"]["rows"] > chain["rows"]


@pytest.mark.parametrize("packed", HOMES, ids=lambda path: path.name)
def test_a_home_of_a_release_is_used_by_this_version(packed, tmp_path, prefect_server):
    use(kept.unpack(packed, tmp_path / "project"))


def test_a_home_of_this_version_can_be_kept(tmp_path, prefect_server):
    packed = tmp_path / f"now{kept.SUFFIX}"
    kept.pack(packed)
    assert packed.stat().st_size < MOST_BYTES
    use(kept.unpack(packed, tmp_path / "project"))
