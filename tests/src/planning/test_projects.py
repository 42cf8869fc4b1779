"""Whose pipeline file is the law of a run."""

import shutil

import pytest
from tests.src.planning.conftest import end

from headrace.errors import PromotionError, UsageError
from headrace.planning import Plan, find_finished
from headrace.planning.judging import judge
from headrace.stages.promotion.by_hand import promote_by_hand, roll_back
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger.files import folder_of, project_of
from headrace.state.packing import pack_folder, unpack_folder

pytestmark = pytest.mark.system


def of_project(trained, identity):
    """The same under the file of a project with an id; empty: without one."""
    # Each has a folder and a law of its own.
    promotion = f"{{ approval_hours = {len(identity) + 1} }}"
    own = trained.with_law(promotion=promotion)
    if identity:
        (own.settings.project / "headrace.toml").write_text(f"id = {identity!r}\n")
    return own


def plan_of(trained):
    return Plan(trained.spec, trained.folder, trained.home)


def overrides(trained):
    return plan_of(trained).law.overrides


def registered(trained):
    plan = plan_of(trained)
    made = register(
        *(trained.spec, trained.folder, trained.snapshot, trained.good),
        *(trained.good_evaluation, plan.home, plan.law),
    )
    assert made.version is not None
    return made.version


def test_the_file_of_the_project_that_judged_a_model_last_is_the_law(trained):
    mill, shed = of_project(trained, "mill"), of_project(trained, "the-shed")
    assert overrides(mill) == (), "no project is known yet"
    version = registered(mill)
    assert overrides(mill) == ()
    assert overrides(shed) == overrides(of_project(trained, "")) == ("project",)
    assert registered(shed) == version
    assert overrides(mill) == (), "an experiment changes nothing"
    evidence = plan_of(mill).home.ledger.evidence_of("blobs", version)
    assert [row.project for row in evidence] == ["mill", "the-shed"]
    assert [row.experiment for row in evidence] == [False, True]


def test_a_forced_promotion_lets_another_project_judge(trained):
    mill, shed = of_project(trained, "mill"), of_project(trained, "the-shed")
    registered(mill)
    version = registered(shed)
    row = plan_of(shed).home.ledger.version("blobs", version)
    with pytest.raises(PromotionError, match=r"another project .* mill → the-shed"):
        judge(shed.home, row, None)
    promote_by_hand("blobs", version, shed.home, force=True, reason="it moved")
    assert (overrides(shed), overrides(mill)) == ((), ("project",))
    registered(mill)
    back = promote_by_hand("blobs", version, mill.home, force=True, reason="moved back")
    assert (overrides(shed), overrides(mill)) == (("project",), ())
    assert back[1], "though it is the champion already"
    last = plan_of(mill).home.ledger.history("blobs")[-1]
    assert (last.from_version, last.to_version, last.why) == (
        *(version, version),
        "moved back",
    )
    assert last.forced
    rolled_back = roll_back("blobs", mill.home, reason="that of before it")
    assert rolled_back.to_version == 1


def test_a_project_without_an_id_that_took_over_judges_until_it_is_forced(trained):
    mill, plain = of_project(trained, "mill"), of_project(trained, "")
    registered(mill)
    version = registered(plain)
    promote_by_hand("blobs", version, plain.home, force=True, reason="it moved")
    third = of_project(trained, "a-third")
    assert (overrides(plain), overrides(mill)) == ((), ("project",))
    assert registered(third) == version
    assert overrides(third) == ("project",), "an experiment changes nothing"
    assert overrides(plain) == ()
    (change,) = plan_of(third).law.changes
    assert str(change) == "project none → a-third"
    promote_by_hand("blobs", version, third.home, force=True, reason="moved on")
    assert (overrides(third), overrides(plain)) == ((), ("project",))


def test_an_experiment_after_a_project_without_an_id_is_finished_as_any_other(
    trained, done
):
    plain = of_project(trained, "")
    end(plain)
    for project in ("mill", ""):
        plan_of(plain).home.ledger.record({project_of("blobs"): project}, "ada@lab")
    third = of_project(trained, "a-third")
    registered(third)
    finished = find_finished(plan_of(third))
    assert finished is not None
    assert "makes this project's file its law" in finished.reason


def test_the_law_stays_with_the_project_from_which_a_version_is_forced(trained):
    mill, shed = of_project(trained, "mill"), of_project(trained, "the-shed")
    version = registered(mill)
    promote_by_hand("blobs", version, mill.home, force=True, reason="the first")
    registered(shed)
    _, is_new = promote_by_hand(
        "blobs", version, mill.home, force=True, reason="only checking"
    )
    assert not is_new
    assert (overrides(shed), overrides(mill)) == (("project",), ())
    elsewhere = of_project(trained, "a-third")
    promote_by_hand("blobs", version, elsewhere.home, force=True, reason="why not")
    assert (overrides(shed), overrides(mill)) == (("project",), ())
    assert [e.why for e in plan_of(mill).home.ledger.history("blobs")][1:] == [
        "the first"
    ]


def test_only_the_present_folder_of_a_deployment_has_a_law(trained):
    lax, strict = of_project(trained, ""), of_project(trained, "mill")
    store, settings = plan_of(trained).home.store, trained.settings
    old, new = (pack_folder(one.folder, store) for one in (lax, strict))
    ledger = plan_of(trained).home.ledger

    def plan(digest):
        return Plan(
            lax.spec, unpack_folder(digest, store, settings.folders), Home(settings)
        )

    assert plan(old).law.overrides == (), "never deployed"
    for digest in (old, new):
        ledger.record({folder_of("blobs"): f"sha256:{digest}"}, "ada@lab")
    assert plan(old).law == plan(new).law
    assert plan(old).law.overrides == ("promotion.approval_hours",)
    assert plan(old).law.project == "mill"
    ledger.record({folder_of("blobs"): ""}, "ada@lab")
    with pytest.raises(UsageError, match="The deployment of blobs was removed"):
        _ = plan(old).law


def test_a_copy_of_an_older_deployed_folder_has_no_law(trained, tmp_path):
    mill = of_project(trained, "mill")
    store, settings = plan_of(trained).home.store, trained.settings
    digest = pack_folder(mill.folder, store)
    registered(mill)
    copy = tmp_path / "elsewhere" / "blobs"
    shutil.copytree(unpack_folder(digest, store, settings.folders), copy)
    alone = settings.model_copy(update={"project": copy.parent})
    assert Plan(mill.spec, copy, Home(alone)).law.overrides == ("project",)
    again = unpack_folder(pack_folder(copy, store), store, settings.folders)
    assert Plan(mill.spec, again, Home(alone)).law.overrides == ("project",)


def test_a_deployed_folder_that_was_edited_has_the_law_that_was_deployed(
    trained, tmp_path
):
    mill = of_project(trained, "mill")
    plan, settings = plan_of(mill), trained.settings
    digest = pack_folder(mill.folder, plan.home.store)
    plan.home.ledger.record({folder_of("blobs"): f"sha256:{digest}"}, "ada@lab")
    folder = unpack_folder(digest, plan.home.store, settings.folders)
    present = Plan(mill.spec, folder, Home(settings))
    assert present.law.overrides == ()
    text = (folder / "pipeline.toml").read_text()
    (folder / "pipeline.toml").write_text(text.replace("approval_hours", "seen_hours"))
    assert Plan(mill.spec, folder, Home(settings)).law == present.law
    link = tmp_path / ("0" * 64)
    link.symlink_to(folder)
    assert Plan(mill.spec, link, Home(settings)).law == present.law


def test_a_project_that_gets_an_id_is_recorded_though_nothing_else_has_changed(
    trained, done
):
    mill = of_project(trained, "")
    end(mill)
    assert find_finished(plan_of(mill)) is not None
    (mill.settings.project / "headrace.toml").write_text("id = 'mill'\n")
    assert find_finished(plan_of(mill)) is None
    registered(mill)
    assert find_finished(plan_of(mill)) is not None
