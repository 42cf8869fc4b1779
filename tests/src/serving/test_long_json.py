"""Long JSON: in short steps, in a bounded memory, and with the values that it has."""

import json
import tracemalloc

import numpy as np
import pytest
from tests.src.serving.conftest import IMAGE, TEXT, Site, serving

from headrace.serving.long_json import (
    MOST_VALUES,
    STEP_BYTES,
    JsonNumbers,
    check_values,
    cut_numbers,
)
from headrace.serving.plain import parse_json
from headrace.serving.replies import HttpError

MEGABYTES = 2**20


def request(data, rows=1, **more):
    """A request for answers to images of 4 x 4, with data as JSON."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [rows, 4, 4, 1]}
    whole = json.dumps({**more, "inputs": [{**tensor, "data": "DATA"}]})
    return whole.replace('"DATA"', data).encode()


@pytest.mark.parametrize("element", ["[]", "[[]]", "{}", "[1,1,1]", "1", "1.5", '""'])
@pytest.mark.parametrize("inside", ["[{}]", "[[{}]]", '{{"data":[{}]}}'])
def test_what_no_shape_allows_is_refused_before_it_is_built(element, inside):
    site = Site(serving(IMAGE))
    many = ",".join([element] * (2 * MEGABYTES // (len(element) + 1)))
    body = request(inside.format(many))
    tracemalloc.start()
    try:
        reply = site.infer(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status, list(reply.json)) == (400, ["error"])
    assert peak < 20 * len(body)  # the values of one step, and a few bytes for each


@pytest.mark.parametrize("shape", [(3000, 4, 4, 1), (48000,)])
def test_the_numbers_of_many_items_are_those_of_the_json(shape):
    values = np.random.default_rng(0).integers(0, 256, shape)
    body = request(json.dumps(values.tolist(), indent=1), 3000)
    skeleton, numbers = cut_numbers(body)
    assert numbers is not None and len(body) > 2 * STEP_BYTES > len(skeleton)
    pieces = list(numbers.pieces([3000, 4, 4, 1], ""))
    assert len(pieces) > 2
    assert [one for piece in pieces for one in piece] == values.tolist()
    reply = Site(serving(IMAGE)).infer(body)
    assert reply.json["outputs"][0]["shape"] == [3000, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-1] + ",]", "not JSON"),
        (lambda text: "[," + text[1:], "not JSON"),
        (lambda text: text.replace("7,", "7,,", 5), "not JSON"),
        (lambda text: text.replace("7,", "7 7,", 1), "not JSON"),
        (lambda text: text[:-1] + ",01]", "not JSON"),
        (lambda text: text[:-1], "not JSON"),
        (lambda text: text + "]", "not JSON"),
        (lambda text: text[:-1] + ",NaN]", "'NaN'; wanted are 48,000 numbers"),
        (lambda text: text[:-1] + ",true]", "'true'; wanted"),
        (lambda text: text[:-1] + ",[7]]", "wanted are 48,000 numbers"),
        (lambda text: text[:-1] + ",7]", "the shape [48001]"),
        (lambda text: text[:-3] + "]", "the shape [47999]"),
        (lambda text: text[:-2] + "256]", "UINT8 is 0..255"),
        (lambda text: text[:-2] + "7.5]", "wanted are 48,000 numbers"),
        (lambda text: text[:-1] + "," + "7" * 5000 + "]", "too many digits"),
        (lambda text: "[" * 40_000 + "]" * 40_000, "nested too deep"),
    ],
)
def test_long_data_that_is_wrong_is_refused_as_short_is(change, words):
    data = change("[" + ",".join(["7"] * 48_000) + "]")
    reply = Site(serving(IMAGE)).infer(request(data, 3000))
    assert (reply.status, list(reply.json)) == (400, ["error"])
    assert words in reply.json["error"]


def test_data_elsewhere_is_not_taken_for_the_inputs():
    long = list(range(MOST_VALUES // 2)) * 4
    body = request("[" + ",".join("7" * 16) + "]", parameters={"data": long})
    assert Site(serving(IMAGE)).infer(body).status == 200
    twice = request(json.dumps(long), 1, parameters={"data": long})
    reply = Site(serving(IMAGE)).infer(twice)
    assert (reply.status, "10,000 values" in reply.json["error"]) == (400, True)


def test_a_long_text_has_as_many_commas_as_it_likes():
    text = '[{,"\\' * 20_000
    for value in ({"text": text}, [text, text]):
        assert parse_json(json.dumps(value).encode()) == value
    names = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["[1]", text]}
    reply = Site(serving(TEXT)).infer(json.dumps({"inputs": [names]}).encode())
    assert reply.json["outputs"][0]["shape"] == [2, 3]


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-32"])
def test_many_values_are_refused_in_any_coding(coding):
    body = f'["\u2200", {"[]," * MOST_VALUES}1]'.encode(coding)
    with pytest.raises(HttpError, match=r"10,000 values|not UTF-8") as refused:
        check_values(body)
    assert refused.value.reply.status == 400


def test_a_list_without_end_is_no_list():
    with pytest.raises(HttpError, match="does not end"):
        JsonNumbers(b"[[1, 2]", 0)
