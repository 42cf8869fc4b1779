"""A medium of the least code: what it does not provide has defaults that work."""

from collections import Counter

import numpy as np
import pytest

from headrace.imports import extensions
from headrace.media import medium
from headrace.media.forms import Decoded, Fitted, Problem, Sizes
from headrace.media.interface import Medium
from headrace.records import DataDescription, Form

DATA = DataDescription(medium="pairs", shape=(2,))
ITEMS = np.array([[1, 2], [3, 4], [1, 2]], np.int16)


class Pairs(Medium):
    """Pairs of numbers."""

    DTYPE = np.dtype(np.int16)
    DEFAULT_BUILDER = BEST_BUILDER = "line"

    def form_of(self, data):
        return Form(shape=(2,))

    def decode_array(self, array, *_):
        return array, ""

    def sizes(self, files, form):
        return Sizes.of([4] * len(files), [4] * len(files))

    def decode_files(self, files, form):
        return Decoded.of([np.frombuffer(data, np.int16) for data in files])

    def fit(self, payload, shape):
        return Fitted(payload, np.ones(len(payload), bool), None)

    def columns(self, payload, labels, data):
        return {"fingerprint": payload.sum(axis=1).astype(np.uint64)}

    def check_input(self, x, data):
        return np.asarray(x)

    def preprocessing(self, data):
        return None

    def as_html(self, sample, data):
        return str(sample)


def test_items_are_stored_and_read_again_without_a_line_for_it():
    pairs = Pairs()
    column = pairs.as_column(ITEMS)
    np.testing.assert_array_equal(pairs.from_column(column, (2,)), ITEMS)
    (given,) = pairs.variants(ITEMS)
    np.testing.assert_array_equal(pairs.as_stored(given, DATA), ITEMS)
    assert pairs.usual_shape(Counter({(2,): 3, (9,): 1}), Form()) == (2,)


def test_copies_are_equal_items():
    pairs, others = Pairs(), ITEMS[[2, 1, 1]]
    assert pairs.alike(ITEMS, others, DATA).tolist() == [True, True, False]
    assert pairs.fingerprints(ITEMS, DATA).tolist() == [3, 7, 3]


def test_what_a_medium_cannot_do_is_left_out():
    pairs = Pairs()
    assert pairs.long_form(DATA) is None
    assert pairs.slice_columns(ITEMS) == {}
    assert pairs.expectations(DATA) == []
    problem = pairs.decode_object(3.5, DATA)
    assert problem == Problem("unreadable", "float is no path and no bytes")


def test_a_medium_that_lacks_a_method_is_refused_by_its_name():
    class Half(Pairs):
        fit = Medium.fit

    with pytest.raises(TypeError, match=r"abstract method '?fit"):
        Half()


@pytest.mark.parametrize("name", ["audio", "image", "text"])
def test_what_is_read_without_an_import_is_what_the_object_has(name):
    module = extensions.modules("media")[name]
    for constant in ("IS_TEXT", "DEFAULT_BUILDER"):
        read = extensions.constant(module, constant) or False
        assert read == getattr(medium(name), constant)
