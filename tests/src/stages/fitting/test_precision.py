"""Mixed precision: what computes in bfloat16, when, and what stays as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

from headrace import models
from headrace.pipeline import TrainingSpec
from headrace.pipeline.families import family_medium, family_yields
from headrace.records import DataDescription
from headrace.stages.fitting.precision import (
    FLOAT32,
    MIXED,
    choose_precision,
    products_in,
)
from headrace.tasks import task

CLASSES = ("dark", "middle", "bright")
DATA = {
    "image": DataDescription(medium="image", shape=(16, 16, 1), classes=CLASSES),
    "text": DataDescription(medium="text", shape=(50,), classes=CLASSES),
    "audio": DataDescription(
        medium="audio", shape=(4000,), sample_rate_hz=8000, classes=CLASSES
    ),
}
SPEECH = DataDescription(
    medium="audio",
    task="transcription",
    shape=(4000,),
    sample_rate_hz=8000,
    target={"unit": "words", "tokens": ["a", "b"], "longest": 3, "scripts": []},
)
# The others compute their own loss.
KINDS = ("", "vector", "sequence")
FAMILIES = [
    n
    for n in models.builder_names()
    if family_yields(n) in KINDS and n != "pretrained"  # which needs a backbone
]


@pytest.mark.system
def test_a_fit_in_mixed_precision_learns_the_same_but_for_rounding(fit):
    plain, _ = fit("cnn", epochs=4)
    mixed, _ = fit("cnn", epochs=4, precision=MIXED)
    assert (plain.execution.precision, mixed.execution.precision) == (FLOAT32, MIXED)
    assert mixed.weights_digest != plain.weights_digest
    assert mixed.metrics["val_loss"] == pytest.approx(
        plain.metrics["val_loss"], abs=0.05
    )
    again, _ = fit("cnn", epochs=4, precision=MIXED)
    assert again.weights_digest == mixed.weights_digest


@pytest.mark.system
def test_a_model_is_saved_as_if_it_had_been_fitted_in_float32(fit):
    plain, mixed = fit("cnn")[0].model, fit("cnn", precision=MIXED)[0].model
    assert mixed.to_json() == plain.to_json()
    assert {weight.dtype for weight in mixed.weights} == {"float32"}


@pytest.mark.system
@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_traced_with_products_in_bfloat16(name):
    import tensorflow as tf

    is_speech = family_yields(name) == "sequence"
    data = SPEECH if is_speech else DATA[family_medium(name) or "image"]
    preprocessing, network = models.build(name, data, {})
    prepared = preprocessing.outputs[0]
    shape = (2, *(size or 30 for size in prepared.shape[1:]))
    items = tf.cast(tf.ones(shape), prepared.dtype)
    with products_in(MIXED, network):
        graph = _traced(network, items)
    found = graph(items)
    assert found.dtype == tf.float32
    assert np.isfinite(found).all()
    # The only product of a bag of n-grams is the one that gives the outputs.
    assert ("bfloat16" in _products(graph)) == (name != "bag_of_ngrams")
    assert _products(_traced(network, items)) == {"float32"}


def _traced(network, items):
    import tensorflow as tf

    traced = tf.function(lambda x: network(x, training=True), autograph=False)
    return traced.get_concrete_function(tf.TensorSpec.from_tensor(items))


def _products(traced):
    """The dtypes that are multiplied by a kernel."""
    kinds = {"BatchMatMulV2", "Conv2D", "Einsum", "MatMul"}
    operations = traced.graph.get_operations()
    return {x.inputs[0].dtype.name for x in operations if x.type in kinds}


@pytest.mark.parametrize(
    ("device", "capability", "spec", "name", "chosen"),
    [
        pytest.param("cpu", None, {}, "classification", FLOAT32, id="a CPU"),
        pytest.param("gpu", (9, 0), {}, "classification", MIXED, id="an H100"),
        pytest.param("gpu", (7, 5), {}, "classification", FLOAT32, id="a T4"),
        pytest.param("gpu", None, {}, "classification", FLOAT32, id="unknown"),
        pytest.param("gpu", (9, 0), {}, "generation", FLOAT32, id="its own loss"),
        pytest.param(
            *("gpu", (9, 0), {"privacy": {"epsilon": 3}}, "classification", FLOAT32),
            id="private",
        ),
        pytest.param(
            "gpu", (9, 0), {"precision": FLOAT32}, "classification", FLOAT32, id="asked"
        ),
        pytest.param(
            "cpu", None, {"precision": MIXED}, "classification", MIXED, id="asked for"
        ),
    ],
)
def test_the_precision_follows_from_recipe_and_device(
    monkeypatch, device, capability, spec, name, chosen
):
    import tensorflow as tf

    details = {"compute_capability": capability} if capability else {}
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: ["one"] * (kind == "GPU")
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: details
    )
    one = SimpleNamespace(num_replicas_in_sync=1)
    recipe = TrainingSpec.model_validate(spec)
    assert choose_precision(recipe, task(name).head, device, one) == chosen


def test_a_policy_that_the_users_code_has_set_is_told(monkeypatch):
    import keras

    policy = keras.dtype_policies.get("mixed_float16")
    monkeypatch.setattr(keras.config, "dtype_policy", lambda: policy)
    one = SimpleNamespace(num_replicas_in_sync=1)
    chosen = choose_precision(TrainingSpec(), task("classification").head, "cpu", one)
    assert chosen == "mixed_float16"
