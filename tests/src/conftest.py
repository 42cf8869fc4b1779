"""Snapshots of items that are in memory, without a source, and empty databases."""

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from PIL import Image
from tests import versions
from tests.blobs import copy_home
from tests.conftest import made_once
from tests.databases import postgresql

from headrace.data.snapshots.writing import (
    prefix_bits,
    publish_snapshot,
    sort_order,
    write_shard,
)
from headrace.media import medium
from headrace.media.interface import digests
from headrace.models.engines import build_engine
from headrace.settings import Settings
from headrace.state.ledger import Ledger


def _write_snapshot(store, description, payload, columns, rejected=(), findings=()):
    """Write items ``(n, *shape)`` in any order.

    Columns are split, label and name, perhaps group.
    """
    shas = np.frombuffer(digests(payload, medium(description.medium)), np.uint8)
    shas = [bytes(sha) for sha in shas.reshape(-1, 32)]
    columns = {"group": [""] * len(payload), **columns}
    columns = {name: columns[name] for name in ("split", "label", "name", "group")}
    text = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    rows = pa.table({"item": pa.array(shas, pa.binary(32)), **text})
    column = medium(description.medium).as_column(payload)
    rows = rows.append_column(description.medium, column)
    rows = rows.take(pa.array(sort_order(rows)))
    bits = prefix_bits(len(rows), description)
    heads = [int.from_bytes(item[:2], "big") for item in rows["item"].to_pylist()]
    prefix = np.array(heads, np.int64) >> (16 - bits)
    with store.work_folder("snapshots") as work:
        folder = work / "folder"
        (folder / "items").mkdir(parents=True)
        shards = [
            write_shard(folder, number, rows.filter(prefix == number), description)
            for number in range(2**bits)
        ]
        return publish_snapshot(
            store,
            folder,
            description,
            shards,
            rejected,
            source="made",
            attribution="",
            findings=findings,
        )


@pytest.fixture(scope="session")
def write_snapshot():
    """`_write_snapshot`, for tests."""
    return _write_snapshot


def _is_picture(path):
    """A PNG of some size with more than one colour in it."""
    with Image.open(path) as image:
        colours = image.convert("L").getextrema()
        return (
            image.format == "PNG" and min(image.size) > 100 and colours[0] != colours[1]
        )


@pytest.fixture(scope="session")
def is_picture():
    """`_is_picture`, for tests."""
    return _is_picture


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL, ended with the session."""
    with postgresql(tmp_path_factory.mktemp("postgres")) as server:
        yield server.get_uri(driver="psycopg2")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request, tmp_path):
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    found = str(request.getfixturevalue("postgres"))
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return found


@pytest.fixture(scope="session")
def _registered(tmp_path_factory):
    def make(place):
        settings = Settings(project=place, home=place / "home", user="ada@lab")
        settings.prepare_home()
        for name in versions.DESCRIPTIONS:
            versions.register(settings, f"{name}s", name, versions.model(name))
        versions.register(settings, "wild", "image", versions.model("image", 1e4))

    return made_once(tmp_path_factory, "registered", make)


@pytest.fixture
def registered(_registered, tmp_path):
    """A home with a version of each medium, and of ``wild``: no engine's answers are
    within 1e-5 of its own, which depend on the last digits of a float32."""
    home = copy_home(_registered / "home", tmp_path / "home")
    return Settings(project=home, home=home, user="ada@lab", engines="auto")


@pytest.fixture(scope="session")
def _built(_registered, tmp_path_factory):
    def make(place):
        home = copy_home(_registered / "home", place / "home")
        settings = Settings(project=home, home=home, user="ada@lab", engines="auto")
        ledger = Ledger(settings.database_url)
        for name in versions.DESCRIPTIONS:
            build_engine(ledger.version(f"{name}s", 1), settings)

    return made_once(tmp_path_factory, "built", make)


@pytest.fixture
def built(_built, tmp_path):
    """The same home after the engines of all media were built."""
    home = copy_home(_built / "home", tmp_path / "home")
    return Settings(project=home, home=home, user="ada@lab", engines="auto")
