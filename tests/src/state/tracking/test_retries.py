"""Calls to MLflow are repeated where its database was lost, and only there."""

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from headrace.state.tracking.retries import retry_once


@pytest.mark.parametrize(
    ("code", "is_broken", "calls"),
    [
        ("TEMPORARILY_UNAVAILABLE", False, 2),
        ("BAD_REQUEST", True, 2),
        ("INTERNAL_ERROR", True, 2),
        ("", True, 2),
        ("BAD_REQUEST", False, 1),
        ("", False, 1),
    ],
)
def test_a_call_is_repeated_once_where_its_connection_broke(code, is_broken, calls):
    """Each code was seen when a process of PostgreSQL was killed; "" is no MLflow's."""
    made = []

    def call():
        made.append(code)
        try:
            raise sa.exc.DatabaseError("SELECT 1", {}, OSError(), False, is_broken)
        except sa.exc.DatabaseError as error:
            if not code:
                raise
            raise MlflowException(error, ErrorCode.Value(code))  # noqa: B904

    with pytest.raises((MlflowException, sa.exc.DatabaseError)):
        retry_once(call)
    assert len(made) == calls
