"""Runs whose object storage fails now and then, or for a while."""

import time

import pytest
from tests.faults.proxy import every, never
from tests.faults.storage import BUCKET

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_run_through_faults_ends_as_one_without(place, storage, run_on_a_disk):
    storage.proxy.plan = every(5, "busy", "lost", "cut", "busy", "late")
    ran = place.headrace("run", "blobs")
    assert ran["status"] == "promoted", ran["told"]
    assert ran["weights_digest"] == run_on_a_disk["weights_digest"]
    assert ran["version"] == 1
    broken = {fault for _, fault in storage.proxy.requests}
    assert broken == {"", "busy", "lost", "cut", "late"}
    storage.proxy.plan = never
    assert place.headrace("run", "blobs")["status"] == "unchanged"


def test_a_command_goes_on_when_the_storage_is_back(place, storage):
    storage.proxy.plan = lambda request: "busy" if request.number > 12 else ""
    started = time.monotonic()
    ran = place.headrace("run", "blobs")
    assert time.monotonic() - started < 180  # a minute of it in vain
    assert ran["exit"] == 3
    assert ran["error"]["kind"] == "DependencyError"
    assert f"s3://{BUCKET}/team" in ran["reason"]
    storage.proxy.plan = never
    ran = place.headrace("run", "blobs")
    assert ran["status"] == "promoted", ran["told"]
