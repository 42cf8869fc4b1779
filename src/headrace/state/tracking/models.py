"""Logged models, registered versions, and aliases.

Models are logged in MLflow's ``keras`` flavour and read back as files that are checked
by digest. Nothing is loaded through ``pyfunc``, which runs code from the store.
"""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.imports import hidden
from headrace.records import DataDescription, TrainingRecord
from headrace.state.ledger.records import Version
from headrace.state.regular import file_digest, read_file
from headrace.state.tracking import artifacts
from headrace.state.tracking.connection import import_mlflow, tracking_errors
from headrace.state.tracking.retries import create_once
from headrace.state.tracking.runs import Runs

MODEL_FILE = "data/model.keras"  # of a logged model
GOLDEN_FILE = "golden/golden.npz"  # of its run
REPORT_FILE = "report.html"  # of its run

WEIGHTS_TAG = "headrace.weights_digest"  # of a version

log = logging.getLogger("headrace")


def version_tags(version: Version | TrainingRecord) -> dict[str, str]:
    """The tags of a version in the registry whose values the ledger has, too."""
    return {
        WEIGHTS_TAG: version.weights_digest,
        "headrace.model_digest": version.model_digest,
        "headrace.snapshot": version.snapshot_digest,
    }


class Tracking(Runs):
    """MLflow at the tracking URI of the settings."""

    def log_model(
        self,
        model: Any,
        data: DataDescription,
        name: str,
        tags: Mapping[str, str],
        step: int,
    ) -> dict[str, Any]:
        """Log a Keras model in the active run.

        Args:
            data: the description of its input.
            name: of the model.
            tags: of the model.
            step: its epoch. MLflow links metrics to the model that are logged later
                at this step.

        Returns:
            fields of a `TrainingRecord`: its ``models:/m-...`` URI, and the digests and
            the size of its Keras file.
        """
        mlflow = import_mlflow()
        # MLflow would import it to look for a repository around the command.
        with hidden(["git"]), tracking_errors(self.uri):
            info = mlflow.keras.log_model(
                model,
                name=re.sub(r"[/:.%\"']", "_", name),  # MLflow takes none of these
                tags=tags,
                step=step,
                **_flavour(model, data),
            )
            logged = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        file = logged / MODEL_FILE
        return {
            "model_uri": str(info.model_uri),
            "model_digest": file_digest(file),
            "network_digest": artifacts.network_digest(file),
            "model_bytes": file.stat().st_size,
        }

    def model_place(self, model_uri: str) -> str:
        """URI of the folder of a logged model's files; raises NotFoundError."""
        with tracking_errors(self.uri):
            logged = self.client.get_logged_model(model_uri.rpartition("/")[2])
        return str(logged.artifact_location)

    def model_folder(self, model_uri: str, digest: str, folder: Path) -> Path:
        """A local copy of all files of a logged model, below a folder.

        Args:
            model_uri: of the logged model.
            digest: sha256 that its Keras file should have.
            folder: to copy to.

        Raises:
            IntegrityError: it is gone, or its Keras file is not the one that was
                logged.
        """
        try:
            parent, _, name = self.model_place(model_uri).rpartition("/")
            copy = artifacts.fetch(self.uri, parent, name, str(folder))
            actual = file_digest(copy / MODEL_FILE)
        except (NotFoundError, FileNotFoundError) as error:
            raise IntegrityError(
                f"The model {model_uri} is no longer in MLflow's artifact store.",
                "Restore it from a backup, or train again.",
            ) from error
        if actual != digest:
            raise IntegrityError(
                f"{model_uri}: {MODEL_FILE} has sha256 {actual[:16]}..., but "
                f"{digest[:16]}... was logged: the file was changed or damaged.",
                "Do not use it. `headrace verify MODEL/VERSION --repair` restores "
                "it from the store, if that has a copy; else train again.",
            )
        return copy

    @contextlib.contextmanager
    def model_file(self, model_uri: str, digest: str) -> Iterator[Path]:
        """The Keras file of a logged model, copied and checked by `model_folder`."""
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            yield self.model_folder(model_uri, digest, Path(folder)) / MODEL_FILE

    @contextlib.contextmanager
    def version_file(self, version: Version) -> Iterator[Path]:
        """The Keras file of a registered version, checked by digest.

        It is read where it lies on this machine; elsewhere it is downloaded.

        Raises:
            IntegrityError: it is gone, or not the file that was registered.
        """
        digest = version.model_digest
        place = artifacts.model_place(version, self.artifacts)
        if file := artifacts.in_place(place, MODEL_FILE, digest):
            yield file
            return
        with self.model_file(version.model_uri, digest) as downloaded:
            yield downloaded

    def version_golden(self, version: Version) -> bytes:
        """The golden file of a registered version, checked.

        Raises:
            IntegrityError: it is gone or changed.
        """
        digest = version.golden_digest
        place = artifacts.run_place(version, self.artifacts)
        if file := artifacts.in_place(place, GOLDEN_FILE, digest):
            return read_file(file)
        return self.run_file(version.run_id, GOLDEN_FILE, digest)

    def create_version(
        self,
        name: str,
        model_uri: str,
        run_id: str,
        tags: Mapping[str, str],
        card: str,
        taken: Collection[int] = (),
    ) -> int:
        """Register a logged model; idempotent. Returns the number of the version.

        Args:
            taken: numbers that it must not have: a new registry after a loss starts
                from 1 again.
        """
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            try:
                self.client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

            def find_all() -> list[Any]:
                versions = self.client.search_model_versions(f"run_id='{run_id}'")
                return [version for version in versions if version.name == name]

            def find() -> Any:
                free = (v for v in find_all() if int(v.version) not in taken)
                return next(free, None)

            def create() -> Any:
                return self.client.create_model_version(
                    name,
                    model_uri,
                    run_id,
                    tags=dict(tags),
                    description=card,
                    model_id=model_uri.rpartition("/")[2],
                )

            version = find() or create_once(self.uri, create, find)
            while int(version.version) in taken:
                log.warning("MLflow has lost version %s of %s", version.version, name)
                version = create_once(self.uri, create, find)
            for other in find_all():
                if int(other.version) in taken:
                    self.client.delete_model_version(name, other.version)
            return int(version.version)

    def describe_model(
        self, name: str, tags: Mapping[str, str], about: str = ""
    ) -> None:
        """Set tags of a registered model, and its description if one is given."""
        with tracking_errors(self.uri):
            for key, value in tags.items():
                self.client.set_registered_model_tag(name, key, value)
            if about:
                self.client.update_registered_model(name, about)

    def tag_version(
        self, name: str, version: int, tags: Mapping[str, str], card: str | None = None
    ) -> None:
        """Set tags of a version, unless it was deleted in MLflow."""
        try:
            with tracking_errors(self.uri):
                number = str(version)
                for key, value in tags.items():
                    self.client.set_model_version_tag(name, number, key, value)
                if card is not None:
                    self.client.update_model_version(name, number, card)
        except NotFoundError as error:
            log.warning("version %d of %s: %s", version, name, error.message)

    def version_card(self, name: str, version: int) -> str:
        """The description of a version, Markdown; empty if it was deleted in MLflow."""
        try:
            with tracking_errors(self.uri):
                found = self.client.get_model_version(name, str(version))
        except NotFoundError:
            return ""
        return found.description or ""

    def registered_models(self) -> list[str]:
        """The names of all models with versions that Headrace has registered."""
        with tracking_errors(self.uri):
            versions = self.client.search_model_versions()
        return sorted({v.name for v in versions if WEIGHTS_TAG in v.tags})

    def registered(self, name: str) -> tuple[dict[str, int], dict[int, dict[str, str]]]:
        """A model's version numbers by alias, and its versions' tags by number.

        Both are empty if the registry does not have the model.
        """
        try:
            with tracking_errors(self.uri):
                model = self.client.get_registered_model(name)
                versions = self.client.search_model_versions(f"name='{name}'")
        except NotFoundError:
            return {}, {}
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        return aliases, {int(v.version): dict(v.tags) for v in versions}

    def project_aliases(self, name: str, aliases: Mapping[str, int | None]) -> None:
        """Set the registry's aliases to the versions that the ledger has.

        A version that was deleted in MLflow cannot have an alias.
        """
        for alias, version in aliases.items():
            try:
                with tracking_errors(self.uri):
                    model, new = self.client.get_registered_model(name), str(version)
                    present = model.aliases.get(alias)
                    if version is None and present is not None:
                        self.client.delete_registered_model_alias(name, alias)
                    elif version is not None and str(present) != new:
                        self.client.set_registered_model_alias(name, alias, new)
            except NotFoundError as error:
                log.warning("the alias %s of %s: %s", alias, name, error.message)


def _flavour(model: Any, data: DataDescription) -> dict[str, Any]:
    """The signature and the requirements of a Keras model, for MLflow."""
    import keras
    import numpy as np
    import tensorflow as tf
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    tensor = model.inputs[0]
    dtype = np.dtype("str" if tensor.dtype == "string" else tensor.dtype)
    inputs = TensorSpec(dtype, (-1, *tensor.shape[1:]), data.medium)
    outputs = TensorSpec(np.dtype("float32"), (-1, *model.outputs[0].shape[1:]))
    return {
        "signature": ModelSignature(Schema([inputs]), Schema([outputs])),
        "pip_requirements": [
            f"keras=={keras.__version__}",
            f"tensorflow=={tf.__version__}",
        ],
    }
