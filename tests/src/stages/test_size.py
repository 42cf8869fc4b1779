"""The size of a training: rows x epochs x parameters."""

import math

import pytest
from headrace.stages.size import SMALL, size_of


def test_the_size_is_that_of_the_work_and_not_of_the_machine(trained):
    training = trained.good
    assert training.metrics["parameters"] == 64 * 16 + 16 + 16 * 3 + 3
    assert size_of(training, 100, 3) == 100 * 3 * 1_091
    for seconds in (1e-6, 1e6):
        metrics = {**training.metrics, "epoch_cpu_seconds": seconds}
        other = training.model_copy(update={"metrics": metrics})
        assert size_of(other, 100, 3) == size_of(training, 100, 3)


def test_a_training_of_before_has_no_known_size(trained):
    metrics = {k: v for k, v in trained.good.metrics.items() if k != "parameters"}
    before = trained.good.model_copy(update={"metrics": metrics})
    assert size_of(before, 1, 1) == pytest.approx(math.inf)


def test_the_longer_training_of_readme_is_small_and_one_of_messages_is_not(trained):
    def training(parameters):
        metrics = {**trained.good.metrics, "parameters": parameters}
        return trained.good.model_copy(update={"metrics": metrics})

    digits = training(669_706)
    assert size_of(digits, rows=3784, epochs=30) <= SMALL
    messages = training(1_440_010)
    assert size_of(messages, rows=4247, epochs=15) > SMALL
