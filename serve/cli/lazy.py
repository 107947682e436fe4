"""A click group that imports a command only when it is used, so that `groundling --help` starts at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """`commands_at` maps a command's name to (`module:attribute`, one-line help)."""

    def __init__(self, *args, commands_at: Mapping[str, tuple[str, str]] = {}, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.commands_at = dict(commands_at)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_at:
            return None
        module, attribute = self.commands_at[cmd_name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.commands_at.items()])


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
