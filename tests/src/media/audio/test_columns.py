import numpy as np
import pytest

from headrace.media.arrow import lengths
from headrace.media.audio import MEDIUM as audio
from headrace.media.audio.columns import in_blocks
from headrace.records import DataDescription

RATE, LENGTH = 8_000, 6_000
DATA = DataDescription(
    medium="audio", shape=(LENGTH,), classes=("a", "b"), sample_rate_hz=RATE
)
TIME = np.arange(4_000) / RATE


def _payload(sounds):
    payload = np.zeros((len(sounds), LENGTH), np.int16)
    for row, sound in zip(payload, sounds, strict=True):
        row[: len(sound)] = np.clip(np.rint(sound), -32_768, 32_767)
    return payload


def _voice(seed, level=6_000):
    """Half a second of a gliding, swelling tone with overtones and some hiss."""
    random = np.random.default_rng(seed)
    pitch = random.uniform(90, 250) * (1 + random.uniform(-0.4, 0.4) * TIME)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tones = sum(random.uniform() * np.sin(k * phase) / k for k in range(1, 12))
    beat = 1 + np.sin(2 * np.pi * random.uniform(3, 12) * TIME)
    swell = np.sin(np.pi * TIME / TIME[-1]) ** 2 * beat
    return level * swell * tones + random.normal(0, 40, len(TIME))


VOICES = [_voice(seed) for seed in range(60)]


def _told(sounds, labels=None):
    labels = labels or ["a", "b"] * len(sounds)
    return audio.columns(_payload(sounds), labels[: len(sounds)], DATA)


def _prints(sounds):
    return audio.fingerprints(_payload(sounds), DATA)


def _failing(told):
    """Rows that fail each expectation."""
    failing = {}
    for expected in audio.expectations(DATA):
        arguments = expected.arguments
        values = told[arguments["column"]]
        if "value_set" in arguments:
            bad = ~np.isin(values, arguments["value_set"])
        else:
            bad = values < arguments["min_value"]
            bad |= values > arguments.get("max_value", np.inf)
        if bad.any():
            failing[expected.check] = np.flatnonzero(bad).tolist()
    return failing


def test_simple_measures_leave_the_padding_out():
    told = _told([np.array([3_276.8 * n for n in (1, -2, 1, -2)] * 100)])
    assert told["seconds"].tolist() == [400 / RATE]
    assert told["peak"][0] == pytest.approx(0.2, abs=1e-4)
    assert told["rms"][0] == pytest.approx(np.sqrt(0.025), abs=1e-4)
    assert told["dc_offset"][0] == pytest.approx(-0.05, abs=1e-4)
    assert told["zero_crossing_rate"][0] == 399 / 400
    assert told["clipped_share"].tolist() == [0]


def test_every_column_has_a_value_of_its_type_for_each_sound():
    told = _told([*VOICES[:3], [], [1]])
    assert {len(values) for values in told.values()} == {5}
    kinds = {name: values.dtype.kind for name, values in told.items()}
    assert {name for name, kind in kinds.items() if kind == "b"} == {
        *("blank", "silence", "noise", "mostly_noise", "clipped"),
    }
    assert all(np.isfinite(told[name]).all() for name in kinds if kinds[name] == "f")


def test_no_sounds_have_no_values():
    nothing = np.empty((0, LENGTH), np.int16)
    told = audio.columns(nothing, [], DATA)
    assert {len(values) for values in told.values()} == {0}
    assert audio.fingerprints(nothing, DATA).tolist() == []


def test_columns_do_not_depend_on_the_company():
    together, alone = _told([*VOICES[:9], VOICES[0][:500]]), _told([VOICES[4]])
    for name in ("rms", "flatness", "level_spread_db", "zero_crossing_rate"):
        assert together[name][4] == pytest.approx(alone[name][0], rel=1e-5)
    assert _prints([*VOICES[:9], VOICES[0][:500]])[4] == _prints([VOICES[4]])[0]


def test_clean_sounds_meet_all_expectations():
    assert _failing(_told(VOICES)) == {}


def test_equal_values_are_blank_whatever_the_padding():
    told = _told([[], np.full(99, 7), np.full(LENGTH, -9), VOICES[0], [0, 0, 5]])
    assert told["blank"].tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("offset", [0, 500])
def test_faint_noise_is_silence(offset):
    hiss = np.random.default_rng(5).normal(offset, 8, 4_000)
    assert _failing(_told([*VOICES, hiss]))["silence"] == [60]


def test_a_quiet_recording_is_no_silence():
    assert not _told([_voice(1, level=300)])["silence"].any()


def test_what_is_shorter_than_a_twentieth_of_a_second_is_too_short():
    assert _failing(_told([*VOICES, VOICES[0][1_000:1_300]])) == {"too_short": [60]}


def test_short_sounds_are_no_fault_where_all_are():
    short = DataDescription(
        medium="audio", shape=(400,), classes=("a", "b"), sample_rate_hz=RATE
    )
    (bound,) = [e for e in audio.expectations(short) if e.check == "too_short"]
    assert bound.arguments["min_value"] == 0.025


def test_a_shifted_sound_has_an_offset():
    failing = _failing(_told([*VOICES, VOICES[0] + 3_000, VOICES[1] - 3_000]))
    assert failing == {"dc_offset": [60, 61]}


def test_rumble_has_no_offset():
    rumble = 8_000 * np.sin(2 * np.pi * 3.3 * TIME)
    assert np.abs(rumble.mean()) > 1_000
    assert _told([rumble])["dc_offset"].tolist() == [0]


def test_sounds_cut_at_the_limit_are_clipped():
    loud = [30 * VOICES[0], 30 * VOICES[1]]
    assert _failing(_told([*VOICES, *loud])) == {"clipped": [60, 61]}


def test_loud_sounds_that_touch_the_limit_are_not_clipped():
    loud = [32_767 * voice / np.abs(voice).max() for voice in VOICES]
    assert _failing(_told(loud)) == {}


def test_where_clipping_is_of_all_degrees_only_ruined_sounds_count():
    gains = np.geomspace(4, 400, len(VOICES))
    told = _told([gain * voice for gain, voice in zip(gains, VOICES, strict=True)])
    share = told["clipped_share"]
    assert ((share > 0.02) & (share < 0.2)).any()
    assert told["clipped"].tolist() == (share >= 0.2).tolist()


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_noise_among_voices_is_told(kind):
    noise = np.random.default_rng(7).normal(0, 3_000, 4_000)
    if kind == "pink":
        bins = np.fft.rfft(noise)
        noise = 8 * np.fft.irfft(bins / np.sqrt(1 + np.arange(len(bins))))
    assert _failing(_told([*VOICES, noise])) == {"mostly_noise": [60]}


def test_a_class_of_noise_is_none_of_the_faults():
    random = np.random.default_rng(8)
    rain = [random.normal(0, 3_000, 4_000) for _ in range(10)]
    labels = ["a"] * len(VOICES) + ["rain"] * 10
    assert _failing(_told([*VOICES, *rain], labels)) == {}


def test_noise_is_no_fault_where_it_comes_in_all_degrees():
    random = np.random.default_rng(9)
    windy = [
        voice + random.normal(0, level, 4_000)
        for voice, level in zip(VOICES, np.geomspace(100, 20_000, 60), strict=True)
    ]
    told = _told(windy)
    assert told["noise"].any()
    assert not told["mostly_noise"].any()


def test_a_few_sounds_have_no_rest_to_be_unlike():
    noise = np.random.default_rng(7).normal(0, 3_000, 4_000)
    assert not _told([*VOICES[:3], noise])["mostly_noise"].any()


def test_the_bandwidth_is_where_the_content_ends():
    bins = np.fft.rfft(VOICES[0] / 3 + np.diff(VOICES[0], prepend=0))
    bins[round(1_500 * LENGTH / RATE) :] = 0
    narrow = np.fft.irfft(bins, LENGTH)
    assert _told([narrow])["bandwidth_hz"][0] == pytest.approx(1_500, abs=300)


def test_lengths_end_at_the_last_sample_that_is_not_zero():
    assert lengths(np.array([[0, 1, 0], [0, 0, 0], [1, 0, 2]])).tolist() == [2, 0, 3]


def test_lengths_of_long_rows_do_not_depend_on_how_much_is_padding():
    ends = [0, 1, 135, 136, 137, 199, 200]
    rows = np.array([[3] * end + [0] * (200 - end) for end in ends])
    assert lengths(rows).tolist() == ends
    assert lengths(rows[:0]).tolist() == []


def test_blocks_give_the_rows_back_in_their_order():
    payload = _payload([np.ones(n) for n in (3_000, 1, 500, 0, LENGTH, 2)])
    told = in_blocks(lambda block, _: {"n": lengths(block)}, payload, RATE)
    assert told["n"].tolist() == [3_000, 1, 500, 0, LENGTH, 2]


def _bits(first, second):
    return np.bitwise_count(first ^ second)


def test_copies_have_near_fingerprints():
    random = np.random.default_rng(4)
    copies = [
        [voice / 4 for voice in VOICES[:20]],
        [voice + random.normal(0, 20, len(voice)) for voice in VOICES[:20]],
        [np.concatenate([np.zeros(160), voice]) for voice in VOICES[:20]],
        [np.rint(voice / 256) * 256 for voice in VOICES[:20]],
    ]
    whole = _prints(VOICES[:20])
    for copied in copies:
        near = _bits(whole, _prints(copied))
        assert np.quantile(near, 0.9) <= 4
        alike = audio.alike(_payload(VOICES[:20]), _payload(copied), DATA)
        assert alike.mean() >= 0.9


def test_other_sounds_have_other_fingerprints():
    codes = _prints(VOICES)
    apart = _bits(codes[:, None], codes)[np.triu_indices(len(codes), 1)]
    assert apart.min() > 2
    others = np.roll(_payload(VOICES), 1, axis=0)
    assert not audio.alike(_payload(VOICES), others, DATA).any()
