"""A container for each run, by the guide."""

import shutil

import pytest
from tests.engine.guide import block_of
from tests.waiting import until

from headrace import __version__

pytestmark = pytest.mark.timeout(1200)

FLOWS = ("ps", "--quiet", "--filter", "label=io.prefect.flow-run-id")


@pytest.fixture
def contained(service, promoted):
    """A pipeline of the pool, with its worker."""
    service.shell(block_of("compose.md", "--profile pool"))
    # Made after the images, which have the pipelines of the repository in them.
    place = service.place / "pipelines" / "contained"
    shutil.copytree(place.with_name("digits"), place)
    file = place / "pipeline.toml"
    text = file.read_text(encoding="utf-8")
    assert "\n[deploy]\n" in text
    file.write_text(text.replace("[deploy]\n", '[deploy]\npool = "docker"\n'))
    service.headrace("deploy", "contained")
    yield "contained"
    service.compose("--profile", "pool", "rm", "--stop", "--force", "worker-docker")
    shutil.rmtree(place)


def test_a_run_of_the_docker_pool_has_a_container_of_its_own(service, contained):
    run = service.trigger(pipeline=contained)
    (container,) = until(
        lambda: service.engine.docker(*FLOWS).split(), "no container of a run", 120
    )
    shown = service.engine.docker("inspect", "--format", "{{.Config.Image}}", container)
    assert shown == f"headrace:{__version__}-cpu"
    assert service.ended(run) == "Promoted", service.log("worker-docker")[-3000:]
    until(lambda: not service.engine.docker(*FLOWS, "--all"), "its container stays", 30)
