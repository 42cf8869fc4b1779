"""A run that trains two families goes on where it was killed, and keeps the better."""

from tests.flows.test_crashes import killed_by
from tests.homes import Home, states, values_of

CHOOSING = (
    *("run", "blobs", "--json", "--set", "model.builder=cnn"),
    *("--set", "model.arguments={}", "--set", "training.epochs=1"),
    *("--set", "model.against=mlp"),
)
DIGESTS = (
    "SELECT value FROM tags WHERE key = 'mlflow.headrace.weights_digest' ORDER BY value"
)
SAVE = "headrace.stages.fitting.checkpoints:Checkpoints.save"


def test_a_killed_choice_goes_on_to_the_same_weights(
    project, mlflow_database, prefect_server, tmp_path
):
    homes = []
    for name in ("killed", "whole"):
        homes.append(Home(tmp_path / name, project))
        homes[-1].path.mkdir()
        (homes[-1].path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    killed, whole = homes
    often = ("--set", "training.checkpoint_steps=150")
    killed_by((*CHOOSING, *often), killed, prefect_server, SAVE, "after:2")
    # The named one is trained, and the other one had two checkpoints.
    assert len(values_of(killed.path / "mlflow.db", DIGESTS)) == 1
    went_on = killed.headrace(*CHOOSING)
    assert went_on.exit_code == 0, went_on.err
    assert states(went_on.json)["train"] == "resumed"
    choice = went_on.json["choice"]
    assert [one["builder"] for one in choice["candidates"]] == ["cnn", "mlp"]
    named, other = (one["val_loss"] for one in choice["candidates"])
    assert choice["kept"] == ("mlp" if other < named else "cnn")
    assert f"{choice['kept']} is kept" in went_on.err

    at_once = whole.headrace(*CHOOSING)
    assert at_once.exit_code == 0, at_once.err
    assert at_once.json["weights_digest"] == went_on.json["weights_digest"]
    both = [values_of(home.path / "mlflow.db", DIGESTS) for home in homes]
    assert both[0] == both[1]
    assert len(both[0]) == 2
    kept = "SELECT value FROM tags WHERE key = 'mlflow.headrace.kept' ORDER BY value"
    assert values_of(whole.path / "mlflow.db", kept) == ["False", "True"]
    assert list((killed.path / "store" / "checkpoints").glob("*")) == []

    again = killed.headrace(*CHOOSING)
    assert again.json["status"] in ("unchanged", "refused")
    assert set(states(again.json).values()) == {"cached"}
    assert again.json["choice"] == choice
