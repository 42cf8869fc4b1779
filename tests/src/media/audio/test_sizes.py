from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from headrace.media.audio import decode_files, sizes
from headrace.records import Form

KINDS = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")]


@pytest.mark.parametrize("seconds", [0.3, 3.0, 12.0])
@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_a_sound_keeps_no_more_than_its_header_says(kind, subtype, seconds):
    sound = np.random.default_rng(0).normal(0, 0.1, (int(8000 * seconds), 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, 8000, format=kind, subtype=subtype)
    data, form = buffer.getvalue(), Form(sample_rate_hz=16_000)
    (item,) = decode_files([data], form).items
    (size,) = sizes([data], form)
    assert item.nbytes <= size.item
    if kind != "WAV":
        assert size.unpacked >= sound.size
    assert sizes([data], Form(sample_rate_hz=16_000, shape=(99,)))[0].item == 198


def test_what_is_no_sound_may_be_anything():
    form = Form(sample_rate_hz=8000)
    assert {size.item for size in sizes([b"", b"OggS", b"fLaC"], form)} == {160_000}
