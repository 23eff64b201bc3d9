"""The commands, each imported when it is asked for: `headway count` need not wait for what `headway serve` is made of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click.core import Command  # what typer's own signatures say

STYLE: dict[str, Any] = {
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}
COMMANDS = {  # where each is, in the order of `headway --help`
    "run": "run:run",
    "send": "send:send",
    "serve": "serve:serve",
    "exec": "exec:exec_",
    "plan": "plan:plan",
    "count": "count:count",
    "models": "models:models",
    "usage": "usage:reports",
    "ledger": "ledger:ledger",
    "reconcile": "reconcile:reconcile",
    "insights": "insights:insights",
    "compare": "compare:compare",
    "lint": "lint:lint",
    "top": "top:top",
    "keys": "keys:keys",
    "config": "config:config",
    "doctor": "doctor:doctor",
    "emulate": "emulate:emulate",
}


class Commands(TyperGroup):
    """A group that knows the names of its commands, and the rest once it needs it."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is click's
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Command | None:  # noqa: ARG002 - likewise
        """The command of that name; None: there is none."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands[cmd_name]


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(f"headway.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, **STYLE | {"no_args_is_help": False})
    alone.command(name)(found)
    return typer.main.get_command(alone)
