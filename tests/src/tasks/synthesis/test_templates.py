"""The baseline: averages of takes."""

import numpy as np
from tests.src.tasks.synthesis.conftest import takes

from headrace.imports.backend import load_backend
from headrace.media.audio.spectra import Framing
from headrace.tasks.synthesis.distances import distances, lengths, profiles
from headrace.tasks.synthesis.templates import Templates


def test_an_average_has_the_mean_length_and_is_nearest_to_its_own_takes(data):
    load_backend()
    sounds, keys = takes(6)
    named = [(int(text), int(speaker)) for text, speaker in keys]
    templates = Templates(data)
    templates.add(sounds[:5], named[:5])
    templates.add(sounds[5:], named[5:])
    assert templates.takes == dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 6)
    made = templates.sounds([(1, 1), (0, 0), (0, 0), (9, 9)])
    assert [*made] == [(1, 1), (0, 0)]
    mean = lengths(sounds[:6]).mean()
    assert abs(lengths(made[0, 0][np.newaxis])[0] - mean) < 128
    framing = Framing.of(data)
    average = profiles(np.stack([made[0, 0], made[1, 1]]), framing)
    near = distances(average, profiles(sounds, framing))
    assert named[int(near[0].argmin())] == (0, 0)
    assert named[int(near[1].argmin())] == (1, 1)
