"""Each private name of a dependency that we use is listed, and is still there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OF_PREFECT = {
    *("_active_services", "_done_event", "_has_connected", "_internal", "_loop"),
}
OF_MLFLOW = {
    *("_hard_delete_logged_model", "_hard_delete_run"),
}
OF_KERAS = {
    *("_flatten_layers", "_get_variable_index", "_inbound_nodes"),
    *("_keras_history", "_value"),
}
# What bz2, gzip and lzma of Python 3.11 to 3.13 read with.
OF_PYTHON = {"_compression"}
# Of os, of named tuples, and our own.
OURS = {"_asdict", "_exit", "_field_defaults", "_fields", "_replace", "_start"}
_USES = (
    r"(?<![\w.])(?!self\b|cls\b|super\b)[A-Za-z][\w.]*(?:\(\))?\.(_[a-z]\w*)",
    r"^\s*(?:import|from) (?:[\w.]+\.)?(_[a-z]\w*)",
    r"^_NAME = \"(_[a-z]\w*)\"",
    r"[gs]etattr\([^)]*?\"(_[a-z]\w*)\"",
)


def test_every_private_name_is_listed():
    used = set()
    for folder in ("src", "flows"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for pattern in _USES:
                used |= set(re.findall(pattern, text, re.MULTILINE))
    assert used - OURS == OF_PREFECT | OF_MLFLOW | OF_KERAS | OF_PYTHON


# What none but one module may touch, since a release of its owner may change it.
DOORS = {
    "_compression": "src/headrace/data/sources/places/archive.py",
    "_flatten_layers": "src/headrace/imports/backend.py",
    "_hard_delete_run": "src/headrace/state/tracking/disposal.py",
    "graph_validate": "src/headrace/stages/validation/suite.py",
    "_has_connected": "src/headrace_ops/prefect_inside.py",
    "_active_services": "src/headrace_ops/prefect_inside.py",
    "f_locals": "src/headrace/state/interrupts.py",
    r"sys\.modules\[\w+\] = None": "src/headrace/imports/__init__.py",
}


@pytest.mark.parametrize("pattern", DOORS)
def test_one_module_has_the_door(pattern):
    alone = {"src/headrace/use/exporting/check.py"}  # runs where Headrace is not
    users = {
        str(path.relative_to(ROOT))
        for folder in ("src", "flows")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert users - alone == {DOORS[pattern]}


def test_keras_lists_a_layer_before_the_layers_in_it():
    import keras

    from headrace.imports.backend import layers_of

    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="inner")
    outer = keras.Sequential([inner, keras.layers.ReLU(name="last")])
    names = [layer.name for layer in layers_of(outer)]
    assert names[0] == outer.name
    assert set(names[1:]) >= {"inner", inner.layers[0].name, "last"}


def test_what_is_replaced_is_there():
    import inspect

    from great_expectations.validator.validator import Validator
    from keras import Model
    from keras.optimizers import SGD
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from prefect._internal.concurrency import services
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    assert callable(SqlAlchemyStore._hard_delete_run)
    assert callable(SqlAlchemyStore._hard_delete_logged_model)
    assert callable(Model._flatten_layers)
    by_place = ["self", "configurations", "runtime_configuration"]
    assert [*inspect.signature(Validator.graph_validate).parameters] == by_place
    assert callable(SGD._get_variable_index)
    assert hasattr(services, "_active_services")
    for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
        assert "self._has_connected" in inspect.getsource(client)
