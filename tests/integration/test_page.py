"""The page to try a model, in a real browser before a real server."""

import contextlib
import json
import signal
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.attacks.chromium import chromium
from tests.homes import Home
from tests.integration.page_browser import (
    LABEL,
    MICROPHONE,
    NOTE,
    ONE,
    WATCH,
    box_of,
    complaints,
    draw,
    drop,
    fact,
    hosts,
    most_at_once,
    seen_pixels,
    type_,
)
from tests.integration.page_models import MODELS, RATE_HZ, as_wav, tone, train

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TOKEN = "f" * 40


@contextlib.contextmanager
def serving(home, *options):
    """A server of all models: where it is."""
    process = home.start("serve", *MODELS, "--port", "0", *options, "--json")
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    project = tmp_path_factory.mktemp("page")
    made = Home(project / "home", project)
    train(made)
    return made


@pytest.fixture(scope="module")
def url(home):
    with serving(home) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser whose microphone hears a high tone between two silences."""
    place = tmp_path_factory.mktemp("browser")
    silence = np.zeros(RATE_HZ // 4, np.float32)
    sound = np.concatenate([silence, tone("high", 0.5, seed=7), silence])
    (place / "heard.wav").write_bytes(as_wav(sound))
    heard = f"--use-file-for-fake-audio-capture={place / 'heard.wav'}"
    with chromium(place / "profile", *MICROPHONE, heard) as started:
        started.call("Log.enable")
        started.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        yield started


@pytest.fixture
def opened(browser, url):
    """Opens the page with a model; afterwards it has caused no trouble."""
    browser.events.clear()

    def open_(model):
        browser.open("about:blank")
        browser.open(f"{url}/#{model}")
        browser.until(f"document.querySelector('#model').value === '{model}'")
        return browser

    yield open_
    assert browser.run("window.violations") == []
    assert browser.run("window.shift") < 0.01
    assert {host for host in hosts(browser) if host} == {urlsplit(url).netloc}
    assert complaints(browser) == []


def test_the_classes_move_while_a_digit_is_drawn(opened):
    browser = opened("digits")
    seen = draw(browser, ONE)
    browser.until(f"{LABEL} === '1'")
    assert len({json.dumps(bars) for bars in seen}) > 3
    assert most_at_once(browser) == 1
    assert fact(browser, "version") == "1"
    assert fact(browser, "engine")
    assert fact(browser, "latency").endswith(" ms")
    assert len(fact(browser, "request")) >= 16
    pixels = seen_pixels(browser)[..., 0]
    assert pixels.shape == (28, 28)
    assert pixels[14, 14] == 255, "white ink"
    assert pixels[14, :10].max() == pixels[14, 18:].max() == 0, "on black"
    edge = pixels[14][(pixels[14] > 0) & (pixels[14] < 255)]
    assert len(edge) > 0, "grey where a stroke covers a part of a pixel"


def test_an_image_of_the_models_size_arrives_as_it_is(opened, tmp_path):
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    browser = opened("digits")
    drop(browser, tmp_path / "noise.png")
    browser.until(f"{LABEL} !== ''")
    assert "just what the model takes" in browser.run(NOTE)
    np.testing.assert_array_equal(seen_pixels(browser)[..., 0], pixels)


def test_a_large_photo_is_scaled_without_aliasing_and_the_page_says_so(
    opened, tmp_path
):
    photo = np.zeros((1200, 1600, 3), np.uint8)
    photo[:, 800:] = (255, 0, 0)
    photo[:600:2] = 255  # lines of one pixel: grey from afar
    photo[1:600:2] = 0
    Image.fromarray(photo).save(tmp_path / "photo.png")
    browser = opened("digits")
    drop(browser, tmp_path / "photo.png")
    browser.until(f"{LABEL} !== ''")
    said = browser.run(NOTE)
    assert "photo.png, 1600 × 1200 pixels: its middle, scaled" in said
    assert "28 × 28, grey" in said
    pixels = seen_pixels(browser)[..., 0]
    assert np.abs(pixels[1:13].astype(int) - 127).max() <= 4
    assert pixels[20, 3] == 0
    assert pixels[20, 24] == 76, "the lightness of red"


def test_the_answer_follows_a_text(opened):
    browser = opened("reviews")
    type_(browser, "the room was lovely and the staff was friendly")
    browser.until(f"{LABEL} === 'good'")
    assert "the staff was friendly" in browser.run(
        "document.querySelector('#saw bdi').textContent"
    )
    browser.run("document.querySelector('#text').select()")
    type_(browser, "the food was rude <b>and</b> the bed was broken & dirty")
    browser.until(f"{LABEL} === 'bad'")
    shown = "document.querySelector('#saw').textContent"
    assert "<b>and</b> the bed was broken &" in browser.run(shown)
    browser.run("document.querySelector('#text').select()")
    browser.call("Input.insertText", text="")
    browser.until(f"{LABEL} === ''")


@pytest.mark.parametrize("kind", ["WAV", "MP3"])
def test_a_sound_file_is_heard(opened, tmp_path, kind):
    label = "high"
    path = tmp_path / f"sound.{kind.lower()}"
    path.write_bytes(as_wav(tone(label, 0.6, seed=3), kind))
    browser = opened("tones")
    drop(browser, path)
    browser.until(f"{LABEL} === '{label}'")
    assert "sent as it is" in browser.run(NOTE)
    browser.until("document.querySelector('#saw audio').duration > 0.4")
    browser.until("document.querySelector('[data-medium=audio] audio').duration > 0.4")


def test_what_the_microphone_hears_is_sent_as_wav(opened):
    browser = opened("tones")
    browser.run("document.querySelector('[data-do=record]').click()")
    browser.until("document.querySelector('[data-do=record]').textContent === 'Stop'")
    browser.until(f"{LABEL} === 'high'")
    assert "recorded" in browser.run(NOTE)
    assert browser.run("document.querySelector('[data-do=record]').textContent") == (
        "Record"
    )
    browser.until("document.querySelector('[data-medium=audio] audio').duration > 0.4")


def test_refusals_of_the_server_are_shown_in_words(browser, url, tmp_path):
    browser.open("about:blank")
    browser.open(f"{url}/#digits")
    browser.until("document.querySelector('#model').value === 'digits'")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    drop(browser, tmp_path / "broken.png")
    browser.until("document.querySelector('#verdict').className === 'bad'")
    assert "decode" in browser.run(LABEL)
    assert "sent as it is" in browser.run(NOTE)
    browser.until("document.querySelector('#spoken').textContent.includes('decode')")
    draw(browser, ONE)
    browser.until(f"{LABEL} === '1'")
    assert browser.run("document.querySelector('#verdict').className") == ""


def test_html_from_the_server_is_taken_as_data(browser, url):
    browser.open(f"{url}/#reviews")
    browser.until("document.querySelector('#model').value === 'reviews'")
    shown = browser.run(
        """(async () => {
          const {Answer} = await import('/page/answer.js');
          const answer = new Answer();
          answer.use({name: 'reviews', medium: 'text', classes: ['good', 'bad']});
          const given = {version: 1, request_id: 'r', latency: 1, label: 'good',
            probability: 1, probabilities: {good: 1, bad: 0}};
          return [
            '<img src="https://evil.example/x.png" onerror="window.hit = 1">',
            '<img src="data:image/png;base64,AA" onerror="window.hit = 1">',
            '<audio src="javascript:window.hit = 1"></audio>',
            '<bdi onclick="x"><script>window.hit = 1</script>a <b>text</b></bdi>',
          ].map(input => {
            answer.show({...given, input});
            return document.querySelector('#saw').innerHTML;
          });
        })()"""
    )
    assert shown == [
        "",
        '<img alt="" src="data:image/png;base64,AA">',
        "",
        "<bdi>window.hit = 1a text</bdi>",
    ]
    assert browser.run("window.hit") is None


def test_a_screen_of_360_pixels_is_enough(opened):
    browser = opened(MODELS[0])
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    try:
        for model in MODELS:
            opened(model)
            wide = "document.documentElement.scrollWidth"
            assert browser.run(wide) <= 360, model
        opened("digits")
        draw(browser, ONE)
        browser.until(f"{LABEL} === '1'")
        _, top, _, height = box_of(browser, "#verdict")
        assert top + height < 740, "the answer is on the screen while one draws"
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_the_token_is_asked_for_and_kept_in_the_tab(browser, home, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    with serving(home, "--token-file", str(file)) as url:
        browser.open(url)
        asks = "document.querySelector('#login').open"
        browser.until(asks)
        for text in ("wrong", TOKEN):
            browser.run("document.querySelector('#token').focus()")
            browser.call("Input.insertText", text=text)
            browser.run("document.querySelector('#login .main').click()")
            if text == "wrong":
                browser.until(f"{asks} && !document.querySelector('#refused').hidden")
        browser.until("document.querySelector('#model').value === 'digits'")
        draw(browser, ONE)
        browser.until(f"{LABEL} === '1'")
        assert browser.run("[localStorage.length, document.cookie]") == [0, ""]
        assert TOKEN not in browser.run("document.documentElement.outerHTML")
        assert browser.run("document.querySelector('#token').value") == ""
        browser.open(url)
        browser.until("document.querySelector('#model').value === 'digits'")
        assert not browser.run(asks)


def test_a_server_that_is_gone_is_said_to_be(browser, home):
    with serving(home) as url:
        browser.open(f"{url}/#reviews")
        browser.until("document.querySelector('#model').value === 'reviews'")
    type_(browser, "the room was lovely")
    browser.until(f"{LABEL}.includes('The server does not answer')")
