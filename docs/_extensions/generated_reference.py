"""Directives that write the reference from the code, when the pages are built.

A page names what it wants, such as a ``{generated}`` block with the word ``commands``,
and the text is Markdown made here. Nothing that is generated is committed.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]


class Generated(SphinxDirective):
    """``{generated}``: the reference of one kind of thing, as Markdown."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of the Markdown that the named function gives."""
        kind = self.arguments[0]
        if kind not in KINDS:
            raise self.error(f"unknown kind {kind!r}; one of {', '.join(KINDS)}")
        source = "\n".join(KINDS[kind]())
        place = f"<generated {kind}>"
        return self.parse_text_to_nodes(source, allow_section_headings=True) or [
            nodes.comment(text=place)
        ]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table; cells are Markdown of one line."""
    names = list(header)
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    for row in rows:
        cells = (re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def sentence(text: str) -> str:
    """A description as a sentence: it begins with a capital and ends with a stop."""
    text = re.sub(r"\s+", " ", text).strip()
    is_code = re.match(r"[a-z]+[_.][a-z]|(sgd|adam|auto|cpu)\b", text)
    text = text if is_code else f"{text[:1].upper()}{text[1:]}"
    return f"{text.rstrip('.')}." if text else text


# -- commands ------------------------------------------------------------------------


def commands() -> list[str]:
    """Every command of the command line: usage, arguments and options."""
    import typer

    from headrace_cli.main import app

    lines = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = [_usage(p) for p in arguments]
        usage += [f"{p.opts[0]} {_value(p)}" for p in options if p.required]
        shown = [*usage, "[OPTIONS]"] if len(options) > 1 else [*usage, "[--json]"]
        lines += [f"## headrace {name}", ""]
        lines += [_prose(command.help), "", "```text"]
        lines += [" ".join(["headrace", name, *shown]), "```", ""]
        if arguments:
            rows = ([f"`{_usage(p)}`", sentence(p.help or "")] for p in arguments)
            lines += table(["Argument", "Meaning"], rows)
        rows = ([_option(p), _option_help(p)] for p in options)
        lines += table(["Option", "Meaning"], rows)
    return lines


def _prose(text: str | None) -> str:
    parts = (text or "").replace("``", "`").split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", part) for part in parts)


def _usage(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).strip("{}[]").upper()
    return name if parameter.required else f"[{name}]"


def _value(parameter: Any) -> str:
    if parameter.is_flag:
        return ""
    kind = parameter.type_descriptor.annotation
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    names = {int: "NUMBER", float: "NUMBER"}
    return parameter.metavar or "|".join(choices) or names.get(kind, "TEXT")


def _option(parameter: Any) -> str:
    names = "/".join([*parameter.opts, *parameter.secondary_opts])
    return f"`{names} {_value(parameter)}`".replace(" `", "`")


def _option_help(parameter: Any) -> str:
    text = sentence(parameter.help or "")
    if parameter.required:
        return f"{text} Required."
    default = parameter.default
    if default in (None, "", False) or parameter.is_flag:
        return text
    return f"{text} Default: `{default}`."


# -- the pipeline file ---------------------------------------------------------------


def pipeline_file() -> list[str]:
    """Every table of a pipeline file, from the models that read it."""
    from headrace.pipeline import PipelineSpec

    schema = PipelineSpec.model_json_schema()
    lines = ["## The top level", ""]
    lines += _keys(PipelineSpec, schema, schema["$defs"])
    for name, field in PipelineSpec.model_fields.items():
        model = _model_of(field.annotation)
        if model is None:
            continue
        is_list = "tuple" in str(field.annotation)
        title = f"[[{name}]]" if is_list else f"[{name}]"
        lines += _section(name, title, model, schema["$defs"])
        for inner, of_inner in model.model_fields.items():
            below = _model_of(of_inner.annotation)
            if below is not None:
                title = f"{name}.{inner}, as a table"
                if "dict" in str(of_inner.annotation):
                    title = f"[{name}.{inner}.NAME]"
                lines += _section(inner, title, below, schema["$defs"])
    return lines


def _section(
    name: str, title: str, model: type[BaseModel], known: dict[str, Any]
) -> list[str]:
    about = inspect.cleandoc(model.__doc__ or "")
    head = [f"({name}-table)=", f"## {title}", "", _plain(about), ""]
    return head + _keys(model, known[model.__name__], known)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _plain(text: str) -> str:
    """A docstring's words as Markdown, without the name of its table in front."""
    text = re.sub(r"^``\[+[\w.]+\]+``:?\s*", "", text).replace("``", "`")
    first, *others = text.split("\n\n")
    return "\n\n".join([sentence(first), *map(_prose, others)])


def _keys(
    model: type[BaseModel], schema: dict[str, Any], known: dict[str, Any]
) -> list[str]:
    required = set(schema.get("required", ()))
    rows = []
    for name, field in model.model_fields.items():
        said = schema["properties"][name]
        inner = (
            None if "str |" in str(field.annotation) else _model_of(field.annotation)
        )
        kind = f"[table](#{name}-table)" if inner else _type(said, known)
        if inner and "tuple" in str(field.annotation):
            kind = f"list of [tables](#{name}-table)"
        default = "required" if name in required else _default(said, inner)
        default = _SPECIAL.get((model.__name__, name), default)
        about = field.description or _summary(inner) or _TOP.get(name, "")
        rows.append([f"`{name}`", kind, default, sentence(about)])
    return table(["Key", "Type", "Default", "Meaning"], rows)


def _summary(model: type[BaseModel] | None) -> str:
    """The first sentence of a table's docstring, without the table's name."""
    about = inspect.cleandoc(model.__doc__ or "") if model else ""
    return re.sub(r"^``\[+[\w.]+\]+``:?\s*", "", about.split("\n\n")[0])


_TOP = {
    "name": "of the pipeline and its model",
    "medium": "what an item is",
    "task": "what is learned of an item",
    "description": "one sentence on what is learned",
}
_SPECIAL = {
    ("PipelineSpec", "name"): "the folder's name",
    ("PipelineSpec", "gates"): "[all known gates](#known-gates)",
}


def _type(said: dict[str, Any], known: dict[str, Any]) -> str:
    options = [part for part in said.get("anyOf", ()) if part.get("type") != "null"]
    if options:
        return " or ".join(_type(part, known) for part in options)
    if "enum" in said:
        return ", ".join(f"`{value}`" for value in said["enum"])
    if "const" in said:
        return f"`{said['const']}`"
    kind = said.get("type", "object" if "$ref" in said else "")
    if kind == "array":
        inner = said.get("items", {})
        return f"list of {_type(inner, known)}" if inner else "list"
    names = {"string": "text", "boolean": "`true` or `false`", "object": "table"}
    return f"{names.get(kind, kind)}{_bounds(said)}"


def _bounds(said: dict[str, Any]) -> str:
    low = {"minimum": "≥", "exclusiveMinimum": ">"}
    high = {"maximum": "≤", "exclusiveMaximum": "<"}
    parts = [
        f"{sign} {_number(said[key])}"
        for key, sign in (*low.items(), *high.items())
        if key in said
    ]
    return f", {' and '.join(parts)}" if parts else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _default(said: dict[str, Any], inner: type[BaseModel] | None) -> str:
    value = said.get("default")
    if inner is not None or value in (None, "", [], {}):
        return "none" if value in (None, "", [], {}) else "its defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


def gates() -> list[str]:
    """The gates that know their metric and direction, with default thresholds."""
    from headrace.pipeline.families import task_names
    from headrace.pipeline.gates import default_gates, known_gates

    words = {"min": "at least", "max": "at most"}
    lines = []
    for task in task_names():
        bounds = {gate.name: gate.threshold for gate in default_gates(task)}
        rows = (
            [
                f"`{name}`",
                f"`{gate['metric']}`",
                words[gate["direction"]],
                f"`{gate['threshold']:g}`" if "threshold" in gate else "required",
                f"`{bounds[name]:g}`" if name in bounds else "absent",
            ]
            for name, gate in known_gates(task).items()
        )
        header = [
            "Gate",
            "Metric",
            "Bound",
            "Threshold by default",
            "In a file without gates",
        ]
        lines += [f"### {task}", "", *table(header, rows)]
    return lines


# -- settings, data, models ----------------------------------------------------------


def settings() -> list[str]:
    """Every environment variable that Headrace reads itself."""
    from headrace.settings import Settings

    rows = []
    for name, field in Settings.model_fields.items():
        about = sentence(field.description or "")
        if isinstance(field.default, int):
            about += f" Default: {_amount(name, field.default)}."
        rows.append([f"`HEADRACE_{name.upper()}`", about])
    return table(["Variable", "Meaning"], rows)


def _amount(name: str, value: int) -> str:
    if not name.endswith("_bytes"):
        return f"{value:,}"
    unit, size = ("GiB", 2**30) if value >= 2**30 else ("MiB", 2**20)
    return f"{value // size} {unit}"


def catalog() -> list[str]:
    """The data that is known by name."""
    path = ROOT / "src/headrace/data/sources/catalog/catalog.toml"
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = (
        [f"`catalog:{name}`", entry["medium"], entry["title"], entry["licence"]]
        for name, entry in entries.items()
    )
    return table(["Source", "Medium", "What it is", "Licence"], rows)


def families() -> list[str]:
    """The families of models, each with its arguments and its recipe."""
    from headrace.models import builder_names, find_builder
    from headrace.pipeline.families import family_medium, recipe_of

    lines = []
    for name in builder_names():
        builder, medium = find_builder(name), family_medium(name)
        module = inspect.getmodule(builder)
        about = inspect.cleandoc((module.__doc__ if module else "") or "")
        lines += [f"## {name}", "", f"Medium: {medium}. {_prose(about)}", ""]
        parameters = list(inspect.signature(builder).parameters.values())[1:]
        arguments = ", ".join(f"`{p.name} = {_toml(p.default)}`" for p in parameters)
        recipe = ", ".join(
            f"`{key} = {_toml(value)}`"
            for key, value in recipe_of(medium, name).items()
        )
        lines += [f"- Arguments: {arguments or 'none'}", f"- Recipe: {recipe}", ""]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"{list(value)}" if isinstance(value, tuple) else f"{value}"


# -- metrics -------------------------------------------------------------------------


def metrics() -> list[str]:
    """What each metric means: those of every task, and then those of each."""
    from headrace.evidence.metrics import INTERNAL, OF_EVERY_TASK
    from headrace.imports.extensions import modules
    from headrace.tasks import task

    shared = {**OF_EVERY_TASK, **INTERNAL}
    named = {name.format(score="SCORE"): said for name, said in shared.items()}
    lines = ["## Of every task", "", *_metrics(named)]
    for name in sorted(modules("tasks")):
        lines += [f"## {name.capitalize()}", "", *_metrics(task(name).answers.METRICS)]
    return lines


def _metrics(sentences: Mapping[str, str]) -> list[str]:
    rows = ([f"`{name}`", said] for name, said in sentences.items())
    return table(["Metric", "Meaning"], rows)


KINDS: dict[str, Callable[[], list[str]]] = {
    "commands": commands,
    "pipeline-file": pipeline_file,
    "gates": gates,
    "settings": settings,
    "catalog": catalog,
    "families": families,
    "metrics": metrics,
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known to Sphinx."""
    app.add_directive("generated", Generated)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
