"""What can be refused before anything is trained is refused then."""

import pytest

from headrace.errors import SpecError, UsageError
from headrace.pipeline import load_spec
from headrace_flows.preload import check_early
from headrace_flows.run import Run

FAIR = 'gates=[{name="fair", kind="fairness", arguments={gap="wide"}}]'
MESSAGE = "The gate 'fair' of the kind fairness has arguments.gap: "


def test_a_run_refuses_a_gate_that_does_not_fit_its_kind(settings, project):
    folder = project / "pipelines" / "blobs"
    source = f"data.source={str(folder / 'blobs.npz')!r}"
    run = Run(load_spec(folder, (source, FAIR)), folder, settings)
    with pytest.raises(SpecError, match=MESSAGE):
        check_early(run)


def test_a_run_refuses_a_store_that_cannot_be_written(settings, project, tmp_path):
    folder = project / "pipelines" / "blobs"
    source = f"data.source={str(folder / 'blobs.npz')!r}"
    (tmp_path / "file").write_text("")
    elsewhere = settings.model_copy(update={"store": str(tmp_path / "file" / "store")})
    run = Run(load_spec(folder, (source,)), folder, elsewhere)
    with pytest.raises(UsageError, match=r"/file/store cannot be written: .*/file\)"):
        check_early(run)


def test_check_refuses_a_gate_that_does_not_fit_its_kind(home):
    answer = home.headrace("check", "blobs", "--set", FAIR, "--json")
    assert answer.exit_code == 2
    assert answer.json["error"]["message"].startswith(MESSAGE)
