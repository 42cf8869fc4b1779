"""The judge: takes pass, copies, averages and swapped voices are told."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from tests.src.tasks.synthesis.conftest import takes

from headrace.errors import UsageError
from headrace.media.audio.spectra import Framing, magnitudes, sounds_of
from headrace.pipeline import EvaluationSpec
from headrace.state.store import Store
from headrace.tasks.synthesis.data import LABELS
from headrace.tasks.synthesis.judge import JUDGE, keys_of

HOW = EvaluationSpec()


class Split(list[SimpleNamespace]):
    """Rows of a split in memory, in two parts, one of them empty."""

    def items(self):
        every = b"".join(part.items.tobytes() for part in self)
        return np.array([every[:32]], "S32")


def rows(count, first, data):
    sounds, keys = takes(count, first)
    items = (sounds * 32767).astype(np.int16)
    labels = pa.chunked_array([[data.texts[text] for text, _ in keys]])
    groups = [data.speakers[speaker] for _, speaker in keys]
    targets = LABELS.targets(items, labels, groups, data)
    full = SimpleNamespace(items=items, targets=targets)
    return Split([full, SimpleNamespace(items=items[:0], targets=targets[:0])])


@pytest.fixture(scope="module")
def context(data, quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    return SimpleNamespace(
        data=data,
        train=rows(8, 0, data),
        test=rows(3, 100, data),
        store=Store(str(folder / "store")),
        folder=folder / "run",
    )


@pytest.fixture(scope="module")
def judge(context):
    return JUDGE.prepared(context)


@pytest.fixture(scope="module")
def targets(context):
    return context.test[0].targets


def vocoded(sounds, data):
    framing = Framing.of(data)
    made = np.array(np.asarray(sounds_of(magnitudes(sounds, framing), framing)))
    made[sounds == 0] = 0
    return made


def test_a_recogniser_is_trained_once_for_a_data_set(context, judge):
    (name,) = context.store.names("recognisers")
    file = context.store.read(f"recognisers/{name}")
    assert JUDGE.prepared(context).recogniser.file == file == judge.recogniser.file


def test_other_takes_are_understood_new_and_different(judge, targets, data):
    answers, _ = takes(3, first=500)
    scores = judge.judged(answers, targets, data).scores
    assert scores.dtype == bool
    assert scores.mean() > 0.9
    metrics, slices = judge.judged(answers, targets, data).metrics(HOW)
    assert metrics["test_recognised"] == scores.mean()
    assert metrics["recogniser_accuracy"] > 0.9
    assert metrics["test_nearest_train_db"] > 3
    assert metrics["test_diversity_db"] > 3
    assert metrics["test_global_variance"] == pytest.approx(1, abs=0.1)
    assert metrics["non_finite_values"] == 0
    assert [*slices] == ["text=down", "text=up we go"]
    json.dumps(metrics, allow_nan=False)


@pytest.mark.system
def test_copies_of_recordings_of_train_are_told(judge, targets, data):
    answers, _ = takes(3, first=500)
    sounds, _ = takes(8)
    for seed in range(10):  # one copy in each, and other takes beside it
        place = seed % len(answers)
        taken = answers.copy()
        taken[place] = vocoded(sounds[seed * 3 : seed * 3 + 1], data)[0]
        metrics, _ = judge.judged(taken, targets, data).metrics(HOW)
        assert metrics["test_nearest_train_db"] < 3


def test_one_take_for_all_is_not_diverse(judge, targets, data):
    answers = np.repeat(takes(3, first=500)[0][::3], 3, axis=0)
    metrics, _ = judge.judged(answers, targets, data).metrics(HOW)
    assert metrics["test_diversity_db"] == pytest.approx(0, abs=0.1)


def test_another_voice_is_wrong_and_shown(judge, targets, data):
    sounds, keys = takes(3, first=500)
    swapped = sounds[np.lexsort((1 - keys[:, 1], keys[:, 0]))]
    metrics, _ = judge.judged(swapped, targets, data).metrics(HOW)
    assert metrics["test_text_accuracy"] > 0.9
    assert metrics["test_speaker_accuracy"] < 0.2
    badness = judge.judged(swapped, targets, data).badness
    assert set(badness.tolist()) <= {0, 1, 2}
    worst = int(badness.argmax())
    caption = judge.caption(swapped[worst], targets[worst], data)
    assert caption.startswith("asked for down high\nheard as ")


def test_answers_that_are_not_finite_are_counted(judge, targets, data):
    answers = takes(3, first=500)[0].copy()
    answers[0, :7] = np.nan
    metrics, _ = judge.judged(answers, targets, data).metrics(HOW)
    assert metrics["non_finite_values"] == 7


def test_an_answer_that_is_not_finite_is_not_understood(judge, targets, data):
    answers = takes(3, first=500)[0].copy()
    answers[:, 0] = np.nan  # what is left of each is understood
    assert not judge.judged(answers, targets, data).scores.any()
    assert set(judge.judged(answers, targets, data).badness.tolist()) == {2}
    assert judge.judged(answers, targets, data).metrics(HOW)[0]["test_recognised"] == 0


def test_pictures_and_players_are_drawn_where_there_is_no_model(
    judge, targets, data, tmp_path
):
    answers, _ = takes(3, first=500)
    judged = judge.judged(answers, targets, data)
    assert len(judged.scores) == len(targets)
    sent = pickle.loads(pickle.dumps(judged))  # to the process that draws
    sent.draw(HOW, tmp_path)
    assert sent.judge.recogniser._model is None
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {"pairs.png", "distances.png"}
    samples = judge.reference.folder / "samples"
    assert len([*samples.glob("*.wav")]) == 4
    page = (samples / "index.html").read_text()
    assert page.count("<audio") == 4
    assert page.count("data:audio/wav;base64,") == 4


def test_without_a_recogniser_nothing_is_judged(targets, data):
    sounds = np.zeros((len(targets), 4000), np.float32)
    with pytest.raises(UsageError, match="judged by a recogniser of its data"):
        assert JUDGE.judged(sounds, targets, data).scores


def test_length_and_level_are_monitored(data):
    sounds = np.zeros((2, 4000), np.float32)
    sounds[0, :2000], sounds[1, :800] = 0.1, 1
    watched = JUDGE.monitored(sounds, data)
    assert watched["seconds"].tolist() == [0.25, 0.1]
    assert watched["level"] == pytest.approx([-20, 0], abs=1e-3)


def test_keys_are_whole_numbers(targets):
    assert keys_of(targets).dtype == np.int64
