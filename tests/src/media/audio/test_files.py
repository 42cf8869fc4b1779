import io
import struct
from collections import Counter

import numpy as np
import pytest
import soundfile

from headrace.media.audio import files
from headrace.media.audio.files import decode_files, sizes
from headrace.media.forms import Problem
from headrace.records import Form

RATE = 8_000
FORM = Form(shape=(400,), sample_rate_hz=RATE)
SOUND = np.random.default_rng(1).integers(-9_000, 9_000, 400).astype(np.int16)
BYTES = SOUND.tobytes()


def _encoded(sound=SOUND, kind="WAV", subtype=None, rate=RATE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format=kind, subtype=subtype, **options)
    return bytearray(buffer.getvalue())


def _wav(data=BYTES, code=1, channels=1, rate=RATE, bits=16, block=None, **sizes):
    block = channels * bits // 8 if block is None else block
    speed = sizes.get("speed", rate * block)
    form = struct.pack("<HHIIHH", code, channels, rate, speed, block, bits)
    body = b"WAVEfmt \x10\0\0\0" + form + b"data"
    body += struct.pack("<I", sizes.get("data_size", len(data))) + data
    return b"RIFF" + struct.pack("<I", sizes.get("riff", len(body))) + body


def _one(data, form=FORM):
    decoded = decode_files([bytes(data)], form)
    return decoded.items[0], decoded.notes


def _problem(data, form=FORM):
    item, _ = _one(data, form)
    assert isinstance(item, Problem), item
    return item


@pytest.mark.parametrize(
    ("kind", "subtype", "endian"),
    [
        *(("WAV", kind, "FILE") for kind in ("PCM_16", "PCM_24", "PCM_32")),
        *(("WAV", kind, "FILE") for kind in ("FLOAT", "DOUBLE")),
        *(("WAV", kind, "BIG") for kind in ("PCM_16", "PCM_24", "FLOAT")),
        ("WAVEX", "PCM_16", "FILE"),
        ("RF64", "PCM_16", "FILE"),
        ("FLAC", "PCM_16", "FILE"),
        ("FLAC", "PCM_24", "FILE"),
        *((kind, "PCM_16", "FILE") for kind in ("AIFF", "AU")),
        *((kind, "FLOAT", "FILE") for kind in ("AIFF", "AU")),
    ],
)
def test_a_lossless_file_decodes_to_its_samples(kind, subtype, endian):
    # Whole numbers are written to files of floats as they are.
    sound = SOUND / 32_768 if subtype in ("FLOAT", "DOUBLE") else SOUND
    item, notes = _one(_encoded(sound, kind, subtype, endian=endian))
    assert item.dtype == np.int16
    assert np.array_equal(item, SOUND)
    assert not notes


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC"])
def test_eight_bits_are_the_highest_of_sixteen(kind):
    sound = np.array([-32768, -256, 0, 256, 32512], np.int16)
    subtype = "PCM_U8" if kind == "WAV" else "PCM_S8"
    item, _ = _one(_encoded(sound, kind, subtype))
    assert item[:5].tolist() == sound.tolist()


@pytest.mark.parametrize("kind", ["WAV", "AU"])
@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
def test_each_code_of_mu_law_and_a_law_is_what_libsndfile_makes_of_it(kind, subtype):
    data = _encoded(np.zeros(256, np.int16), kind, subtype)
    data[-256:] = bytes(range(256))
    expected, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    item, _ = _one(data)
    assert np.array_equal(item[:256], expected)


@pytest.mark.parametrize(
    ("subtype", "codes", "sound"),
    [  # by the tables of G.711, scaled to 16 bits
        ("ULAW", [0x00, 0x7F, 0x80, 0xFF, 0xC1], [-32_124, 0, 32_124, 0, 1_820]),
        ("ALAW", [0x55, 0xD5, 0x2A, 0xAA, 0x80], [-8, 8, -32_256, 32_256, 5_504]),
    ],
)
def test_codes_of_mu_law_and_a_law_are_those_of_the_recommendation(
    subtype, codes, sound
):
    data = _encoded(np.zeros(len(codes), np.int16), "AU", subtype)
    item, _ = _one(data[: -len(codes)] + bytes(codes))
    assert item[: len(codes)].tolist() == sound


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM"])
def test_adpcm_decodes_to_about_its_samples(subtype):
    sound = (9_000 * np.sin(np.arange(400) / 20)).astype(np.int16)
    item, _ = _one(_encoded(sound, subtype=subtype))
    assert np.abs(item.astype(int) - sound).mean() < 600


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_decodes_to_about_its_samples(subtype):
    sound = (9_000 * np.sin(np.arange(4_000) / 10)).astype(np.int16)
    form = Form(shape=(4_000,), sample_rate_hz=RATE)
    item, _ = _one(_encoded(sound, "OGG", subtype), form)
    assert np.abs(item.astype(int) - sound)[500:3_500].mean() < 500


def test_channels_are_averaged():
    sound = np.array([[100, 300], [-500, -100], [7, 8]], np.int16)
    item, notes = _one(_encoded(sound))
    assert item[:4].tolist() == [200, -300, 8, 0]
    assert notes == Counter({"mixed down from 2 channels": 1})


def test_channels_of_opposite_sign_do_not_become_silence():
    item, notes = _one(_encoded(np.stack([SOUND, -SOUND], axis=1)))
    assert np.array_equal(item, SOUND)
    assert notes["its channels cancel each other out: the first was taken"] == 1


def test_another_sample_rate_is_brought_to_the_forms():
    wave = 10_000 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    form = Form(shape=(RATE,), sample_rate_hz=RATE)
    item, notes = _one(_encoded(wave.astype(np.int16), rate=44_100), form)
    expected = 10_000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert item.shape == (RATE,)
    assert np.abs(item - expected)[200:-200].max() < 5
    assert notes == Counter({"brought from 44,100 Hz to 8,000 Hz": 1})


def test_a_long_sound_is_cut_to_the_declared_length():
    item, notes = _one(_encoded(), Form(shape=(80,), sample_rate_hz=RATE))
    assert np.array_equal(item, SOUND[:80])
    assert notes == Counter({"cut to 0.01 s": 1})


@pytest.mark.parametrize(
    ("count", "length"), [(1, 80), (80, 80), (81, 100), (8_000, 8_000), (9_000, 10_000)]
)
def test_without_a_declared_length_there_are_few(count, length):
    sound = np.full(count, 5, np.int16)
    item, notes = _one(_encoded(sound), Form(sample_rate_hz=RATE))
    assert item.shape == (length,)
    assert np.count_nonzero(item) == count
    assert not notes


def test_without_a_declared_length_ten_seconds_are_kept():
    sound = np.ones(90_000, np.int16)
    item, notes = _one(_encoded(sound), Form(sample_rate_hz=RATE))
    assert item.shape == (80_000,)
    assert notes == Counter({"cut to 10 s": 1})


@pytest.mark.parametrize("size", [0, 1, 2, 3, 798, 799, 800, 801, 802, 1600])
@pytest.mark.parametrize("form", [FORM, Form(shape=None, sample_rate_hz=RATE)])
@pytest.mark.parametrize("change", [{}, {"rate": 2 * RATE}, {"speed": 0}, {"riff": 0}])
def test_a_plain_file_is_what_its_header_says(size, form, change, monkeypatch):
    data = _wav((BYTES * 2)[:size], **change)
    found = _one(data, form)
    is_taken = not change and 2 <= size <= (801 if form is FORM else 1600)
    assert (files._plain(data, form) is not None) == is_taken
    monkeypatch.setattr(files, "_plain", lambda data, form: None)
    by_header = _one(data, form)
    if isinstance(found[0], Problem):
        assert found == by_header
    else:
        assert found[0].tobytes() == by_header[0].tobytes()
        assert found[1] == by_header[1]


def test_many_files_keep_their_order_and_their_notes():
    files = [bytes(_encoded(np.full(4, 10 + n, np.int16))) for n in range(70)]
    files[33] = b"no sound"
    files[50] = bytes(_encoded(np.ones((4, 2), np.int16)))
    decoded = decode_files(files, FORM)
    assert [i for i, x in enumerate(decoded.items) if isinstance(x, Problem)] == [33]
    firsts = [10 + n if n != 50 else 1 for n in range(70) if n != 33]
    kept = [x for x in decoded.items if not isinstance(x, Problem)]
    assert [int(item[0]) for item in kept] == firsts
    assert decoded.notes == Counter({"mixed down from 2 channels": 1})


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_wav_that_was_streamed_goes_to_the_end_of_its_file(size):
    riff = min(size + 36, 0xFFFF_FFFF)
    item, notes = _one(_wav(data_size=size, riff=riff))
    assert np.array_equal(item, SOUND)
    assert notes == Counter({"its header does not say how long it is": 1})


def test_a_flac_that_was_streamed_goes_to_the_end_of_its_file():
    data = _encoded(kind="FLAC")
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    item, notes = _one(data)
    assert np.array_equal(item, SOUND)
    assert notes == Counter({"its header does not say how long it is": 1})


@pytest.mark.parametrize("tail", [b"LIST\4\0\0\0abcd", b"ID3" + b"\1" * 30, bytes(64)])
def test_chunks_tags_and_filling_after_the_samples_are_harmless(tail):
    item, notes = _one(_wav() + tail)
    assert np.array_equal(item, SOUND)
    assert not notes


def test_chunks_of_odd_length_before_the_samples_are_harmless():
    data = _wav()
    item, _ = _one(data[:12] + b"note\3\0\0\0abc\0" + data[12:])
    assert np.array_equal(item, SOUND)


def test_floats_of_the_size_of_16_bits_are_divided():
    item, notes = _one(_wav(SOUND.astype("<f4").tobytes(), 3, bits=32))
    assert np.array_equal(item, SOUND)
    assert notes["floats of the size of 16 bits, divided by 32,768"] == 1


def test_floats_that_are_a_little_too_loud_are_clipped():
    item, notes = _one(_wav(np.array([0.5, 1.5, -2], "<f4").tobytes(), 3, bits=32))
    assert item[:3].tolist() == [16_384, 32_767, -32_768]
    assert notes["floats beyond -1 to 1, clipped"] == 1


@pytest.mark.parametrize(
    ("data", "check", "reason"),
    [
        (b"", "decode", "the file is empty or not there"),
        (b"ID3\3 an mp3", "damaged", "damaged or cut short"),
        (b"caff\0\1", "decode", "not one of WAV, FLAC, OGG, MP3, AIFF, AU: begins"),
        (_wav()[:40], "truncated", "ends before its samples begin"),
        (_wav()[:12], "truncated", "ends before its samples begin"),
        (_wav()[:-2], "truncated", "declares 800 bytes of samples, but 798 are there"),
        (
            _wav(data_size=200),
            "header",
            "declares 200 bytes of samples, but 600 follow",
        ),
        (_wav(data_size=0, riff=0), "header", "declares 0 bytes of samples, but 800"),
        (_wav(rate=900), "header", "a sample rate of 900 Hz"),
        (_wav(code=0x55), "damaged", "damaged or cut short"),
        (_wav(b""), "empty", "no samples"),
        (_wav(bytes(601 * 2_000), rate=1_000), "too_long", "601 s of 1 channels"),
        (
            _wav(np.array([0, np.nan, np.inf], "<f4").tobytes(), 3, bits=32),
            "not_finite",
            "2 of its samples are NaN or infinite, the first at 1",
        ),
        (
            _wav(np.array([0.5, 9_000.25], "<f4").tobytes(), 3, bits=32),
            "scale",
            "floats of 0.5 to 9000.25",
        ),
        (_encoded(kind="AIFF")[:-2], "truncated", "of samples, but 806 are there"),
        (_encoded(kind="FLAC")[:-9], "damaged", "damaged or cut short"),
        (_encoded(kind="OGG")[:-9], "truncated", "last Ogg page is missing or cut"),
    ],
)
def test_what_cannot_be_taken_is_told(data, check, reason):
    problem = _problem(data)
    assert problem.check == check
    assert reason in problem.reason


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_a_flipped_bit_never_passes_for_another_sound(kind, capfd):
    data = _encoded(kind=kind)
    whole, _ = _one(data)
    random = np.random.default_rng(3)
    for place in random.integers(4, len(data), 60).tolist():
        flipped = data.copy()
        flipped[place] ^= 1 << int(random.integers(8))
        item, _ = _one(flipped)
        assert isinstance(item, Problem) or np.array_equal(item, whole)
    assert capfd.readouterr() == ("", "")


def test_a_flac_of_hours_is_refused_from_its_header():
    data = _encoded(kind="FLAC")
    data[21] |= 0x0F
    assert _problem(data).check == "too_long"


def test_a_flac_that_holds_less_than_its_header_says_is_told():
    data = _encoded(kind="FLAC")
    data[22:26] = (500).to_bytes(4)
    assert _problem(data).check in ("truncated", "damaged")


def test_an_ogg_without_its_last_page_is_cut_short():
    data = _encoded(np.tile(SOUND, 99), "OGG")
    cut = bytes(data[: data.rindex(b"OggS")])
    assert "its last Ogg page is missing" in _problem(cut).reason


def test_an_ogg_with_a_page_missing_is_cut_short():
    data = bytes(_encoded(np.tile(SOUND, 999), "OGG"))
    pages = data.split(b"OggS")
    assert len(pages) > 9
    cut = b"OggS".join([*pages[:8], *pages[9:]])
    assert "declares 399,600 frames, and" in _problem(cut).reason


def test_damage_prints_nothing(capfd):
    data = _encoded(kind="AIFF")
    for place in range(4, 60):
        flipped = data.copy()
        flipped[place] ^= 0x80
        _one(flipped)
    assert capfd.readouterr() == ("", "")


KINDS = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")]
KINDS += [("MP3", "MPEG_LAYER_III")]


@pytest.mark.parametrize("seconds", [0.3, 3.0, 12.0])
@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_a_sound_keeps_no_more_than_its_header_says(kind, subtype, seconds):
    sound = np.random.default_rng(0).normal(0, 0.1, (int(8000 * seconds), 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, 8000, format=kind, subtype=subtype)
    data, form = buffer.getvalue(), Form(sample_rate_hz=16_000)
    (item,) = decode_files([data], form).items
    (unpacked,), (size,) = sizes([data], form)
    assert item.nbytes <= size
    if kind != "WAV":
        assert unpacked >= sound.size
    assert sizes([data], Form(sample_rate_hz=16_000, shape=(99,))).item == [198]


def test_what_is_no_sound_may_be_anything():
    form = Form(sample_rate_hz=8000)
    assert {*sizes([b"", b"OggS", b"fLaC"], form).item} == {160_000}


def test_a_problem_is_told_in_the_same_words_each_time():
    damaged = bytes(_encoded(kind="FLAC"))[:60]
    first, again = (_problem(damaged).reason for _ in range(2))
    assert first == again
    assert "object at" not in first


def test_a_long_wav_file_that_ends_in_its_sizes_is_a_problem():
    data = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0abcd"
    assert _problem(data).check == "truncated"


def test_a_long_wav_file_that_is_cut_short_is_a_problem():
    assert _problem(_encoded(kind="RF64")[:-2]).check == "truncated"
