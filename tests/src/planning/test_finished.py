"""A run that has come to its end is not begun again."""

from tests.src.planning.conftest import end, keys_of

from headrace.planning import find_finished
from headrace.stages.promotion.by_hand import roll_back


def test_a_run_is_finished_once_it_is_promoted(trained, done):
    assert find_finished(done) is None
    end(trained)
    finished = find_finished(done)
    assert finished is not None
    assert (finished.status, finished.version) == ("unchanged", 2)
    assert finished.reason == "version 2 is the champion"
    assert done.last.evaluation == trained.good_evaluation


def test_a_run_that_was_refused_is_refused_again(trained, done):
    failed = trained.good_evaluation.gates[0].model_copy(
        update={"passed": False, "reason": "too low"}
    )
    gates = (failed, *trained.good_evaluation.gates[1:])
    seen = trained.good_evaluation.model_copy(update={"gates": gates})
    done.save(keys_of(trained)["evaluate"], seen, 1)
    end(trained, gates=gates)
    finished = find_finished(done)
    assert finished is not None
    assert (finished.status, finished.reason) == ("refused", "accuracy: too low")


def test_a_version_that_was_rolled_back_is_left_alone(trained, done):
    end(trained)
    roll_back("blobs", trained.home, reason="")
    finished = find_finished(done)
    assert finished is not None
    who = trained.settings.user
    reason = f"version 2 was rolled back by {who}: promote it by hand"
    assert finished.reason == reason


def test_a_version_that_others_overtook_meanwhile_is_judged_again(trained, done):
    """Its comparison is with a champion that is none any more."""
    seen = trained.good_evaluation.model_copy(update={"champion_version": 7})
    done.save(keys_of(trained)["evaluate"], seen, 1)
    end(trained, champion_version=7)
    assert find_finished(done) is None
    assert find_finished(done, register_only=True) is None
