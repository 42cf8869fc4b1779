"""The route that writes texts, and the process that writes them."""

import asyncio
import json
import queue
import socket
import threading
from types import SimpleNamespace

import pytest
from tests.src.tasks.generation.models import DATA, a_model

from headrace.errors import InputError
from headrace.models.logged.loading import LoadedModel
from headrace.serving.app import send_rest
from headrace.serving.replies import HttpError
from headrace.serving.text_route import write_text
from headrace.serving.texts_process import write_in_turn
from headrace.state.frames import receive
from headrace.use.generating import TextModel, TextRequest


@pytest.fixture(scope="module")
def model():
    return TextModel(LoadedModel(lambda: a_model("gru_lm")[2], DATA, 3), "notes")


class Process:
    """`write_in_turn` in a thread, and the other end of its socket."""

    def __init__(self, model):
        ours, theirs = socket.socketpair()
        self._connection = ours
        self.messages = queue.SimpleQueue()
        arguments = model, self.messages, theirs
        threading.Thread(target=write_in_turn, args=arguments, daemon=True).start()

    def pieces(self, texts):
        """What it sends until so many texts have ended."""
        while texts:
            piece = receive(self._connection)[0]
            texts -= "text" not in piece
            yield piece


@pytest.mark.system
def test_texts_are_written_in_turn_and_none_depends_on_another(model):
    process = Process(model)
    wishes = [{"prompt": "he", "characters": 60, "seed": seed} for seed in (1, 2, 3)]
    for number, wish in enumerate(wishes):
        process.messages.put({"number": number, **wish})
    texts = {0: "", 1: "", 2: ""}
    order = []
    for piece in process.pieces(3):
        texts[piece["number"]] += piece.get("text", "")
        order.append(piece["number"])
    for number, wish in enumerate(wishes):
        assert "he" + texts[number] == model.write(TextRequest(**wish))
    assert order[:3] == [0, 1, 2]


def test_a_refusal_ends_one_text_and_not_the_process(model):
    process = Process(model)
    process.messages.put({"number": 1, "prompt": "☃", "seed": 1})
    (refused,) = process.pieces(1)
    assert "has not learned" in refused["refusal"]
    process.messages.put({"number": 2, "prompt": "h", "seed": 1, "characters": 3})
    assert [*process.pieces(1)][-1] == {"number": 2}


def _served(model, description=DATA):
    async def write(wish):
        for piece in model.stream(wish):
            yield piece

    return SimpleNamespace(
        model="notes",
        version=3,
        version_header=(b"x-model-version", b"3"),
        texts=object(),
        description=description,
        write_text=write,
    )


@pytest.mark.system
def test_a_masked_prompt_is_given_back_as_the_model_read_it():
    data = DATA.model_copy(update={"mask": ("email",)})
    network = a_model("gru_lm", "to <EMAIL>: hello")[2]
    model = TextModel(LoadedModel(lambda: network, data, 3), "notes")
    wish = {"prompt": "to a@b.org: ", "characters": 5, "seed": 1}
    text = json.loads(_ask(_served(model, data), wish).body)["text"]
    assert text.startswith("to <EMAIL>: ")
    assert text == model.write(TextRequest(**wish))


def _ask(served, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = SimpleNamespace(body=data, id="one")
    return asyncio.run(write_text(request, served))


def _sent(served, body, *, leaves_after=10**6):
    """What a client gets in pieces, who may leave after some of them."""
    parts = []

    async def ask():
        gone = asyncio.Event()

        async def send(message):
            parts.append(message["body"])
            if len(parts) >= leaves_after:
                gone.set()
            await asyncio.sleep(0)

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        request = SimpleNamespace(body=json.dumps(body).encode(), id="one")
        reply = await write_text(request, served)
        assert reply.rest is not None
        await send_rest(reply.body, reply.rest, receive, send)

    asyncio.run(ask())
    return b"".join(parts)


def test_a_text_is_the_same_whole_and_in_pieces(model):
    served, wish = _served(model), {"prompt": "he", "seed": 5, "characters": 80}
    whole = _ask(served, wish)
    answer = json.loads(whole.body)
    assert answer["text"] == model.write(TextRequest(**wish))
    assert (answer["version"], answer["seed"], answer["request_id"]) == (3, 5, "one")
    events = _sent(served, {**wish, "stream": True}).decode().strip().split("\n\n")
    kinds = [event.split("\n")[0].removeprefix("event: ") for event in events]
    assert kinds == ["begin", *["text"] * (len(events) - 2), "end"]
    values = [
        json.loads(event.split("\n")[1].removeprefix("data: ")) for event in events
    ]
    text = "he" + "".join(value.get("text", "") for value in values)
    assert text == answer["text"]
    assert values[-1]["characters"] == len(text) - 2


def test_a_client_that_leaves_gets_no_more(model):
    wish = {"seed": 5, "characters": 20_000, "stream": True}
    few = _sent(_served(model), wish, leaves_after=2)
    assert few.count(b"event: text") <= 2


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "The body is not JSON"),
        (b"[]", 400, "wanted is an object"),
    ],
)
def test_a_bad_request_is_refused(model, body, status, message):
    with pytest.raises(HttpError, match=message) as refused:
        _ask(_served(model), body)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"temperatur": 1}, "There is no field 'temperatur'. Did you mean temp"),
        ({"stream": 1}, "The value of stream is 1; expected true or false"),
        ({"prompt": "a" * 3_000}, "no text of at most 2,000 characters"),
        ({"seed": -1}, "value of seed is -1"),
    ],
)
def test_a_wrong_field_is_named(model, body, message):
    with pytest.raises(InputError, match=message):
        _ask(_served(model), body)


def test_a_model_that_writes_no_texts_has_no_such_route():
    description = SimpleNamespace(task="classification")
    served = SimpleNamespace(texts=None, description=description)
    with pytest.raises(HttpError, match="writes no texts") as refused:
        _ask(served, {})
    assert refused.value.status == 404
