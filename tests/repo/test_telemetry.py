"""No library reports home, unless the user's own environment says so."""

import os
from unittest import mock

import pytest

from headrace.settings import Settings


@pytest.fixture(autouse=True)
def _bare_environment():
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if (
                name.startswith(("MLFLOW_", "PREFECT_", "GX_"))
                or name == "DO_NOT_TRACK"
            ):
                del os.environ[name]
        yield


def test_prefect_sends_nothing(tmp_path):
    from prefect.settings import Settings as PrefectSettings

    from headrace_ops.run_server import configure

    configure(Settings(project=tmp_path))
    seen = PrefectSettings()
    assert seen.server.analytics_enabled is False
    assert seen.cloud.enable_orchestration_telemetry is False
    assert seen.telemetry.enable_resource_metrics is False
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_mlflow_sends_nothing(settings):
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    from headrace.state.tracking import Tracking

    assert MLFLOW_DISABLE_TELEMETRY.get() is False
    _ = Tracking(settings).client
    assert MLFLOW_DISABLE_TELEMETRY.get() is True


def test_great_expectations_sends_nothing():
    from headrace.stages.validation import suite

    with suite.session("blobs", "0" * 64):
        assert os.environ["GX_ANALYTICS_ENABLED"] == "False"


def test_what_the_user_set_is_kept(tmp_path):
    from headrace_ops.run_server import configure

    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "true"
    configure(Settings(project=tmp_path))
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
