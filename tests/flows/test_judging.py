"""A version that is judged anew is described as it was trained."""

from headrace.settings import Settings
from headrace.state.tracking import Tracking

EASY = "[{ name = 'accuracy', threshold = 0.3 }]"
OTHER = (
    "model.builder=cnn",
    "model.arguments={}",
    "training.epochs=1",
    "training.learning_rate=0.02",
)


def test_its_card_and_its_checks_are_of_its_own_recipe(after_first, tmp_path):
    changes = [word for text in OTHER for word in ("--set", text)]
    trained = after_first.headrace(
        "run", "blobs", *changes, "--register-only", "--json"
    )
    assert trained.json.get("version") == 2, trained.out
    full = '{ depth = "full" }'
    home = after_first.with_law(tmp_path / "project", gates=EASY, evaluation=full)
    answer = home.headrace("promote", "blobs", "2", "--json")
    assert "evaluating it now" in answer.err
    assert (answer.exit_code, answer.json["status"]) == (0, "promoted"), answer.err
    tracking = Tracking(Settings(project=home.project, home=home.path))
    card = tracking.client.get_model_version("blobs", "2").description
    assert "- `cnn`" in card
    assert "Trained for 1 epochs" in card
    assert "learning rate 0.02" in card
