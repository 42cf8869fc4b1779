"""``headrace doctor``: the configuration, the servers, and how to fix them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace_cli.answers import JsonOption, answer, console

if TYPE_CHECKING:
    from headrace_ops.doctor import Check

_COLOURS = {"ok": "green", "hint": "yellow", "wrong": "red", "unreachable": "red"}


def doctor(as_json: JsonOption = False) -> None:
    """Report what is configured and what answers, with fixes."""
    from headrace.settings import Settings
    from headrace_ops.doctor import examine

    settings = Settings()
    checks = examine(settings)
    states = {check.state for check in checks}
    status = next((s for s in ("wrong", "unreachable", "hint") if s in states), "ok")
    home, rows = str(settings.home.absolute()), [c.model_dump() for c in checks]
    value = {"status": status, "home": home, "checks": rows}
    exit_code = {"wrong": 2, "unreachable": 3}.get(status, 0)
    answer(value, lambda: _show(checks), as_json=as_json, exit_code=exit_code)


def _show(checks: list[Check]) -> None:
    from rich.text import Text

    out = console()
    for check in checks:
        line = Text(f"{check.state:<12}", style=_COLOURS[check.state])
        line.append(f"{check.name:<17}{check.seen}", style="default")
        if check.fix:
            line.append(f"  ->  {check.fix}", style="bold default")
        out.print(line)


COMMANDS = (doctor,)
