"""Downloads of backbones, by the libraries of their hubs; only `add` comes here."""

from __future__ import annotations

from pathlib import Path

from headrace.errors import UsageError
from headrace.models.backbones import check_installed
from headrace.pipeline.checks import refuse_credential
from headrace.state import hub

_PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.weights.h5", "assets/*", "*.md")
_FORMS = {
    "hf": "hf://OWNER/NAME",
    "kaggle": "kaggle://OWNER/MODEL/keras/VARIANT",
}


def fetch(source: str, scheme: str, place: Path) -> tuple[Path, str]:
    """Download what may be taken of a backbone.

    Args:
        source: ``hf://...`` or ``kaggle://...``.
        scheme: its scheme.
        place: an empty folder.

    Returns:
        its folder, and the source with the version that was downloaded.

    Raises:
        UsageError: it is of another scheme or form, the hub does not have it, or an
            extra is missing.
        DependencyError: the hub does not answer.
    """
    refuse_credential(source, "The backbone's source")
    handle = source.partition("://")[2].strip("/")
    parts = handle.split("/")
    counts = {"hf": (2,), "kaggle": (4, 5)}.get(scheme, ())
    if len(parts) not in counts or not all(parts):
        forms = " or ".join(_FORMS.values())
        raise UsageError(
            f"{source} is no source of a backbone.", f"Name a folder, {forms}."
        )
    check_installed()
    otherwise = "; or download it elsewhere, and name the folder"
    with hub.translated(source, "downloaded", otherwise):
        return (_of_kaggle if scheme == "kaggle" else _of_hugging_face)(handle, place)


def _of_hugging_face(handle: str, place: Path) -> tuple[Path, str]:
    api = hub.client(f"hf://{handle}")
    commit = api.model_info(handle, timeout=hub.SECONDS).sha
    api.snapshot_download(
        handle, revision=commit, allow_patterns=[*_PATTERNS], local_dir=place
    )
    return place, f"hf://{handle}@{commit}"


def _of_kaggle(handle: str, place: Path) -> tuple[Path, str]:
    import kagglehub

    folder = kagglehub.model_download(handle, output_dir=str(place))
    return Path(folder), f"kaggle://{handle}"
