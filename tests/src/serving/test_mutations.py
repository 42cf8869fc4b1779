"""Mutated requests are answered or refused; none is a fault of the server."""

import asyncio
import json
import random
import struct

import numpy as np
import pytest
from tests.src.serving.conftest import AUDIO, IMAGE, TEXT, Site, serving
from tests.src.serving.test_plain import picture, sound

pytestmark = pytest.mark.system

COUNT = 300
PIXELS = np.arange(0, 160, 10, np.uint8).reshape(4, 4)
SOUND = 9000 * np.sin(np.arange(80) / 5)
STRANGE = [None, True, -1, 2**63, 1e308, 0.5, "x", [], {}, [[]], {"a": 1}, "\ud800"]


def bytes_changed(data, rng):
    """Bytes with a few changes, cuts or repetitions."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0 if place < len(changed):
                changed[place] = rng.randrange(256)
            case 1:
                del changed[place : place + rng.randrange(1, 40)]
            case 2:
                changed[place:place] = rng.randbytes(rng.randrange(1, 9))
            case _:
                changed[place:place] = changed[: rng.randrange(1, 60)]
    return bytes(changed)


def json_changed(value, rng):
    """A JSON value with one change somewhere in it."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        copy = dict(value) if isinstance(value, dict) else list(value)
        if rng.random() < 0.2:
            del copy[key]
        else:
            copy[key] = json_changed(value[key], rng)
        return copy
    return rng.choice(STRANGE)


def files(name, data, kinds, rng):
    for _ in range(COUNT):
        kind = {"content-type": rng.choice(kinds)}
        yield f"/models/{name}/predict", bytes_changed(data, rng), kind


def tensors(tensor, data, rng):
    """Requests for inference in JSON and binary, with changes."""
    raw = data if isinstance(data, bytes) else np.asarray(data).tobytes()
    values = ["a", "b"] if isinstance(data, bytes) else data.ravel().tolist()
    outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    for _ in range(COUNT // 2):
        whole = {"id": "a", "inputs": [{**tensor, "data": values}], "outputs": outputs}
        body = json.dumps(json_changed(whole, rng)).encode()
        yield "/v2/models/toy/infer", body, {}
        sized = {**tensor, "parameters": {"binary_data_size": len(raw)}}
        request = {"inputs": [sized], "outputs": outputs}
        head = json.dumps(json_changed(request, rng) if rng.random() < 0.5 else request)
        length = len(head) + rng.choice([0, 0, 0, 1, -1, 10**6])
        named = {"inference-header-content-length": str(length)}
        yield "/v2/models/toy/infer", head.encode() + bytes_changed(raw, rng), named


def of_images(rng):
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 1]}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        yield from files("toy", picture(PIXELS, kind), ["image/png"], rng)
    yield from files("toy", PIXELS.tobytes(), ["application/octet-stream"], rng)
    yield from tensors(tensor, PIXELS, rng)


def of_sounds(rng):
    tensor = {"name": "audio", "datatype": "FP32", "shape": [1, 80]}
    kinds = ["audio/wav", "application/octet-stream"]
    yield from files("toy", sound(SOUND, 16_000), kinds, rng)
    yield from tensors(tensor, (SOUND / 2**15).astype(np.float32), rng)


def of_texts(rng):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2]}
    text = "Grüße 你好 👋 see you at nine"
    yield from files("toy", text.encode(), ["text/plain"], rng)
    body = json.dumps({"text": text}).encode()
    yield from files("toy", body, ["application/json"], rng)
    yield from tensors(
        tensor, struct.pack("<I", 3) + b"abc" + struct.pack("<I", 1), rng
    )


@pytest.mark.parametrize(
    ("description", "requests"),
    [(IMAGE, of_images), (AUDIO, of_sounds), (TEXT, of_texts)],
)
def test_no_mutated_request_is_a_fault(description, requests):
    site = Site(serving(description))
    seen = set()

    async def ask():
        for path, body, headers in requests(random.Random(7)):
            reply = await site.send("POST", path, (body,), headers)
            assert reply.status in (200, 400, 413, 415, 422), (path, body, reply)
            if reply.status != 200:
                assert list(reply.json) == ["error"]
            seen.add(reply.status)

    asyncio.run(ask())
    assert site.app.metrics.faults == 0
    assert {200, 400, 422} <= seen
