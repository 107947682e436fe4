"""The `groundling` command: its groups, and how errors reach a person."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from serve.cli.lazy import LazyGroup

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked workers warn on every start otherwise

COMMANDS = {
    "chat": ("serve.cli.chat:chat", "Talk to the agent, or ask one question with --once."),
    "serve": ("serve.cli.serve:serve", "Serve the REST API and the web page."),
    "keys": ("serve.cli.serve:keys", "Create, list and revoke API keys of the service."),
    "index": ("serve.cli.index:index", "Build or update a retrieval corpus from your files."),
    "tools": ("serve.cli.tools:tools", "See, try, check, write and serve tools."),
    "models": ("serve.cli.models:models", "Fetch and list models."),
    "adapters": ("serve.cli.adapters:adapters", "List, install and merge finetuned adapters."),
    "finetune": ("serve.cli.finetune:finetune", "Tune a model on your data, by recipe or configuration."),
    "eval": ("serve.cli.evaluate:evaluate", "Measure models, adapters and the agent on labelled data."),
    "bench": ("serve.cli.bench:bench", "Measure this machine: turn time and more."),
    "collect": ("serve.cli.collect:collect", "Collect embodied experience in simulated homes."),
}


class GroundlingGroup(LazyGroup):
    """Prints the project's own errors as one line, without a traceback, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise click.Abort() from None
        except Exception as error:
            if not is_ours(error):
                raise
            click.echo(f"groundling: {' '.join(str(error).split())}", err=True)
            ctx.exit(1)


def is_ours(error: BaseException) -> bool:
    """Whether an error is one of the rooms' own, whose message is written for the person at the terminal."""
    rooms = ("dialog", "toolset", "safety", "embodied", "serve")
    return any(base.__module__ in {f"{room}.errors" for room in rooms} for base in type(error).__mro__)


@click.group(cls=GroundlingGroup, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="groundling", message="%(prog)s %(version)s")
def main() -> None:
    """A grounded dialog agent: it samples many answers, drops the unsafe, ranks the rest, checks facts with
    tools, and cites its sources.

    \b
    Start here:
      groundling chat                              open a chat
      groundling chat --once "What is 15% of 80?"  one answer
      groundling chat --once "..." --trace         and how it came about
    """


if __name__ == "__main__":
    sys.exit(main())
