"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace_cli.answers import Answered, JsonOption, console, print_json

if TYPE_CHECKING:
    from headrace_ops.doctor import Check

_COLOURS = {"ok": "green", "hint": "yellow", "wrong": "red", "unreachable": "red"}


def doctor(as_json: JsonOption = False) -> None:
    """Report what is configured, what answers and what is wrong, with fixes."""
    from headrace.settings import Settings
    from headrace_ops.doctor import examine

    settings = Settings()
    checks = examine(settings)
    states = {check.state for check in checks}
    status = next((s for s in ("wrong", "unreachable", "hint") if s in states), "ok")
    if as_json:
        rows = [check.model_dump() for check in checks]
        home = str(settings.home.absolute())
        print_json({"status": status, "home": home, "checks": rows})
    else:
        _show(checks)
    codes = {"wrong": 2, "unreachable": 3}
    if status in codes:
        raise Answered(codes[status])


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
