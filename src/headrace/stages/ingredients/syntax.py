"""What a module's code does and imports, whatever its prose, layout and import order.

Comments and docstrings do not count. Nor does where and in which order modules are
imported, as long as each name has one meaning in the whole file; nor an import whose
name is used neither there nor by other files. What is imported is followed all the
same, since code that is imported runs; only an unused import of Headrace's own modules,
which do nothing by themselves, is not.
"""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Container, Iterator

PACKAGE = "headrace"
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_Import = ast.Import | ast.ImportFrom


def parse(code: bytes, package: str, *, exports: bool) -> tuple[str, list[str]]:
    """The digest of a module's code, and the names of the modules that it imports.

    Args:
        code: of the module.
        package: that it is in; empty for a file outside any package.
        exports: whether other files may use what it imports.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = ast.parse(code)
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, _DOCUMENTED):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    imports = [node for node in nodes if isinstance(node, _Import)]
    followed = list(_followed(imports, package))
    movable = _movable(nodes, imports, package)
    used = set(_words(nodes, _take_out(nodes, movable)))
    meant = sorted((n, sorted(of)) for n, of in movable.items() if exports or n in used)
    digest = hashlib.sha256(f"{ast.dump(tree)}{meant}".encode())
    is_own = _top(package) == PACKAGE and not exports
    modules = {
        module
        for name, module in followed
        if not is_own or name in used or _top(module) != PACKAGE
    }
    return digest.hexdigest()[:16], sorted(modules)


def _take_out(nodes: list[ast.AST], names: Container[str]) -> set[ast.AST]:
    """Take the imports of some names out of a tree, and the blocks that had no others.

    Args:
        nodes: of the tree, parents before their children.
        names: that are bound by the imports.

    Returns:
        the conditions of blocks ``if TYPE_CHECKING`` that are taken out.
    """
    conditions = set[ast.AST]()
    for node in reversed(nodes):
        if isinstance(node, _Import):
            node.names = [a for a in node.names if _bound(a) not in names]
            continue
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not block or not isinstance(block, list):
                continue
            rest = [x for x in block if not _is_empty(x)]
            if field == "body" and not rest:
                if isinstance(node, ast.If) and _is_for_types(node):
                    conditions.update(ast.walk(node.test))
                else:
                    rest = [ast.Pass()]
            setattr(node, field, rest)
    return conditions


def _is_empty(node: ast.AST) -> bool:
    """Whether all that was in an import or a block was taken out."""
    if isinstance(node, _Import):
        return not node.names
    return isinstance(node, ast.If) and not node.body


def _is_for_types(node: ast.If) -> bool:
    name = getattr(node.test, "attr", getattr(node.test, "id", ""))
    return name == "TYPE_CHECKING" and not node.orelse


def _movable(
    nodes: list[ast.AST], imports: list[_Import], package: str
) -> dict[str, set[str]]:
    """The names that imports of one thing alone bind, and what is imported for each."""
    meanings: defaultdict[str, set[str]] = defaultdict(set)
    things: defaultdict[str, set[str]] = defaultdict(set)
    fixed = {"*", *_bound_otherwise(nodes)}
    for node in imports:
        for alias in node.names:
            name = _bound(alias)
            if isinstance(node, ast.Import):
                meaning = alias.name
                # `import a.b` binds a, as `import a.c` does.
                thing = meaning if alias.asname else name
            else:
                module = "." * node.level + (node.module or "")
                thing = meaning = f"{absolute(node, package) or module}:{alias.name}"
            meanings[name].add(meaning)
            things[name].add(thing)
            if meaning.startswith("__future__"):
                fixed.add(name)
    return {
        name: of
        for name, of in meanings.items()
        if len(things[name]) == 1 and name not in fixed
    }


def _bound(alias: ast.alias) -> str:
    return alias.asname or _top(alias.name)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _bound_otherwise(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            if isinstance(node, ast.ClassDef):  # imports are attributes there
                own = (x for x in node.body if isinstance(x, _Import))
                yield from (_bound(alias) for x in own for alias in x.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            yield node.name or ""
        elif isinstance(node, ast.MatchMapping):
            yield node.rest or ""


def _words(nodes: list[ast.AST], gone: Container[ast.AST]) -> Iterator[str]:
    """Names that are used, and texts that could be names, as in ``__all__``."""
    for node in nodes:
        if isinstance(node, ast.Name) and node not in gone:
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _followed(imports: list[_Import], package: str) -> Iterator[tuple[str, str]]:
    """The name that each import binds, and the modules that it may import."""
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.Import):
                yield _bound(alias), alias.name
            elif module := absolute(node, package):
                yield _bound(alias), module
                yield _bound(alias), f"{module}.{alias.name}"


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that is imported from; empty outside a package."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module or ""]).strip(".") if parts else ""
