"""Labels that models which have not seen them disagree with."""

from collections import Counter

import numpy as np
import pytest
from tests.blobs import blobs

from headrace.data.snapshots.splits import SplitRows
from headrace.errors import Refusal, UsageError
from headrace.pipeline.privacy import PrivacySpec
from headrace.records import ContractRecord, DataDescription
from headrace.use.relabeling.suspects import FOLDS, MOST, find_suspects, folds_of

DATA = DataDescription(
    medium="image", shape=(8, 8, 1), target={"classes": ["0", "1", "2"]}
)
ROWS, WRONG = 300, 12


@pytest.fixture
def written(trained, write_snapshot):
    """Blobs of which the first twelve have a wrong label; groups if they are given."""

    def write(groups=(), wrong=WRONG):
        images, labels = blobs(ROWS, seed=4)
        given = np.where(np.arange(ROWS) < wrong, (labels + 1) % 3, labels)
        columns = {
            "split": [["train", "test", "val"][max(0, n % 5 - 2)] for n in range(ROWS)],
            "label": [str(label) for label in given],
            "name": [str(number) for number in range(ROWS)],
            **({"group": list(groups)} if groups else {}),
        }
        store = trained.home.store
        return write_snapshot(store, DATA, images.reshape(-1, 8, 8, 1), columns)

    return write


def found(trained, snapshot, **changed):
    recipe = {"epochs": 30, "batch_size": 8, "learning_rate": 0.1, **changed}
    training = trained.spec.training.model_copy(update=recipe)
    spec = trained.spec.model_copy(update={"training": training})
    none = trained.contract.model_copy(update={"quarantine_uri": ""})
    assert isinstance(none, ContractRecord)
    return find_suspects(spec, trained.folder, snapshot, none, trained.home)


def splits_of(snapshot):
    return [SplitRows(snapshot, split) for split in ("train", "val", "test")]


@pytest.mark.system
def test_wrong_labels_come_first_in_every_split(trained, written):
    suspects = found(trained, written())
    first = suspects[:WRONG]
    assert {int(one.name) for one in first} == set(range(WRONG))
    assert all(int(one.label) == (int(one.likely) + 1) % 3 for one in first)
    assert {one.split for one in first} == {"train", "val", "test"}
    assert [one.preference for one in suspects] == sorted(
        (one.preference for one in suspects), reverse=True
    )
    assert len(suspects) <= MOST
    assert {len(one.item) for one in suspects} == {64}


def test_folds_are_of_about_one_size_and_the_same_again(written):
    splits = splits_of(written())
    folds = folds_of(splits)
    assert Counter(folds.tolist()) == {fold: ROWS // FOLDS for fold in range(FOLDS)}
    assert (folds == folds_of(splits)).all()


def test_a_group_is_in_one_fold(written):
    groups = [f"g{number % 7}" for number in range(ROWS)]
    splits = splits_of(written(groups))
    folds, own = (
        folds_of(splits),
        [g for rows in splits for p in rows for g in p.groups],
    )
    together = {(group, fold) for group, fold in zip(own, folds.tolist(), strict=True)}
    assert len(together) == 7
    assert len({fold for _, fold in together}) == FOLDS


def test_rows_of_one_group_are_refused(written):
    with pytest.raises(Refusal, match="of one group"):
        folds_of(splits_of(written(["same"] * ROWS)))


def test_a_private_training_is_refused(trained, written):
    privacy = PrivacySpec(epsilon=1.0)
    with pytest.raises(UsageError, match="trains privately"):
        found(trained, written(), privacy=privacy)
