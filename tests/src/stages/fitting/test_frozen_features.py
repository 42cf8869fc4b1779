"""The outputs of frozen layers are kept in the store, by shard."""

from __future__ import annotations

import numpy as np
import pytest
from tests.src.stages.fitting.test_frozen import OWN

from headrace.settings import Settings
from headrace.stages.fitting.features import FOLDER, Features
from headrace.stages.fitting.shards import Chosen, Examples, prepared
from headrace.state.home import Home

ITEMS = np.random.default_rng(0).integers(0, 255, (6, 4), np.uint8)


@pytest.fixture
def home(tmp_path):
    return Home(Settings(home=tmp_path / "home").prepare_home())


def network(seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    keras.utils.clear_session()
    taken = keras.Input((4,))
    return keras.Model(taken, keras.layers.Dense(3)(taken))


def floats(items):
    return items.astype(np.float32)


def kept(home):
    return home.store.names(FOLDER)


def test_a_shard_is_computed_once_for_all_that_ask(home, monkeypatch):
    first = Features([network()], floats, home)(ITEMS)
    monkeypatch.setattr(Features, "_computed", None)
    again = Features([network()], floats, home)(ITEMS)
    np.testing.assert_array_equal(first, again)
    assert len(kept(home)) == 1


@pytest.mark.parametrize("changed", ["weights", "items", "layers"])
def test_what_differs_is_computed_anew(home, changed):
    import keras

    Features([network()], floats, home)(ITEMS)
    models = {
        "weights": [network(1)],
        "layers": [
            network(),
            keras.Sequential([keras.Input((3,)), keras.layers.ReLU()]),
        ],
    }.get(changed, [network()])
    Features(models, floats, home)(ITEMS[1:] if changed == "items" else ITEMS)
    assert len(kept(home)) == 2


def test_what_was_changed_in_the_store_is_computed_anew(home):
    features = Features([network()], floats, home)
    expected = features(ITEMS)
    (name,) = kept(home)
    home.store.write(f"{FOLDER}/{name}", b"other bytes")
    np.testing.assert_array_equal(features(ITEMS), expected)


def test_chosen_rows_are_taken_of_whole_shards():
    seen = []

    class Split:
        counts = np.array([4, 2])

        def read(self, shard):
            start = 4 * shard
            rows = slice(start, start + self.counts[shard])
            return Examples(ITEMS[rows], np.arange(6)[rows])

    def prepare(rows):
        seen.append(len(rows.items))
        return Examples(rows.items * 2, rows.targets)

    chosen = Chosen([Split()], np.array([1, 0, 0, 1, 0, 1], bool))
    shards = prepared(chosen, prepare, keeps=False, whole=True)
    parts = [shards.read(number) for number in range(2)]
    np.testing.assert_array_equal(shards.counts, [2, 1])
    targets = np.concatenate([part.targets for part in parts])
    np.testing.assert_array_equal(targets, [0, 3, 5])
    items = np.concatenate([part.items for part in parts])
    np.testing.assert_array_equal(items, ITEMS[[0, 3, 5]] * 2)
    assert seen == [4, 2]


def test_a_fit_that_reads_kept_outputs_ends_with_the_same_weights(
    tmp_path, monkeypatch, fit, make_data, home
):
    from dataclasses import replace

    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)  # the fits' pipeline folder is "."
    data = replace(make_data(), home=home)
    plain, _ = fit("own:build", make_data())
    first, _ = fit("own:build", data)
    assert kept(home)
    monkeypatch.setattr(Features, "_computed", None)
    second, _ = fit("own:build", data)
    digests = {one.weights_digest for one in (plain, first, second)}
    assert len(digests) == 1
