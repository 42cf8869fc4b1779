"""What a user does with the page to try a model, and what there is to see then."""

import itertools
import time
from urllib.parse import urlsplit

import numpy as np

MICROPHONE = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
WATCH = """
window.violations = []; window.shift = 0;
document.addEventListener('securitypolicyviolation',
  event => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));
new PerformanceObserver(list => list.getEntries().forEach(each => {
  if (!each.hadRecentInput) window.shift += each.value;
})).observe({type: 'layout-shift', buffered: true});
"""
ONE = [(0.5, 0.18), (0.5, 0.82)]
LABEL = "document.querySelector('#label').textContent"
NOTE = "document.querySelector('#note').textContent"
BARS = "[...document.querySelectorAll('#classes .bar')].map(b => b.style.transform)"


def hosts(browser):
    """The hosts that were asked for anything."""
    return {
        urlsplit(event["params"]["request"]["url"]).netloc
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    }


def complaints(browser):
    """Errors in the console: of scripts, the network and the security policy."""
    found = []
    for event in browser.events:
        told = event["params"]
        if event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
            found.append(told["entry"])
        if event["method"] == "Runtime.exceptionThrown":
            found.append(told)
        if event["method"] == "Runtime.consoleAPICalled" and told["type"] == "error":
            found.append(told)
    return found


def most_at_once(browser):
    """The most predictions that were asked for at one time; there must be some."""
    open_, most = set(), 0
    for event in browser.events:
        told = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            if "/predict" in told["request"]["url"]:
                open_.add(told["requestId"])
                most = max(most, len(open_))
        elif event["method"] in ("Network.loadingFinished", "Network.loadingFailed"):
            open_.discard(told["requestId"])
    return most


def mouse(browser, kind, x, y):
    button = {"button": "left", "buttons": 1, "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)


def box_of(browser, selector):
    """Left, top, width and height of an element on the screen."""
    found = browser.run(
        f"(() => {{ const box = document.querySelector({selector!r})"
        ".getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()"
    )
    return found


def draw(browser, points):
    """Draw a line with the mouse: the bars while it is drawn."""
    left, top, width, height = box_of(browser, ".pad canvas")
    places = [(left + x * width, top + y * height) for x, y in points]
    seen = []
    mouse(browser, "mousePressed", *places[0])
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        for share in np.linspace(0.1, 1, 10):
            mouse(browser, "mouseMoved", x0 + (x1 - x0) * share, y0 + (y1 - y0) * share)
            time.sleep(0.03)
            seen.append(browser.run(BARS))
    mouse(browser, "mouseReleased", *places[-1])
    return seen


def drop(browser, path):
    """Drop a file on the page."""
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=200, y=300, data=data)


def type_(browser, text):
    browser.run("document.querySelector('#text').focus()")
    browser.call("Input.insertText", text=text)


def fact(browser, name):
    found = browser.run(f"document.querySelector('[data-fact={name}]').textContent")
    return str(found)


def seen_pixels(browser):
    """What the model saw, ``(height, width, 4)``."""
    browser.until("document.querySelector('#saw img')?.naturalWidth > 0")
    width, height, values = browser.run(
        "(() => { const image = document.querySelector('#saw img');"
        "const made = document.createElement('canvas');"
        "made.width = image.naturalWidth; made.height = image.naturalHeight;"
        "const pen = made.getContext('2d'); pen.drawImage(image, 0, 0);"
        "const {width, height, data} = pen.getImageData(0, 0, made.width, made.height);"
        "return [width, height, [...data]]; })()"
    )
    return np.array(values, np.uint8).reshape(height, width, 4)
