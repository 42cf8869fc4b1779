"""Make a user of MLflow who is no admin, or set the password. Safe to run again.

The admin is in MLflow's own variables, the user's password in MLFLOW_USER_PASSWORD.
"""

import os
import sys

from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient


def main(name: str) -> None:
    """Make the user, or set the password of one that is there."""
    client = AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"])
    password = os.environ["MLFLOW_USER_PASSWORD"]
    try:
        client.create_user(name, password)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        client.update_user_password(name, password)


if __name__ == "__main__":
    main(sys.argv[1])
