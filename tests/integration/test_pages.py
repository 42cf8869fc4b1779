"""The pages behind the links of ``headrace up``, in a real browser after two runs."""

import signal

import pytest
from tests.attacks.chromium import chromium
from tests.homes import Home

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TEXT = "document.body.innerText"
ASSISTANT = """
[...document.querySelectorAll('[data-assistant-ui]')]
  .some(part => part.checkVisibility())
"""
LINK = "[...document.links].find(link => link.innerText === %s).href"
ARTIFACT = """
[...document.links].find(a => /\\/artifact\\/[-0-9a-f]{36}$/.test(a.innerText)).href
"""
REPORT = "'The whole report'"


@pytest.fixture(scope="module")
def pages(project, tmp_path_factory):
    """What ``up`` prints, of a home with a run before it and a run after it.

    The second one is no better than the first.
    """
    made = Home(tmp_path_factory.mktemp("pages") / "home", project)
    runs = [made.headrace("run", "blobs", "--json").json]
    process = made.start("up", "--no-workers")
    links = {}
    for line in process.stdout:
        name, _, link = line.strip().rpartition(" ")
        links[name.strip()] = link
        if name.startswith("headrace"):
            break
    again = ("run", "blobs", "--set", "training.seed=2", "--json")
    runs.append(made.headrace(*again).json)
    yield links, runs
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.fixture
def browser(tmp_path):
    with chromium(tmp_path / "profile") as opened:
        yield opened


def test_mlflow_shows_the_runs(pages, browser):
    links, runs = pages
    browser.open(links["mlflow"])
    browser.until(f"{TEXT}.includes('Recent Experiments')")
    assert not browser.run(ASSISTANT)
    assert "telemetry" not in browser.run(TEXT)
    page = runs[1]["links"]["mlflow"].partition("/runs/")[0]
    browser.run(f"location.href = '{page}/runs?viewStateShareKey=headrace'")
    browser.until(f"{TEXT}.includes('blobs v2 seed=2')")
    for name in ("version", "verdict", "test_accuracy", "test_log_loss"):
        browser.until(f"{TEXT}.includes('{name}')")


@pytest.mark.parametrize("number", [0, 1])
def test_prefect_leads_from_the_run_to_its_whole_report(pages, browser, number):
    links, runs = pages
    run = runs[number]
    flow_run = run["flow_run_id"]
    assert links["prefect"].endswith("&next=/runs")
    browser.open(f"{links['prefect']}/flow-run/{flow_run}")
    browser.until(f"{TEXT}.includes('The report of this run: ')")
    state = ("Promoted", "Registered")[number]
    browser.until(f"{TEXT}.includes({state!r})")
    graph = f"fetch('/api/flow_runs/{flow_run}/graph-v2').then(a => a.json())"
    nodes = [node for _, node in browser.run(graph)["nodes"]]
    assert len(nodes) == 6
    assert not any(node["parents"] or node["children"] for node in nodes)
    if number == 0:  # its report was written before there was a server of pages
        return
    browser.run(f"location.href = {browser.run(ARTIFACT)!r}")
    browser.until(LINK % REPORT)
    browser.run(f"location.href = {LINK % REPORT}")  # it would open another tab
    browser.until(f"location.pathname === '/reports/{run['run_id']}'")
    browser.until(f"{TEXT}.includes('blobs, version {run['version']}')")
