from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from headrace import media
from headrace.errors import InputError, SourceError, SpecError
from headrace.media.audio import MEDIUM as audio
from headrace.pipeline import DataSpec
from headrace.records import DataDescription, Form

DATA = DataDescription(
    medium="audio", shape=(4,), classes=("a", "b"), sample_rate_hz=8_000
)
FORM = Form(sample_rate_hz=8_000)


def _form(**fields):
    return media.form_of(DataSpec(source="x", **fields), "audio")


def test_the_form_is_16_khz_and_of_any_length_unless_declared():
    assert _form() == Form(sample_rate_hz=16_000)


@pytest.mark.parametrize(
    "fields",
    [{"seconds": 0.5}, {"shape": (4_000,)}, {"seconds": 0.5, "shape": (4000,)}],
)
def test_the_length_is_declared_in_seconds_or_samples(fields):
    form = _form(sample_rate_hz=8_000, **fields)
    assert form == Form(shape=(4_000,), sample_rate_hz=8_000)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"shape": (28, 28)}, r"data.shape is \[28, 28\]"),
        ({"shape": (0,)}, r"data.shape is \[0\]"),
        (
            {"seconds": 1, "shape": (5,)},
            r"\[5\], but data.seconds is 1, which is 16,000",
        ),
        ({"seconds": 1e-6}, "of 0 samples"),
        ({"shape": (10**9,)}, "of 1,000,000,000 samples"),
        (
            {"mask": ("email",)},
            r"data\.mask is \('email',\), which is not a field of the medium audio",
        ),
    ],
)
def test_what_is_no_form_of_a_sound_is_refused(fields, reason):
    with pytest.raises(SpecError, match=reason):
        _form(**fields)


def test_the_usual_shape_is_the_longest_up_to_ten_seconds():
    shapes = Counter({(8_000,): 9, (12_000,): 1})
    assert audio.usual_shape(shapes, FORM) == (12_000,)
    assert audio.usual_shape(shapes + Counter({(90_000,): 1}), FORM) == (80_000,)


def test_fit_pads_and_cuts_and_says_what_was_lost():
    payload = np.array([[1, 2, 3], [4, 0, 0]], np.int16)
    longer, same = audio.fit(payload, (5,)), audio.fit(payload, (3,))
    shorter = audio.fit(payload, (2,))
    assert longer.payload.tolist() == [[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]]
    assert same.payload is payload
    assert shorter.payload.tolist() == [[1, 2], [4, 0]]
    assert shorter.notes == Counter({"cut to 2 samples": 1})
    assert not longer.notes
    assert all(fitted.valid.all() for fitted in (longer, same, shorter))


def test_a_column_holds_the_samples():
    payload = np.array([[1, -2], [3, 32_767]], np.int16)
    column = audio.as_column(payload)
    assert column.type == pa.binary(4)
    back = audio.from_column(column.slice(1), (2,))
    assert back.tolist() == [[3, 32_767]]
    assert back.dtype == np.int16


@pytest.mark.parametrize(
    ("array", "expected", "scale"),
    [
        (np.array([[1, -2]], np.int16), [[1, -2]], "16 bits"),
        (np.array([[1, -32768]], np.int64), [[1, -32768]], "16 bits"),
        (np.array([[[0.5], [-1]]], np.float32), [[16_384, -32_768]], "-1..1"),
        (np.array([[0.25, 1]], np.float16), [[8_192, 32_767]], "-1..1"),
        (np.array([[30_000.0, -5]]), [[30_000, -5]], "16 bits"),
        (np.zeros((1, 2)), [[0, 0]], ""),
        (np.zeros((1, 2), np.int16), [[0, 0]], ""),
    ],
)
def test_arrays_are_brought_to_16_bits(array, expected, scale):
    payload, seen = audio.decode_array(array, FORM, ["x[0]"], "d.npz", None)
    assert payload.dtype == np.int16
    assert payload.tolist() == expected
    assert seen == scale


def test_a_quiet_part_of_an_array_of_16_bit_floats_is_no_louder():
    payload, _ = audio.decode_array(np.ones((1, 2)), FORM, ["x[0]"], "d.npz", 20_000.0)
    assert payload.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((1, 2, 2)), r"d.npz: x has shape \(n, 2, 2\)"),
        (np.zeros((1, 0)), r"has shape \(n, 0\)"),
        (np.zeros((1, 2), np.uint8), "x holds uint8, which are not sounds"),
        (np.array([["a"]]), "holds <U1, which are not sounds"),
        (np.array([[1, 40_000]]), r"x\[0\] has the value 40000 at sample 1"),
        (np.array([[0, np.nan]]), "has the value nan at sample 1"),
        (np.array([[0.5, 40.5]]), "has the value 0.5 at sample 0; floats are -1..1"),
    ],
)
def test_arrays_that_are_no_sounds_are_refused(array, reason):
    with pytest.raises(SourceError, match=reason):
        audio.decode_array(array, FORM, ["x[0]"], "d.npz", None)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([0.5, 1], np.float32), [[0.5, 1, 0, 0]]),
        (np.array([[16_384, -32_768]], np.int16), [[0.5, -1, 0, 0]]),
        ([[0.5, 0.25, 0, 0, 1]], [[0.5, 0.25, 0, 0]]),
        ([0.5], [[0.5, 0, 0, 0]]),
        (
            [np.array([16_384], np.int16), np.array([0.25, 0.5])],
            [[0.5, 0, 0, 0], [0.25, 0.5, 0, 0]],
        ),
    ],
)
def test_a_model_takes_sounds_of_any_length(x, expected):
    checked = audio.check_input(x, DATA)
    assert checked.dtype == np.float32
    assert checked.tolist() == expected


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.array([0.5, np.nan]), "holds NaN"),
        (np.array([0.5, 2]), r"values are 0.5..2; expected -1..1"),
        (np.zeros((1, 4), np.uint8), "dtype uint8"),
        (["a"], "dtype <U1"),
        (np.zeros((1, 2, 2), np.float32), r"shape \(1, 2, 2\)"),
        ([], "holds no samples"),
        (np.zeros((1, 0), np.float32), "holds no samples"),
        (1.0, "holds no samples"),
    ],
)
def test_what_a_model_must_not_guess_about_is_refused(x, reason):
    with pytest.raises(InputError, match=reason):
        audio.check_input(x, DATA)


def test_all_variants_are_the_same_sounds():
    payload = np.array([[1, -32_768, 5, 0]], np.int16)
    raw = audio.raw(payload)
    assert raw.dtype == np.float32
    assert raw.tolist() == [[1 / 32_768, -1, 5 / 32_768, 0]]
    for variant in audio.variants(payload):
        assert np.array_equal(audio.check_input(variant, DATA), raw)


def test_a_sample_is_drawn_as_a_spectrogram_over_seconds_and_hertz():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    seconds = np.arange(16_000) / 8_000
    tone = (8_000 * np.sin(2 * np.pi * 1_000 * seconds)).astype(np.int16)
    audio.draw_sample(axes, tone, DATA)

    (picture,) = axes.images
    assert picture.get_extent() == [0, 2, 0, 4_000]
    rows = picture.get_array()
    loudest = rows.mean(axis=1).argmax() / len(rows) * 4_000
    assert abs(loudest - 1_000) < 50
    assert axes.get_xlabel() == "time (s)"
    assert axes.get_ylabel() == "frequency (Hz)"


@pytest.mark.parametrize("sample", [np.zeros(40, np.int16), np.ones(1, np.int16)])
def test_silence_and_a_very_short_sound_are_drawn(sample):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    audio.draw_sample(axes, sample, DATA)

    assert np.isfinite(axes.images[0].get_array()).all()
