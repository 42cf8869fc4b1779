"""The long histories that measurements are made on."""

import shutil
import threading

import pytest
from tests.benchmarks import ledgers
from tests.src.state.ledger.conftest import fill, promote

from headrace.settings import Settings
from headrace.state.home import Home

pytestmark = pytest.mark.system


def test_a_row_that_another_process_adds_meanwhile_is_in_the_chain(
    tmp_path, mlflow_database, monkeypatch
):
    settings = Settings(home=tmp_path / "home")
    home = Home(settings.prepare_home())
    shutil.copy(mlflow_database, settings.home / "mlflow.db")
    fill(home.ledger, 1)
    promote(home.ledger, 1)
    monkeypatch.setattr(ledgers, "_register", lambda *_: None)  # MLflow has no run
    ended = threading.Event()

    def add():
        other = Home(settings).ledger
        number = 0
        while not ended.is_set():
            number += 1
            other.anchor({f"stages/{number}.json": "0" * 64})

    thread = threading.Thread(target=add)
    thread.start()
    try:
        ledgers.fill(settings.home, ledgers.Size(200, 10, 2))
    finally:
        ended.set()
        thread.join()
    report = home.ledger.walk_chain()
    assert report.problem == ""
    assert report.rows > 200
