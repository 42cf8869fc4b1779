"""The bill of materials, against the official schema of CycloneDX."""

import json
from importlib import metadata

import pytest

from headrace.evidence.bundling.bill import bill_of_materials
from headrace.records import DataDescription, SnapshotRecord
from headrace.stages.ingredients import Ingredients
from headrace.state.ledger import Version

validation = pytest.importorskip("cyclonedx.validation.json")


def bill(source="catalog:sms-spam"):
    description = DataDescription(medium="text", shape=(40,), classes=("ham", "spam"))
    snapshot = SnapshotRecord(
        uri="/store/snapshots/s",
        digest="5" * 64,
        description=description,
        rows={"train": 10, "val": 2, "test": 5},
        rejected=0,
        source=source,
        attribution="by somebody",
    )
    numpy = metadata.version("numpy")
    ingredients = Ingredients(
        builder="text_cnn",
        code={"version numpy": numpy, "code headrace.models": "c" * 64},
        python="CPython 3.11",
        distributions=(f"numpy=={numpy}", "some_Thing==1.0+local"),
        machine={},
        execution={},
        quarantine="",
        files={},
    )
    version = Version(
        model="messages",
        version=3,
        training="t",
        run_id="run3",
        model_uri="models:/m-3",
        model_digest="d" * 64,
        weights_digest="e" * 64,
        snapshot_digest="5" * 64,
        created_by="ada@lab",
        created="2026-01-02T03:04:05.678+00:00",
    )
    engines = {"onnx": {"model.onnx": "a" * 64}}
    return bill_of_materials(version, snapshot, ingredients, engines)


def test_it_fits_the_official_schema():
    from cyclonedx.schema import SchemaVersion

    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    text = json.dumps(bill())
    assert validator.validate_str(text) is None
    wrong = json.dumps(bill() | {"bomFormat": "Other"})
    assert validator.validate_str(wrong) is not None


def test_it_has_the_model_its_data_and_its_libraries():
    made = bill()
    model = made["metadata"]["component"]
    assert (model["name"], model["version"]) == ("messages", "3")
    assert model["hashes"] == [{"alg": "SHA-256", "content": "d" * 64}]
    data, engine, numpy, other = made["components"]
    assert data["licenses"] == [{"license": {"name": "CC BY 4.0"}}]
    assert data["hashes"][0]["content"] == "5" * 64
    assert engine["components"][0]["hashes"][0]["content"] == "a" * 64
    assert (numpy["name"], numpy["scope"]) == ("numpy", "required")
    assert (other["scope"], other["version"]) == ("optional", "1.0+local")
    refs = {component["bom-ref"] for component in made["components"]}
    assert set(made["dependencies"][0]["dependsOn"]) == refs


def test_equal_records_have_equal_bills():
    assert bill() == bill()
    assert "licenses" not in bill("/data/own.csv")["components"][0]
