"""A small BERT with random weights, in the form in which encoders are published."""

from __future__ import annotations

import json

import numpy as np
import pytest

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS += ("red", "blue", "zurich", "naive", "##ly", "a", "b")
WIDTH, INNER, LAYERS, STEPS = 16, 32, 2, 24
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "vocab_size": len(WORDS),
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "max_position_embeddings": STEPS,
    "layer_norm_eps": 1e-12,
}


def weights_of(random):
    """Weights by their published names, float32."""

    def dense(name, outputs, inputs):
        weight = random.normal(0, 0.3, (outputs, inputs))
        return {
            f"{name}.weight": weight,
            f"{name}.bias": random.normal(0, 0.3, outputs),
        }

    def normal(name):
        scale, shift = random.normal(1, 0.1, WIDTH), random.normal(0, 0.1, WIDTH)
        return {f"{name}.weight": scale, f"{name}.bias": shift}

    made = normal("embeddings.LayerNorm") | dense("pooler.dense", WIDTH, WIDTH)
    rows = {"word": len(WORDS), "position": STEPS, "token_type": 2}
    for name, count in rows.items():
        values = random.normal(0, 1, (count, WIDTH))
        made[f"embeddings.{name}_embeddings.weight"] = values
    for layer in range(LAYERS):
        block = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            made |= dense(f"{block}.attention.self.{part}", WIDTH, WIDTH)
        made |= dense(f"{block}.attention.output.dense", WIDTH, WIDTH)
        made |= normal(f"{block}.attention.output.LayerNorm")
        made |= dense(f"{block}.intermediate.dense", INNER, WIDTH)
        made |= dense(f"{block}.output.dense", WIDTH, INNER)
        made |= normal(f"{block}.output.LayerNorm")
    return {name: value.astype(np.float32) for name, value in made.items()}


@pytest.fixture(scope="session")
def small_bert(tmp_path_factory):
    """Its folder."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="extra pretrained")
    folder = tmp_path_factory.mktemp("bert")
    weights = weights_of(np.random.default_rng(7))
    safetensors.save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder
