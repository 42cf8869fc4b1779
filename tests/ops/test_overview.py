"""One page over everything: what it shows, to whom, and in a browser."""

import json
import os
import re
import socket
import threading
import urllib.error
import urllib.request

import pytest
import uvicorn
from tests.attacks.chromium import chromium
from tests.ops import mill

from headrace.evidence.verification import FILE, last_said, note
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.state.ledger.facts import Refused, refusal_of
from headrace.state.ledger.holding import hold
from headrace.state.ledger.leases import Lease, Leases
from headrace.state.ledger.standings import standings
from headrace.state.logins import read_login
from headrace_ops.listing import listed
from headrace_ops.live import only_one, write_links
from headrace_ops.overview import overview, served
from headrace_ops.servers import application

RUN = "01997f0e-0000-7000-8000-000000000002"


@pytest.fixture(autouse=True)
def _nothing_is_configured(monkeypatch):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "PREFECT_UI_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A project in which much has happened; tests change nothing in it."""
    return mill.make(tmp_path_factory.mktemp("busy") / "mill")


@pytest.fixture
def settings(tmp_path):
    return mill.make(tmp_path / "mill")


def part(page, name):
    """The row of a pipeline, as text in one line."""
    row = re.search(rf'<th scope="row">{name}</th>.*?</tr>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", row[0]).split())


def matters(page):
    """What waits for a person, as lines of text."""
    section = re.search(r'<section id="matters".*?</section>', page, re.DOTALL)[0]
    items = re.findall(r"<li>.*?</li>", section, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]


def test_a_run_that_was_killed_is_told_with_the_command_that_goes_on(settings):
    killed = Lease.wanted("digits", RUN, "ada@lab").model_copy(update={"started": "x"})
    Leases(settings.database_url).acquire(killed)
    page = overview(settings)
    assert " killed it began " in part(page, "digits")
    (told,) = [one for one in matters(page) if "its last run was killed" in one]
    assert told.startswith("digits")
    assert "headrace run digits" in told
    (row,) = [one for one in listed(settings)["pipelines"] if one["name"] == "digits"]
    assert row["was_killed"]


@pytest.mark.parametrize("run_id", [mill.run_of("digits", 11), ""])
def test_a_run_that_was_refused_is_told_with_why_and_its_report(settings, run_id):
    with hold(settings, "letters", RUN):
        note = Refused(flow_run_id=RUN, run_id=run_id, reason="serving: 0.5 differs")
        fact = {refusal_of("letters"): note.model_dump_json()}
        Home(settings).ledger.facts.record(fact, "ada")
    page = overview(settings)
    (told,) = [one for one in matters(page) if one.startswith("letters")]
    opened = " headrace open letters" if run_id else ""
    assert told == f"letters its last run was refused: serving: 0.5 differs{opened}"
    assert (">refused</a>" in page) == bool(run_id)
    assert " refused it began " in part(page, "letters")
    assert "headrace run letters" not in part(page, "letters")
    with hold(settings, "letters", "next"):
        assert "was refused" not in overview(settings), "that was another run"


def test_a_pipeline_has_champion_score_drift_and_schedule(busy):
    page = overview(busy)
    digits = part(page, "digits")
    assert digits.startswith("digits version 9 since ")
    value = standings(Ledger(busy.database_url))["digits"].metrics["test_accuracy"]
    assert f"accuracy {value:.4f}" in digits
    assert " version 11 ok " in digits, "the newest one, and its drift"
    assert digits.endswith(" 0 3 * * * UTC report")
    assert "0 3 * * * UTC not deployed" in part(page, "scans")
    assert "version 1" in part(page, "voices")


def test_what_waits_has_the_command_that_decides_and_what_is_broken_is_first(settings):
    note(settings.home, "digits", "broken", "moved")
    first, drift, approval, schedule = matters(overview(settings))
    assert first == "digits moved headrace verify digits"
    assert drift.startswith("scans degraded: the mean accuracy")
    assert "version 4 waits for approval; it counts as rejected 20" in approval
    assert "headrace approve scans 4 --reason TEXT" in approval
    assert "headrace approve scans 4 --reason TEXT --reject" in approval
    assert schedule.endswith("is not deployed headrace deploy scans")


def test_a_text_from_outside_is_text(busy):
    page = overview(busy)
    assert mill.HOSTILE not in page
    assert "&lt;script&gt;alert" in page


def test_nothing_waits_in_a_new_project(home, project):
    page = home.headrace("open", "--json")
    assert page.exit_code == 0
    text = (home.path / "overview.html").read_text()
    assert page.json["report"] == str(home.path / "overview.html")
    assert page.json["uri"] == (home.path / "overview.html").as_uri()
    assert "Nothing waits for you" in text
    assert "Nothing was verified yet" in text
    assert "never" in part(text, "blobs")
    assert not re.search(r'src="|href="http|url\(', text), "it loads nothing"


def test_what_verify_said_is_shown_with_its_time(settings):
    note(settings.home, "", "ok", "everything fits the ledger (12 rows)")
    page = overview(settings)
    said = last_said(settings.home)[""]
    assert f'<time datetime="{said.when}">' in page
    assert "everything fits the ledger (12 rows)" in page
    note(settings.home, "digits", "broken", "A file is gone.")
    assert "digits A file is gone. headrace verify digits" in matters(
        overview(settings)
    )
    note(settings.home, "", "ok", "everything fits")
    assert list(last_said(settings.home)) == [""], "it has looked at all models"
    (settings.home / FILE).write_text("{")
    assert last_said(settings.home) == {}


def test_verify_leaves_a_note(after_first):
    assert after_first.headrace("verify", "blobs").exit_code == 0
    assert after_first.headrace("verify").exit_code == 0
    (said,) = json.loads((after_first.path / FILE).read_text()).values()
    assert (said["status"], said["reason"][:26]) == ("ok", "everything fits the ledger")


def test_a_run_under_way_is_shown(settings):
    with hold(settings, "digits", RUN):
        page = overview(settings)
    assert "running" in part(page, "digits")
    assert f"by ada@mill on {socket.gethostname()}, process {os.getpid()}" in page


def test_pages_of_servers_that_run_are_linked(busy):
    page = overview(busy)
    assert "serves Prefect and MLflow" in page
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stub = uvicorn.Server(uvicorn.Config(_healthy, port=port, log_level="error"))
        thread = threading.Thread(target=stub.run, args=([listener],), daemon=True)
        thread.start()
        links = dict.fromkeys(("prefect", "mlflow"), f"http://127.0.0.1:{port}")
        with only_one(busy):
            write_links(busy, links, ())
            page = overview(busy, is_served=True)
        stub.should_exit = True
        thread.join()
    assert f'<a href="http://127.0.0.1:{port}/runs">Prefect</a>' in page
    assert f'<a href="/reports/{mill.run_of("digits", 9)}">report</a>' in page


async def _healthy(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})


def test_open_gives_the_served_page_while_up_runs(settings):
    assert served(settings) == ""
    link = "http://127.0.0.1:4300"
    application(settings)  # makes the login
    with only_one(settings):
        write_links(settings, {"headrace": link}, ["headrace"])
        assert served(settings) == read_login(settings.home).link(link)
        write_links(settings, {"headrace": link}, [])
        assert served(settings) == link


@pytest.fixture
def site(busy):
    """The address of the pages, behind the gate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = application(busy)
        config = uvicorn.Config(app, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_nobody_sees_a_page_without_the_login(site):
    report = f"/reports/{mill.run_of('digits', 9)}"
    for path in ("/", "/data_docs/", report):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(site + path)
    assert urllib.request.urlopen(f"{site}/health").read() == b"ok"


LOOK = """({
  wide: document.documentElement.scrollWidth <= innerWidth,
  ink: getComputedStyle(document.body).color,
  ground: getComputedStyle(document.body).backgroundColor,
  buttons: document.querySelectorAll('.command button').length,
  commands: document.querySelectorAll('.command').length,
  head: getComputedStyle(document.querySelector('thead')).display,
  ages: [...document.querySelectorAll('main time')].map(t => t.textContent),
  scripts: document.querySelectorAll('main script').length,
})"""


def test_it_fits_a_wide_screen_and_a_phone_in_light_and_in_dark(site, busy, tmp_path):
    seen = {}
    with chromium(tmp_path) as browser:
        browser.open(read_login(busy.home).link(site))
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.call("Emulation.setEmulatedMedia", features=[feature])
            for width in (1440, 360):
                size = {"width": width, "height": 800, "deviceScaleFactor": 1}
                size["mobile"] = width < 500
                browser.call("Emulation.setDeviceMetricsOverride", **size)
                seen[scheme, width] = browser.run(LOOK)
        browser.run("document.querySelector('td.links a').click()")
        browser.until("document.body.textContent.startsWith('digits 9')")
        urls = [url for url, _ in browser.statuses()]
    for one in seen.values():
        assert one["wide"], "nothing is cut off or scrolls sideways"
        assert one["buttons"] == one["commands"] > 5
        assert not any(age.endswith("UTC") for age in one["ages"])
        assert one["scripts"] == 0
    assert seen["light", 1440]["ground"] != seen["dark", 1440]["ground"]
    assert seen["light", 1440]["ink"] != seen["dark", 1440]["ink"]
    assert seen["light", 1440]["head"] != "none"
    assert seen["light", 360]["head"] == "none", "each pipeline is a card"
    assert all(url.startswith(site) for url in urls), urls
