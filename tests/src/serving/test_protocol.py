"""The Open Inference Protocol: what is answered, and what is refused."""

import json
import struct
import tracemalloc

import numpy as np
import pytest
from tests.src.serving.conftest import (
    AUDIO,
    IMAGE,
    NUMBER,
    TEXT,
    Site,
    Toy,
    serving,
)

from headrace.serving.answered import Answered

PIXELS = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 1]}
IMAGES = {"inputs": [{**PIXELS, "data": [7] * 16}]}
TEXTS = {"name": "text", "datatype": "BYTES", "shape": [2]}


def with_input(**changes):
    """A request for an answer to an image, with changes of its input."""
    return {"inputs": [{**IMAGES["inputs"][0], **changes}]}


def test_an_answer_names_the_version_and_repeats_the_id():
    reply = Site(serving(IMAGE, 2)).infer({"id": "a1", **IMAGES})
    assert reply.status == 200
    assert reply.headers["x-model-version"] == "2"
    assert reply.json == {
        "model_name": "toy",
        "model_version": "2",
        "id": "a1",
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [1, 3],
                "data": [0.25, 0.25, 0.5],
            }
        ],
    }


@pytest.mark.parametrize(
    ("own", "header", "logged"),
    [
        ("order-7", {}, "order-7"),
        ("order-7", {"x-request-id": "h1"}, "h1"),
        ("ada@lab.org", {}, ""),
    ],
)
def test_the_log_and_the_header_have_the_id_of_the_body_unless_there_is_another(
    own, header, logged
):
    site, seen = Site(serving(IMAGE)), list[Answered]()
    site.models.observers.append(seen.append)
    body = {"id": own, **IMAGES}
    reply = site.ask("POST", "/v2/models/toy/infer", body, header)
    (answered,) = seen
    in_log = answered.request_id
    assert reply.json["id"] == own
    assert reply.headers["x-request-id"] == in_log
    assert in_log == logged or (not logged and in_log not in ("", own))


def test_a_regression_answers_a_value():
    output = Site(serving(NUMBER)).infer(IMAGES).json["outputs"][0]
    assert (output["name"], output["shape"], output["data"]) == ("value", [1, 1], [0.5])


def test_fewer_items_are_taken_where_answers_are_large():
    classes = {"target": {"classes": [str(number) for number in range(2**12)]}}
    served = serving({**IMAGE, **classes}, engine=Toy(2**12, 0))
    assert served.tensors.limit == 1024
    reply = Site(served).infer(with_input(shape=[1025, 4, 4, 1]))
    assert (reply.status, "the limit is 1,024" in reply.json["error"]) == (413, True)


@pytest.mark.parametrize("nested", [False, True])
def test_data_is_flat_or_nested(nested):
    data = np.arange(32).reshape(2, 4, 4, 1)
    values = data.tolist() if nested else data.ravel().tolist()
    request = with_input(shape=[2, 4, 4, 1], data=values)
    assert Site(serving(IMAGE)).infer(request).json["outputs"][0]["shape"] == [2, 3]


def test_tensors_are_binary_in_both_directions():
    parameters = {"binary_data_size": 16}
    tensor = {**PIXELS, "parameters": parameters}
    request = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(request).encode()
    reply = Site(serving(IMAGE)).infer(head + bytes(range(16)), len(head))
    assert reply.status == 200, reply.body
    count = int(reply.headers["inference-header-content-length"])
    output = json.loads(reply.body[:count])["outputs"][0]
    assert output["parameters"] == {"binary_data_size": 12} and "data" not in output
    assert np.frombuffer(reply.body[count:], "<f4").tolist() == [0.25, 0.5, 0.25]


def test_one_output_may_differ_from_the_rest():
    wanted = [{"name": "probabilities", "parameters": {"binary_data": False}}]
    whole = {"parameters": {"binary_data_output": True}, "outputs": wanted}
    reply = Site(serving(IMAGE)).infer(IMAGES | whole)
    assert reply.json["outputs"][0]["data"] == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 200),
        ("application/vnd.kserve+json", 200),
        ("image/png", 415),
        ("text/xml", 415),
    ],
)
def test_a_request_for_inference_is_no_file(kind, status):
    named = {"content-type": kind}
    path = "/v2/models/toy/infer"
    assert Site(serving(IMAGE)).ask("POST", path, IMAGES, named).status == status


def test_texts_are_strings_or_bytes_after_their_lengths():
    site = Site(serving(TEXT))
    texts = ["hello", "grüß dich"]
    reply = site.infer({"inputs": [{**TEXTS, "data": texts}]})
    assert reply.json["outputs"][0]["shape"] == [2, 3]
    tail = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    parameters = {"binary_data_size": len(tail)}
    head = json.dumps({"inputs": [{**TEXTS, "parameters": parameters}]}).encode()
    assert site.infer(head + tail, len(head)).json == reply.json | {
        "id": site.infer(head + tail, len(head)).json["id"][:-1] + "2"
    }
    torn = {"binary_data_size": len(tail) - 1}
    head = json.dumps({"inputs": [{**TEXTS, "parameters": torn}]}).encode()
    assert site.infer(head + tail[:-1], len(head)).status == 400


def test_a_long_string_among_numbers_takes_no_memory():
    body = with_input(data=[0] * 3000 + ["x" * 200_000], shape=[1, 4, 4, 1])
    site = Site(serving(IMAGE))
    tracemalloc.start()
    try:
        assert site.infer(body).status == 400
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def long(data, shape=(3000, 4, 4, 1)):
    """A long request whose data are JSON."""
    whole = json.dumps(with_input(shape=[*shape], data="DATA"))
    return whole.replace('"DATA"', data).encode()


@pytest.mark.parametrize("element", ["[]", "[[]]", "{}", "[1,1,1]", "1", "1.5", '""'])
@pytest.mark.parametrize("inside", ["[{}]", "[[{}]]", '{{"data":[{}]}}'])
def test_what_no_shape_allows_is_refused_before_it_is_built(element, inside):
    many = ",".join([element] * (2**21 // (len(element) + 1)))
    site, body = Site(serving(IMAGE)), long(inside.format(many))
    tracemalloc.start()
    try:
        reply = site.infer(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status, list(reply.json)) == (413, ["error"])
    assert peak < len(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-1] + ",]", "not JSON"),
        (lambda text: text.replace("7,", "7,,", 5), "not JSON"),
        (lambda text: text[:-1] + ",01]", "not JSON"),
        (lambda text: text[:-1], "not JSON"),
        (lambda text: text[:-1] + ",NaN]", 'at "NaN]'),
        (lambda text: text[:-1] + ",-Infinity]", "not JSON"),
        (lambda text: text[:-1] + ",true]", "wanted are 48,000 numbers"),
        (lambda text: text[:-1] + ",[7]]", "wanted are 48,000 numbers"),
        (lambda text: text[:-1] + ",7]", "data has 48,001 numbers"),
        (lambda text: text[:-3] + "]", "data has 47,999 numbers"),
        (lambda text: text[:-2] + "256]", "UINT8 is 0..255"),
        (lambda text: text[:-2] + "7.5]", "wanted are 48,000 numbers"),
        (lambda text: text[:-1] + "," + "7" * 5000 + "]", "infinity"),
        (lambda text: "[" * 40_000 + "]" * 40_000, "depth limit"),
    ],
)
def test_long_data_that_is_wrong_is_refused(change, words):
    data = change("[" + ",".join(["7"] * 48_000) + "]")
    reply = Site(serving(IMAGE)).infer(long(data))
    assert (reply.status, list(reply.json)) == (400, ["error"])
    assert words in reply.json["error"]


@pytest.mark.parametrize(("rows", "status"), [(4096, 200), (4097, 413)])
def test_as_many_items_are_taken_in_json_as_are_answered(rows, status):
    data = json.dumps([0] * 16 * rows)
    assert Site(serving(IMAGE)).infer(long(data, (rows, 4, 4, 1))).status == status


def test_more_lists_than_are_taken_are_refused_before_they_are_built():
    nested = json.dumps(np.zeros((2000, 4, 4, 1), int).tolist())
    body = long(nested, (2000, 4, 4, 1))
    assert Site(serving(IMAGE)).infer(body).status == 200
    reply = Site(serving(IMAGE)).infer(long("[" + "[],[]," * 2**17 + "1]"))
    assert (reply.status, "262,144 lists" in reply.json["error"]) == (413, True)


def test_a_long_text_has_as_many_brackets_as_it_likes():
    text = '[{,"\\' * 20_000
    names = {**TEXTS, "data": ["[1]", text]}
    reply = Site(serving(TEXT)).infer({"inputs": [names]})
    assert reply.json["outputs"][0]["shape"] == [2, 3]


def test_sounds_are_floats_or_samples():
    site = Site(serving(AUDIO))
    sound = {"name": "audio", "shape": [1, 80]}
    floats = {**sound, "datatype": "FP32", "data": [0.5] * 80}
    samples = {**sound, "datatype": "INT16", "data": [-3] * 80}
    assert site.infer({"inputs": [floats]}).status == 200
    assert site.infer({"inputs": [samples]}).status == 200
    loud = site.infer({"inputs": [{**floats, "data": [1.5] * 80}]})
    assert loud.status == 422 and "-1..1" in loud.json["error"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"datatype": "FP64"}, 400, "'UINT8' or 'FP32'"),
        ({"name": "pixels"}, 400, "'image'"),
        ({"shape": [1, 16]}, 400, "[-1, 4, 4, 1]"),
        ({"shape": [10**9, 4, 4, 1]}, 413, "4,096"),
        ({"data": [7] * 15}, 400, "16 numbers of UINT8"),
        ({"data": [256] * 16}, 400, "data has 256; UINT8 is 0..255"),
        ({"data": [7] * 15 + [-1]}, 400, "data has -1; UINT8 is 0..255"),
        ({"data": [0.5] * 16}, 400, "[0.5, 0.5,"),
        ({"data": [True] * 16}, 400, "[true, true,"),
        ({"data": [7] * 15 + [True]}, 400, "16 numbers"),
        ({"datatype": "FP32", "data": [7] * 15 + [False]}, 400, "16 numbers"),
        ({"datatype": "FP32", "data": [7] * 15 + ["7"]}, 400, "16 numbers"),
        ({"data": [300] + ["x"] * 15}, 400, "UINT8 is 0..255"),
        ({"data": [7] * 15 + [None]}, 400, "16 numbers"),
        ({"data": [[1], [2, 3]]}, 400, "data is [[1], [2, 3]]; wanted are 16 numbers"),
        ({"data": [[[[7]] * 4] * 4] * 2}, 400, "nested as the shape"),
        ({"data": [2**63] * 16}, 400, "UINT8 is 0..255"),
        ({"data": [10**30] * 16}, 400, "[1e+30,"),
        ({"data": []}, 400, "0 numbers"),
        ({"data": [7] * 15 + [[7]]}, 400, "16 numbers"),
        ({"data": [[[[7, "x"]]]]}, 400, "16 numbers"),
        ({"data": None}, 400, "data is null"),
        ({"datatype": "FP32", "data": [300.0] * 16}, 422, "0..255"),
        ({"datatype": "FP32", "data": [1e300] * 16}, 422, "inf"),
        ({"parameters": {"binary_data_size": 16}}, 400, "binary_data_size"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(change, status, words):
    reply = Site(serving(IMAGE)).infer(with_input(**change))
    assert (reply.status, list(reply.json)) == (status, ["error"]), reply.body
    assert words in reply.json["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 9000, "depth limit"),
        (b'{"id": NaN}', 'at "NaN}"'),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b"[]", "is []; wanted is an object"),
        (b'{"id": 3}', "The value of id is 3: Input should be a valid string"),
        (
            b'{"inputs": [{}, {}]}',
            "inputs is [{}, {}]: List should have at most 1",
        ),
        (json.dumps(IMAGES | {"outputs": [{"name": "x"}]}).encode(), "probabilities"),
    ],
)
def test_a_request_that_is_not_of_the_protocol_is_refused(body, words):
    reply = Site(serving(IMAGE)).infer(body)
    assert (reply.status, list(reply.json)) == (400, ["error"]), reply.body
    assert words in reply.json["error"]


@pytest.mark.parametrize("length", ["x", "-1", "1" * 30, "99999"])
def test_a_wrong_length_of_the_header_is_refused(length):
    named = {"inference-header-content-length": length}
    reply = Site(serving(IMAGE)).ask("POST", "/v2/models/toy/infer", IMAGES, named)
    assert reply.status == 400
    assert "Inference-Header-Content-Length is " in reply.json["error"]
    assert "b'" not in reply.json["error"]


def test_bad_texts_are_refused():
    site = Site(serving(TEXT))
    for data, status in (
        (["fine", ""], 422),
        (["fine", "\ud800"], 400),
        (["fine", "a\0"], 422),
        (["fine", 3], 400),
        (["fine"], 400),
    ):
        reply = site.infer({"inputs": [{**TEXTS, "data": data}]})
        assert (reply.status, list(reply.json)) == (status, ["error"]), data


def test_an_answer_that_is_not_finite_is_no_answer():
    class Broken:
        name = "toy"

        def __call__(self, items):
            return np.full((len(items), 3), np.nan, np.float32)

        def close(self):
            pass

    site = Site(serving(IMAGE, engine=Broken()))
    assert site.infer(IMAGES).status == 422
    assert site.predict(bytes(16), "application/octet-stream").status == 422


def test_metadata_says_what_to_send():
    def metadata(description):
        return Site(serving(description)).ask("GET", "/v2/models/toy").json

    assert metadata(IMAGE) == {
        "name": "toy",
        "versions": ["1"],
        "platform": "headrace",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 4, 4, 1]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}],
    }
    text = {"name": "text", "datatype": "BYTES", "shape": [-1]}
    assert metadata(TEXT)["inputs"] == [text]
    sound = {"name": "audio", "datatype": "FP32", "shape": [-1, 80]}
    assert metadata(AUDIO)["inputs"] == [sound]
