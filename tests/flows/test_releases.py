"""A home that a release has made is read, used and gone on with by this version."""

import csv

import numpy as np
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


def told(home, *arguments):
    """What a command answers."""
    answer = home.headrace(*arguments, "--json")
    assert answer.exit_code == 0, answer.out + answer.err
    return answer.json


def use(home):
    """All that a user does with a home that was upgraded; whatever fails is a break."""
    listed = {one["name"]: one for one in told(home, "list")["pipelines"]}
    assert listed["blobs"]["champion"] == 1
    (row,) = told(home, "history", "blobs")["history"]
    assert (row["action"], row["to"], row["who"]) == ("promote", 1, "ada@lab")
    chain = told(home, "verify")["chain"]

    told(home, "score", "blobs", kept.ITEMS, "now.csv")
    labels, values = answers_in(home.project / "now.csv")
    former_labels, former_values = answers_in(home.project / kept.ANSWERS)
    assert labels == former_labels
    assert np.abs(values - former_values).max() < 1e-4

    again = told(home, "run", "blobs")
    assert again["status"] in {"unchanged", "promoted", "registered"}
    file = home.project / kept.PIPELINE / "pipeline.toml"
    file.write_text(file.read_text().replace("seed = 1", "seed = 2"))
    assert told(home, "run", "blobs")["version"] > 1
    later = told(home, "verify", "--head", chain["head"])["chain"]
    assert later["rows"] > chain["rows"]


def test_the_homes_of_releases_are_used_by_this_version(tmp_path, prefect_server):
    for packed in HOMES:
        use(kept.unpack(packed, tmp_path / packed.name))


def test_a_home_of_this_version_can_be_kept(tmp_path, prefect_server):
    packed = tmp_path / f"now{kept.SUFFIX}"
    kept.pack(packed)
    assert packed.stat().st_size < MOST_BYTES
    use(kept.unpack(packed, tmp_path / "project"))
