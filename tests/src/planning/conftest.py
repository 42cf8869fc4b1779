"""A plan whose stages are all done, and what would run after a change."""

from typing import Any

import pytest

from headrace.planning import Plan
from headrace.stages.ingredients import closure
from headrace.stages.promotion import conclude
from headrace.stages.registration import register

Trained = Any


@pytest.fixture(autouse=True)
def _fresh():
    """A process reads each file once; a test edits them."""
    caches = (
        closure._module_path,
        closure._origin,
        closure.own_modules,
        closure._place,
        closure._read,
        closure._version,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def keys_of(trained, spec=None):
    """The key of every stage, given the trained home's records."""
    plan = Plan(spec or trained.spec, trained.folder, trained.home)
    return {
        "ingest": plan.ingest(),
        "validate": plan.validate(trained.snapshot),
        "train": plan.train(trained.snapshot, trained.contract),
        "evaluate": plan.evaluate(trained.contract, trained.good, 1),
    }


def records_of(trained):
    return {
        "ingest": trained.snapshot,
        "validate": trained.contract,
        "train": trained.good,
        "evaluate": trained.good_evaluation,
    }


@pytest.fixture
def done(trained):
    """A plan whose stages are all done."""
    plan = Plan(trained.spec, trained.folder, trained.home)
    for name, key in keys_of(trained).items():
        plan.save(key, records_of(trained)[name], 1.5)
    return plan


@pytest.fixture
def changed(trained, done):
    """The stages that would run, with what each says: why."""

    def which(*tables, **fields):
        updates = {
            name: getattr(trained.spec, name).model_copy(update=values)
            for name, values in tables
        }
        spec = trained.spec.model_copy(update=updates | fields)
        plan = Plan(spec, trained.folder, trained.home)
        kinds = {name: type(record) for name, record in records_of(trained).items()}
        return {
            name: plan.why(key)
            for name, key in keys_of(trained, spec).items()
            if plan.find(key, kinds[name]) is None
        }

    return which


def end(trained, **changes):
    """Register and conclude the good training."""
    seen = trained.good_evaluation.model_copy(update=changes)
    place = (trained.folder, trained.snapshot, trained.good, seen, trained.home)
    registered = register(trained.spec, *place)
    return conclude(trained.spec, seen, registered, trained.home)
