"""What of a backbone is trained, and with which learning rate."""

from __future__ import annotations

import numpy as np
import pytest
from tests.extras import needs_keras_hub

from headrace.errors import SpecError
from headrace.models import pretrained
from headrace.records import DataDescription

pytestmark = [pytest.mark.system, needs_keras_hub]

DATA = DataDescription(medium="text", shape=(64,), classes=("a", "b"))


def body_of(folder, train):
    return pretrained.build(DATA, str(folder), train, max_tokens=8)[1]


def rates(body):
    found = {}
    for variable in body.trainable_variables:
        place = variable.path.partition("transformer_layer_")[2][:1] or "before"
        found.setdefault(place, set()).add(round(variable.rate, 6))
    return found


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("head", {}),
        ("last:1", {"1": {0.01}}),
        ("last:2", {"0": {0.008}, "1": {0.01}}),
        ("all", {"before": {0.0064}, "0": {0.008}, "1": {0.01}}),
        ("lora:2", {"0": {0.1}, "1": {0.1}}),
    ],
)
def test_what_learns_and_how_fast(small_bert, train, expected):
    assert rates(body_of(small_bert, train)) == expected


def test_low_rank_updates_are_few_and_begin_at_nothing(small_bert):
    plain, adapted = (body_of(small_bert, train) for train in ("head", "lora:2"))
    ids = np.array([[2, 5, 6, 3]])
    np.testing.assert_array_equal(plain(ids), adapted(ids))
    names = {variable.name for variable in adapted.trainable_variables}
    assert names == {"lora_kernel_a", "lora_kernel_b", "bias"}
    assert not {variable.name for variable in plain.variables} & names - {"bias"}


def test_a_rank_that_saves_nothing_is_refused(small_bert):
    with pytest.raises(SpecError, match="a rank of 8 at most"):
        body_of(small_bert, "lora:9")


@pytest.mark.parametrize(
    "train", [3, "", "heads", "last", "last:0", "last:3", "last:-1", "lora:", "lora:x"]
)
def test_what_a_backbone_does_not_have_is_refused(small_bert, train):
    with pytest.raises(SpecError, match=r"names no part|2 blocks") as caught:
        body_of(small_bert, train)
    assert "last:N" in str(caught.value)


TEXTS = ["red blue", "blue a", "b red", "naive red", "a b", "blue blue red", "b", "a"]


def fit_of(folder, train, kept=None):
    from tests.src.stages.fitting.test_checkpoints import checkpoints

    from headrace.pipeline import PipelineSpec
    from headrace.stages.fitting import Fit
    from headrace.stages.fitting.data import TrainingData
    from headrace.stages.fitting.shards import Examples

    rows = np.zeros((len(TEXTS), 64), np.uint8)
    for row, text in zip(rows, TEXTS, strict=True):
        row[: len(text)] = list(text.encode())
    examples = Examples(rows, np.arange(len(TEXTS), dtype=np.int32) % 2)

    class Split:
        counts = np.array([len(TEXTS)])

        def read(self, shard):
            return examples

    arguments = {"preset": str(folder), "train": train, "max_tokens": 8}
    spec = PipelineSpec.model_validate(
        {
            "name": "words",
            "medium": "text",
            "data": {"source": "sample"},
            "model": {"builder": "pretrained", "arguments": arguments},
            "training": {"epochs": 3, "batch_size": 2, "learning_rate": 0.1, "seed": 5},
        }
    )
    data = TrainingData(DATA, Split(), examples)
    place = checkpoints(kept) if kept else None
    return Fit(spec, folder, "pretrained", data, place).run(lambda *_: None)


@pytest.mark.parametrize("train", ["head", "last:1", "all", "lora:2"])
def test_a_fit_ends_with_the_same_weights_twice_and_after_a_kill(
    small_bert, train, tmp_path, monkeypatch
):
    from tests.src.stages.fitting.test_checkpoints import Killed, kill_after

    whole = fit_of(small_bert, train)
    assert fit_of(small_bert, train).weights_digest == whole.weights_digest
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 5)
        fit_of(small_bert, train, tmp_path)
    assert fit_of(small_bert, train, tmp_path).weights_digest == whole.weights_digest


@pytest.mark.parametrize("train", ["last:1", "lora:2"])
def test_a_saved_model_gives_the_answers_of_the_fitted_one(small_bert, train, tmp_path):
    import keras

    model = fit_of(small_bert, train).model
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    texts = keras.ops.convert_to_tensor(np.array(TEXTS))
    np.testing.assert_allclose(loaded(texts), model(texts), atol=1e-6)


def test_an_argument_of_another_medium_is_refused(small_bert):
    with pytest.raises(SpecError, match=r"pixels = 96 is of images"):
        pretrained.build(DATA, str(small_bert), pixels=96)
