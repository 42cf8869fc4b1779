"""The page to try a model, in a real browser before a real server."""

import contextlib
import json
import signal
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.attacks.chromium import chromium
from tests.homes import Home
from tests.integration.page_browser import (
    BARS,
    LABEL,
    MICROPHONE,
    NOTE,
    ONE,
    WATCH,
    box_of,
    choose,
    complaints,
    draw,
    drop,
    fact,
    hosts,
    most_at_once,
    seen_pixels,
    type_,
)
from tests.integration.page_models import MODELS, RATE_HZ, as_png, as_wav, tone, train

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TOKEN = "f" * 40
WHY = "document.querySelector('#why')"
REDDEST = """
(() => {
  const canvas = document.querySelector('#why canvas');
  const { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let most = 0;
  for (let at = 0; at < data.length; at += 4) {
    most = Math.max(most, data[at] - data[at + 2]);
  }
  return most;
})()
"""


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


def test_it_shows_which_strokes_speak_for_a_digit(opened):
    browser = opened("digits")
    assert browser.run(f"{WHY}.querySelector('button').disabled")
    draw(browser, ONE)
    browser.until(f"{LABEL} === '1'")
    browser.run(f"{WHY}.querySelector('button').click()")
    browser.until(f"{WHY}.querySelector('canvas') !== null")
    assert browser.run(f"{WHY}.querySelector('p').textContent").startswith(
        "Red parts speak for “1 ("
    )
    listed = browser.run(f"{WHY}.querySelector('dd').textContent")
    assert listed.startswith("rows ")
    assert "(+" in listed
    red = browser.run(REDDEST)
    assert red > 40, "what speaks for the answer is red"
    browser.run("document.querySelector('[data-do=clear]').click()")
    assert browser.run(f"{WHY}.querySelector('canvas')") is None


def test_a_number_is_explained_or_it_says_why_not(opened, tmp_path):
    browser = opened("glow")
    (tmp_path / "red.png").write_bytes(as_png(np.full((8, 8, 3), 200, np.uint8)))
    drop(browser, tmp_path / "red.png")
    browser.until(f"{LABEL} !== ''")
    browser.run(f"{WHY}.querySelector('button').click()")
    browser.until(f"{WHY}.querySelector('p').textContent.length > 40")
    told = browser.run(f"{WHY}.querySelector('p').textContent")
    why_not = "Not explained: maps by "
    assert told.startswith("Red parts speak for “") or (
        why_not in told and "rank correlation" in told
    )


def test_a_drawing_is_inverted_and_cleared(opened):
    browser = opened("digits")
    draw(browser, ONE)
    browser.until(f"{LABEL} === '1'")
    browser.run("document.querySelector('[data-do=invert]').click()")
    browser.until(f"{LABEL} !== '1'")
    pixels = seen_pixels(browser)[..., 0]
    assert (pixels[14, 14], pixels[14, 2]) == (0, 255)
    browser.run("document.querySelector('[data-do=clear]').click()")
    assert browser.run(LABEL) == ""
    assert browser.run("document.querySelector('#saw').childElementCount") == 0


def test_a_finger_draws_and_does_not_scroll(opened):
    browser = opened("digits")
    left, top, width, height = box_of(browser, ".pad canvas")
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        for kind, share in (
            ("touchStart", 0.2),
            ("touchMove", 0.5),
            ("touchMove", 0.8),
        ):
            points = [{"x": left + width / 2, "y": top + height * share}]
            browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    finally:
        browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
    browser.until(f"{LABEL} === '1'")
    assert browser.run("scrollY") == 0


@pytest.mark.parametrize("way", ["drop", "choose", "paste"])
def test_an_image_of_the_models_size_arrives_as_it_is(opened, tmp_path, way):
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    browser = opened("digits")
    if way == "drop":
        drop(browser, tmp_path / "noise.png")
    elif way == "choose":
        choose(browser, "image", tmp_path / "noise.png")
    else:
        content = [*(tmp_path / "noise.png").read_bytes()]
        browser.run(
            f"(() => {{ const file = new File([new Uint8Array({content})], 'noise.png',"
            "{type: 'image/png'}); const clipboardData = new DataTransfer();"
            "clipboardData.items.add(file); dispatchEvent(new ClipboardEvent('paste',"
            "{clipboardData, bubbles: true, cancelable: true})); })()"
        )
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


def test_a_number_in_a_coloured_image(opened, tmp_path):
    browser = opened("glow")
    values = []
    for red in (40, 220):
        image = np.full((16, 16, 3), (red, 30, 30), np.uint8)
        Image.fromarray(image).save(tmp_path / f"{red}.png")
        choose(browser, "image", tmp_path / f"{red}.png")
        browser.until(f"{NOTE}.startsWith('{red}.png')")
        browser.until(f"{LABEL} !== '' && {LABEL} !== '{values[0] if values else ''}'")
        assert (seen_pixels(browser)[..., 0] == red).all()
        values.append(browser.run(LABEL))
    assert float(values[0]) == pytest.approx(40 / 255, abs=0.15)
    assert float(values[1]) == pytest.approx(220 / 255, abs=0.15)
    assert browser.run("document.querySelector('#sure').textContent") == ""
    assert browser.run(BARS) == []


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


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("label", ["low", "high"])
def test_a_sound_file_is_heard(opened, tmp_path, kind, label):
    path = tmp_path / f"sound.{kind.lower()}"
    path.write_bytes(as_wav(tone(label, 0.6, seed=3), kind))
    browser = opened("tones")
    drop(browser, path)
    browser.until(f"{LABEL} === '{label}'")
    assert "sent as it is" in browser.run(NOTE)
    browser.until("document.querySelector('#saw audio').duration > 0.4")
    browser.until("document.querySelector('[data-medium=audio] audio').duration > 0.4")


def test_a_sound_that_only_the_browser_reads_is_sent_as_wav(opened, tmp_path):
    path = tmp_path / "sound.mp3"
    path.write_bytes(bytes(100) + as_wav(tone("high", 0.6, seed=3), "MP3"))
    browser = opened("tones")
    drop(browser, path)
    browser.until(f"{LABEL} === 'high'")
    assert "decoded in this page" in browser.run(NOTE)


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


def test_without_a_safe_address_the_page_explains_why_it_cannot_record(browser, url):
    source = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined});"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    try:
        browser.open("about:blank")
        browser.open(f"{url}/#tones")
        browser.until(f"{NOTE}.includes('Recording needs https')")
        assert browser.run("document.querySelector('[data-do=record]').disabled")
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", **added)


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


def test_a_busy_server_is_asked_again_for_the_latest_only(browser, url):
    browser.open("about:blank")
    browser.open(f"{url}/#reviews")
    browser.until("document.querySelector('#model').value === 'reviews'")
    browser.run(
        """(() => {
          const real = window.fetch; window.bodies = [];
          const busy = {status: 503, headers: {'Retry-After': '1'}};
          window.fetch = (path, options) => {
            if (!path.includes('predict')) return real(path, options);
            window.bodies.push(options.body);
            return window.bodies.length > 1 ? real(path, options)
              : Promise.resolve(new Response('{"error": "12 wait; 12 may."}', busy));
          };
        })()"""
    )
    type_(browser, "the room was dirty")
    browser.until(f"{LABEL} === '12 wait; 12 may.'")
    type_(browser, " and noisy")
    time.sleep(0.3)
    type_(browser, " and rude")
    browser.until(f"{LABEL} === 'bad'")
    first = "the room was dirty"
    assert browser.run("window.bodies") == [first, f"{first} and noisy and rude"]


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


def test_of_many_classes_the_likeliest_are_shown(browser, url):
    browser.open(url)
    browser.until("document.querySelector('#model').value === 'digits'")
    shown = browser.run(
        """(async () => {
          const {Answer} = await import('/page/answer.js');
          const answer = new Answer();
          const classes = Array.from({length: 20}, (_, place) => `class ${place}`);
          answer.use({name: 'many', medium: 'image', classes});
          const shares = classes.map((name, place) => [name, place / 190]);
          answer.show({version: 1, request_id: 'r', latency: 1, label: 'class 19',
            probability: 0.1, probabilities: Object.fromEntries(shares), input: ''});
          return [...document.querySelectorAll('#classes .name')].map(
            name => name.textContent);
        })()"""
    )
    assert shown == [f"class {place}" for place in range(19, 11, -1)]


def test_the_policy_keeps_the_page_from_other_hosts(browser, url):
    browser.open(url)
    asked = "fetch('http://127.0.0.2:9/').then(() => 'yes', () => 'no')"
    assert browser.run(asked) == "no"
    assert any("connect-src" in each for each in browser.run("window.violations"))


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


def test_everything_has_a_name_and_takes_the_focus(opened):
    browser = opened("digits")
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "textbox", "image"}
    for node in nodes:
        if not node["ignored"] and node["role"]["value"] in roles:
            assert node["name"]["value"], node
    focused = []
    for _ in range(6):
        for kind in ("keyDown", "keyUp"):
            key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            browser.call("Input.dispatchKeyEvent", type=kind, **key)
        focused.append(
            browser.run(
                "(e => e.id || e.dataset.do || e.type || e.localName)"
                "(document.activeElement)"
            )
        )
    assert focused[:5] == ["model", "clear", "invert", "file", "summary"]


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
