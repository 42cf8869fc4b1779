"""The metrics of parts of the test split as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.records import Metrics

FOLDER = "evaluation"


def slice_tables(slices: Mapping[str, Metrics]) -> dict[str, list[dict[str, Any]]]:
    """The rows of a table for each kind of slice, such as ``class``.

    A row has the slice's name under the kind, the number of rows and the metrics.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, metrics in slices.items():
        kind, _, value = name.partition("=")
        columns = sorted(metrics.items(), key=lambda pair: pair[0] != "rows")
        finite = {k: v if math.isfinite(v) else None for k, v in columns}
        tables.setdefault(kind, []).append({kind: value, **finite})
    return tables


def write_tables(slices: Mapping[str, Metrics], place: Path) -> dict[str, str]:
    """Write a file for each table, and return the tag by which MLflow shows them."""
    paths = []
    for kind, rows in slice_tables(slices).items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[row.get(name) for name in columns] for row in rows]
        path = f"{FOLDER}/{kind}.json"
        (place / path).write_text(json.dumps({"columns": columns, "data": data}))
        paths.append(path)
    tables = [{"path": path, "type": "table"} for path in paths]
    return {"mlflow.loggedArtifacts": json.dumps(tables)}
