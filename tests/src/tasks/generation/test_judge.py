"""Scores and metrics of a language model, and what its judge finds out by itself."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from tests.src.tasks.generation.models import DATA, a_model

from headrace.media.text.texts import from_column
from headrace.pipeline import EvaluationSpec, PipelineSpec
from headrace.tasks.generation import evidence
from headrace.tasks.generation.data import codes_of, padded
from headrace.tasks.generation.evidence import TextEvidence
from headrace.tasks.generation.judge import JUDGE, Surprise
from headrace.tasks.generation.kneser_ney import KneserNey

OUTPUTS = np.array([[3, 2], [6, 2], [8, 4], [1, 2]], np.float32)
TARGETS = np.zeros(4, np.int32)


def a_spec(*gates, **training):
    return PipelineSpec.model_validate(
        {
            "name": "texts",
            "medium": "text",
            "task": "generation",
            "data": {"source": "x.txt"},
            "gates": list(gates),
            "training": training,
        }
    )


class Rows:
    """A split of one shard."""

    def __init__(self, texts):
        import pyarrow as pa

        self.items = from_column(pa.array(texts, pa.string()), DATA.shape)
        self.counts = np.array([len(texts)])

    def read(self, shard):
        return SimpleNamespace(items=self.items)


def a_context(folder, spec, model):
    train = ["hello world", "this is a test", "hello this is a world"] * 10
    test = ["hello test", "a world is this", "this world"]
    return SimpleNamespace(
        model=model,
        spec=spec,
        data=DATA,
        train=Rows(train),
        test=Rows(test),
        folder=folder,
    )


def test_nats_per_character_are_a_ratio_of_sums():
    judged = JUDGE.judged(OUTPUTS, TARGETS, DATA)
    metrics, slices = judged.metrics(EvaluationSpec())
    assert metrics["test_nats_per_character"] == pytest.approx(18 / 10)
    assert metrics["test_bits_per_character"] == pytest.approx(1.8 / math.log(2))
    low, high = (metrics[f"test_nats_per_character_{end}"] for end in ("low", "high"))
    assert low < 1.8 < high
    assert metrics["non_finite_values"] == 0
    assert sum(one["rows"] for one in slices.values()) == 4
    summary = JUDGE.summary(judged.scores, 0.95, judged.weights)
    assert summary["nats_per_character"] == pytest.approx(1.8)
    assert judged.badness.argmax() == 1
    assert "3.00 nats per character" in JUDGE.caption(OUTPUTS[1], 0, DATA)


def test_the_difference_to_the_baseline_is_paired():
    sizes, runs = np.array([3, 2, 5, 1]), np.array([1, 2])
    baseline = OUTPUTS[:, 0] + np.array([0.2, 0.2, 0.4, 0.2])
    known = TextEvidence(sizes, baseline, 2, [], runs, runs, {"verbatim_ratio": 1.0})
    judged = Surprise(known).judged(OUTPUTS, TARGETS, DATA)
    metrics, _ = judged.metrics(EvaluationSpec())
    assert metrics["baseline_nats_per_character"] == pytest.approx(1.9)
    assert metrics["baseline_difference"] == pytest.approx(-0.1)
    # Each document is better by a tenth a character, so no draw differs.
    for end in ("low", "high"):
        assert metrics[f"baseline_difference_{end}"] == pytest.approx(-0.1)
    bits = 18 / math.log(2) / (11 + 4)
    assert metrics["test_bits_per_byte"] == pytest.approx(bits)
    assert metrics["verbatim_ratio"] == 1


@pytest.mark.system
def test_a_judge_fits_the_baseline_and_reads_texts(tmp_path):
    model = a_model("gru_lm")[2]
    baseline = {"name": "baseline", "arguments": {"order": 2}}
    spec = a_spec(baseline, canaries=5)
    context = a_context(tmp_path, spec, model)
    judge = JUDGE.prepared(context)
    assert (len(judge.texts), JUDGE.texts) == (evidence.TEXTS, ())
    texts = ["hello test", "a world is this", "this world"]
    outputs = np.asarray(model(padded([codes_of(text) for text in texts])))
    metrics, _ = judge.judged(outputs, np.zeros(3), DATA).metrics(EvaluationSpec())
    train = ["hello world", "this is a test", "hello this is a world"] * 10
    model_of_two = KneserNey([codes_of(text) for text in train], 2)
    nats = model_of_two.nats([codes_of(text) for text in texts]).sum()
    assert metrics["baseline_nats_per_character"] == pytest.approx(nats / 38)
    assert metrics["baseline_order"] == 2
    assert metrics["baseline_difference_low"] > 0  # the model is not trained
    assert 0 < metrics["canary_exposure"] < 6
    assert metrics["held_out_verbatim_high"] >= 5
    assert metrics["generated_personal_data"] == 0
    page = (tmp_path / "samples" / "texts.html").read_text(encoding="utf-8")
    assert page.count("<bdi>") >= 9
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    judge.judged(outputs, np.zeros(3), DATA).draw(EvaluationSpec(), pictures)
    assert {one.stem for one in pictures.iterdir()} == {"documents", "verbatim"}


def test_a_model_that_copies_train_has_a_high_ratio():
    copied, own = np.array([59, 59]), np.array([12, 15])
    metrics = evidence._verbatim_metrics(copied, own)
    assert metrics["verbatim_ratio"] > 2
    assert evidence._verbatim_metrics(own, own)["verbatim_ratio"] == 1


def test_few_documents_are_reported():
    (finding,) = JUDGE.few_rows(a_spec(), np.zeros(3), 0)
    assert "3 test documents are too few" in finding.message
    assert JUDGE.few_rows(a_spec(), np.zeros(50), 0) == []


def test_what_is_monitored_are_two_numbers_an_answer():
    monitored = JUDGE.monitored(OUTPUTS, DATA)
    assert monitored["nats_per_character"].tolist() == [1.5, 3, 2, 0.5]
    assert monitored["characters"].tolist() == [2, 2, 4, 2]
