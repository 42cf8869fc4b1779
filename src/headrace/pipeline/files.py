"""Reads a pipeline's file, with overrides, as a spec or flat fields.

An error explains what is wrong with a file.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from headrace.display.credentials import find_credential
from headrace.errors import HeadraceError, NotFoundError, SpecError, did_you_mean
from headrace.pipeline.checks import CREDENTIAL, check_values, shorten, too_deep

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from headrace.pipeline.spec import PipelineSpec

FILE_NAME = "pipeline.toml"
# Parsing takes up to 70 bytes of memory a byte. The names of 21,000 classes are 400 kB.
MOST_BYTES = 2 * 2**20


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split ``a.b=value``; the value is TOML, else a string.

    Raises:
        SpecError: there is no ``=`` or no key, or it is too long or nested too deeply.
    """
    if len(text) > MOST_BYTES:
        raise _too_long(f"--set {shorten(text)}")
    key, separator, value = text.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not separator or not all(keys) or "://" in key:
        raise SpecError(
            f"--set {shorten(text)!r} is not KEY=VALUE.",
            "Write for example --set training.epochs=3.",
        )
    check_values({"": keys}, f"--set {shorten(text)}", depth=len(keys))
    try:
        return keys, tomllib.loads(f"value = {value.strip()}")["value"]
    except ValueError:  # no TOML, or a number of more digits than Python reads
        return keys, value.strip()
    except RecursionError:
        raise too_deep(f"--set {shorten(text)}") from None


def _apply(raw: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    table: Any = raw
    for depth, key in enumerate(keys[:-1], start=1):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise SpecError(
                f"--set {shorten(text)!r}: {'.'.join(keys[:depth])} is not a table.",
                "Give the whole value as TOML instead, for example gates=[].",
            )
    table[keys[-1]] = value


def load_spec(
    folder: Path, overrides: tuple[str, ...] = (), name: str = ""
) -> PipelineSpec:
    """Read ``folder/pipeline.toml`` and apply the overrides.

    Args:
        folder: of the pipeline.
        overrides: as given with ``--set``.
        name: of the pipeline, where the folder is called otherwise, as in the store.

    Raises:
        NotFoundError: there is no such file.
        SpecError: it is not TOML, or a field is unknown, missing or out of bounds.
    """
    raw = read_tables(folder)
    raw.setdefault("name", name or folder.resolve().name)
    return _validate(raw, overrides, folder / FILE_NAME)


def read_tables(folder: Path) -> dict[str, Any]:
    """Read ``folder/pipeline.toml``, without checks.

    Raises:
        NotFoundError: there is no such file.
        SpecError: it is not TOML.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _too_long(str(path))
        text = data.decode("utf-8-sig")  # some editors begin it with a mark
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{folder} holds no {FILE_NAME}.", f"Name a folder with a {FILE_NAME}."
        ) from None
    except OSError as error:
        raise SpecError(
            f"{path} cannot be read: {error.strerror}.", "Put a pipeline file there."
        ) from None
    except ValueError as error:  # no UTF-8, no TOML, or too many digits for Python
        raise SpecError(
            f"{path} is not valid TOML: {error}.",
            "Correct that line, or the one before it, and save the file as UTF-8.",
        ) from None
    except RecursionError:
        raise too_deep(str(path)) from None


def _too_long(where: str) -> SpecError:
    return SpecError(
        f"{where} has over {MOST_BYTES:,} bytes.",
        "Keep data in files of their own; a pipeline file names them.",
    )


def override(spec: PipelineSpec, overrides: tuple[str, ...]) -> PipelineSpec:
    """A spec with fields changed, as if its file had been read with the overrides.

    Raises:
        SpecError: a field is unknown or out of bounds.
    """
    return _validate(spec.model_dump(), overrides, Path(FILE_NAME))


def _validate(
    raw: dict[str, Any], overrides: tuple[str, ...], path: Path
) -> PipelineSpec:
    for text in overrides:
        keys, value = parse_override(text)
        check_values(value, f"--set {shorten(text)}", depth=len(keys))
        _apply(raw, keys, value, text)
    check_values(raw, str(path))
    from headrace.pipeline.spec import PipelineSpec  # most commands need none

    try:
        return PipelineSpec.model_validate(raw)
    except ValidationError as error:
        items = error.errors(include_url=False)
    raise SpecError("\n".join(_problem(item, path, overrides) for item in items))


_KINDS = {  # by the types of pydantic, whose words are those of Python
    "tuple_type": "it should be a list, such as [1, 2]",
    "model_type": "it should be a table",
    "dict_type": "it should be a table",
}


def _problem(item: ErrorDetails, path: Path, overrides: tuple[str, ...]) -> str:
    """What is wrong with a field, where it was set, and what to do."""
    location = [str(part) for part in item["loc"]]
    field, parent = ".".join(location), ".".join(location[:-1])
    table = location[0] if location else ""
    mine = [o for o in overrides if o.split("=", 1)[0].split(".")[0].strip() == table]
    where = f"--set {shorten(mine[-1])}" if mine else str(path)
    if item["type"] == CREDENTIAL:  # the value is not shown
        return f"{'--set' if mine else path}: {field}: {item['msg']}"
    if item["type"] == "missing":
        return f"{where}: {field} is missing. Add it."
    value = shorten(repr(item["input"]))
    if find_credential(repr(item["input"])):
        value = "not shown, for it holds a credential"
    if item["type"] == "extra_forbidden":
        names = _names_at(item["loc"][:-1])
        place = f" in {parent}" if parent else ""
        valid = f"Valid names{place}: {', '.join(names)}."
        prefix = field.removesuffix(location[-1])
        hint = did_you_mean(location[-1], names, valid, prefix=prefix)
        return f"{where}: unknown key {field} (value {value}). {hint}"
    message = _KINDS.get(item["type"], item["msg"].removeprefix("Value error, "))
    stop = "" if message.endswith("?") else "."
    if isinstance(item["input"], Mapping):  # a rule on several fields, which names them
        own = [o for o in overrides if o.split("=", 1)[0].strip() in message]
        where = f"--set {shorten(own[-1])}" if own else where
        return f"{where}: {message}{stop}"
    return f"{where}: {field} = {value}: {message}{stop}"


def _names_at(location: tuple[int | str, ...]) -> list[str]:
    from headrace.pipeline.spec import PipelineSpec

    model: Any = PipelineSpec
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        types = (kind for kind in candidates if isinstance(kind, type))
        model = next(kind for kind in types if issubclass(kind, BaseModel))
    return sorted(model.model_fields)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of nested JSON as text, named ``training.epochs``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(v, Mapping) and v.keys() != {"name"} for v in value)
        ):
            for number, row in enumerate(value):
                rest = {k: v for k, v in row.items() if k != "name"}
                yield from flatten(rest, f"{prefix}{key}.{row.get('name', number)}.")
        else:
            yield f"{prefix}{key}", str(value)[:6000]


def fields_of(spec: PipelineSpec) -> dict[str, str]:
    """All fields of a spec that have a value."""
    return dict(flatten(spec.model_dump(mode="json", exclude_none=True)))


def fields_of_file(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """The fields of the pipeline's file, or of the spec if the file is unreadable.

    A relative source is given as in the spec, where it is absolute.
    """
    with contextlib.suppress(HeadraceError):
        file = load_spec(folder, name=spec.name)
        fields = fields_of(file)
        # A worker's copy of the folder has another place and name.
        if spec.data.source.endswith(f"/{spec.name}/{file.data.source}"):
            fields["data.source"] = spec.data.source
        return fields
    return fields_of(spec)
