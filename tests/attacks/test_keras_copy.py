"""A file in Keras's folder that is not the one that Keras publishes."""

import numpy as np
import pytest
from tests.homes import Home

SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Where Keras keeps its file; nothing is there yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".keras" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    return path


def plant(path):
    """MNIST's layout, and another content."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    digits = np.arange(40) % 10
    np.savez(
        path,
        x_train=images[:20],
        y_train=digits[:20],
        x_test=images[20:],
        y_test=digits[20:],
    )
    return path


def test_another_file_is_refused_by_name(copy, tmp_path):
    home = Home(tmp_path / "home", tmp_path)
    folder = tmp_path / "pipelines" / "digits"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(
        'medium = "image"\n[data]\nsource = "keras:mnist"\n'
    )
    plant(copy)
    answer = home.headrace("check", "digits", "--data", "keras:mnist", "--json")
    assert answer.exit_code == 1
    told = str(answer.json)
    assert str(copy) in told
    assert "has sha256 " in told
    assert f"has sha256 {SHA256}" in told
    assert f"name your own file with --data {copy}" in told
