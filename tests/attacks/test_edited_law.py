"""A gate that is edited while the model is trained is judged as it was before."""

from tests.blobs import write_law
from tests.homes import Home

from headrace.state.ledger import Ledger

# The builder, which is called to train, lowers the threshold of the gate.
MODEL = """
from pathlib import Path

from headrace.models import mlp

FILE = Path({file!r})
YIELDS = "vector"


def build(data, hidden=(16,)):
    FILE.write_text(FILE.read_text().replace("threshold = 0.999", "threshold = 0.1"))
    return mlp.build(data, hidden)
"""
STRICT = "[{ name = 'recall', metric = 'test_accuracy', threshold = 0.999 }]"


def test_the_law_at_the_start_judges_and_the_summary_says_so(
    home, tmp_path, prefect_server
):
    project = tmp_path / "project"
    folder = project / "pipelines" / "blobs"
    gates = STRICT.replace("threshold", "direction = 'min', threshold")
    write_law(home.project, folder, gates=gates)
    file = folder / "pipeline.toml"
    text = file.read_text().replace("epochs = 3", "epochs = 1")
    text = text.replace("learning_rate = 0.05", "learning_rate = 1e-5")
    file.write_text(text + 'model.builder = "model:build"\n')
    (folder / "model.py").write_text(MODEL.format(file=str(file)))
    edited = Home(home.path, project)
    answer = edited.headrace("run", "blobs", "--json")
    assert answer.exit_code == 1, answer.out + answer.err
    assert "threshold = 0.1" in file.read_text()
    found = answer.json
    assert (found["status"], found["gates"][0]["threshold"]) == ("refused", 0.999)
    (warning,) = [one for one in found["warnings"] if one["check"] == "law"]
    assert warning["message"] == (
        "the pipeline's file was edited: gates.recall.threshold 0.999 → 0.1; this run "
        "is judged by the law as it was at its start"
    )
    (evidence,) = Ledger(f"sqlite:///{home.path}/headrace.db").evidence_of("blobs")
    assert evidence.law["committed"]["gates"][0]["threshold"] == 0.999
