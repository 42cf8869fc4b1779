"""The ``[deploy]`` table: what it takes and how it refuses."""

import pytest
from prefect.client.schemas.schedules import CronSchedule

from headrace.errors import SpecError
from headrace.pipeline import load_spec

CRONS = [
    "0 3 * * *",
    "*/5 * * * *",
    "0,30 8-18 * * mon-fri",
    "15 2 1 jan,jul *",
    "0 0 1-15/2 * 7",
]


def read(folder, *lines):
    text = ['medium = "image"', 'data.source = "x.npz"', "[deploy]", *lines]
    (folder / "pipeline.toml").write_text("\n".join(text))
    return load_spec(folder)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "digits"
    made.mkdir()
    return made


@pytest.mark.parametrize("cron", CRONS)
def test_a_schedule_is_taken_that_prefect_takes(folder, cron):
    deploy = read(folder, f'cron = "{cron}"').deploy
    assert deploy is not None
    assert CronSchedule(cron=deploy.cron, timezone=deploy.timezone).cron == cron


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 3 * *", "five fields"),
        ("every night", "Wrong number"),
        ("0 25 * * *", "Bad hour"),
        ("61 3 * * *", "Bad minute"),
        ("*/0 * * * *", "Bad minute"),
        ("0 3 * * fry", "Bad day-of-week"),
        ("0 3 9-1 * *", "Bad day-of-month"),
        ("R * * * *", "Bad minute"),
    ],
)
def test_a_schedule_that_is_none_is_refused_by_its_field(folder, cron, said):
    with pytest.raises(SpecError, match=r"deploy\.cron = ") as refusal:
        read(folder, f'cron = "{cron}"')
    assert said in str(refusal.value)


def test_an_unknown_time_zone_is_refused_with_the_nearest(folder):
    assert read(folder, 'timezone = "Asia/Shanghai"').deploy is not None
    with pytest.raises(
        SpecError, match=r"no such time zone\. Did you mean Europe/Berlin"
    ):
        read(folder, 'timezone = "Europe/Berlim"')


def test_training_needs_a_pool_that_is_not_the_flows_own(folder):
    with pytest.raises(SpecError, match="leave it out"):
        read(folder, 'pool = "gpu"', 'train_pool = "gpu"')
