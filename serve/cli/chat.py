"""`groundling chat`: a chat in the terminal, or one answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from serve.cli import ADAPTER_HELP
from serve.errors import SettingsError

if TYPE_CHECKING:
    from dialog.agent import Agent, Event
    from dialog.turn import Turn

# An answer is shown as it is: `:x:` stays what it was.
errors = Console(stderr=True, emoji=False)
output = Console(highlight=False, soft_wrap=True, emoji=False)

HELP = """[bold]/trace[/]        how the last answer came about
[bold]/sources[/]      the last answer's sources, with their text
[bold]/role NAME[/]    go on as another role, with a new conversation
[bold]/new[/]          forget this conversation
[bold]/quit[/]         leave (also Ctrl-D); Ctrl-C stops an answer, not the chat"""

CANDIDATES_HELP = "Answers sampled a turn.  [default: 16; 4 on a CPU in this process]"
RESEARCH_HELP = "Answers sampled from what the tools found; 0 quotes it.  [default: 0 with the default model, else 4]"
TOKENS_HELP = "Longest answer, in tokens.  [default: 96; 48 on a CPU in this process]"


def agent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose an agent, shared by the commands that run one."""
    for option in reversed(
        [
            click.option(
                "--model", metavar="M", help="A model's name, folder or Hugging Face id; see `groundling models`."
            ),
            click.option("--engine", metavar="E", help="transformers (default), vllm, or the URL of a `vllm serve`."),
            click.option("--adapter", metavar="A", help=ADAPTER_HELP),
            click.option("--candidates", type=click.IntRange(1, 256), metavar="N", help=CANDIDATES_HELP),
            click.option("--research-candidates", type=click.IntRange(0, 64), metavar="N", help=RESEARCH_HELP),
            click.option("--max-tokens", type=click.IntRange(8, 4096), metavar="N", help=TOKENS_HELP),
            click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="1.0 by default."),
            click.option("--role", metavar="R", help="assistant (default), everest, home-helper, or a role file."),
            click.option("--corpus", metavar="C", help="Retrieval corpus (`groundling index`), or none."),
            click.option("--dialect", type=click.Choice(["chat", "judged", "tuned"]), help="How prompts are written."),
            click.option("--device", metavar="D", help="auto (default), cpu, cuda, cuda:1 …"),
            click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads."),
        ]
    ):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  groundling chat --once "Who painted the Mona Lisa?"
  groundling chat --once "What is 15% of 80?" --json
  groundling chat --role everest --trace
  groundling chat --engine vllm --candidates 16
  groundling chat --model Qwen/Qwen3-0.6B --corpus my-docs"""
)
@click.option("--once", metavar="TEXT", help="Answer TEXT and leave; - reads it from standard input.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print the whole turn as one JSON object.")
@click.option("--trace", is_flag=True, help="Show candidates with scores, tool calls and timings.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="S", help="Repeat a turn exactly (embedded engine).")
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="Append every turn to this JSONL file.")
@agent_options
def chat(once: str | None, as_json: bool, trace: bool, seed: int | None, log: Path | None, **options: Any) -> None:
    """Talk to the agent, or ask one question with --once.

    Each answer is the best of several candidates that passed the safety filter, checked with tools, and cited.
    """
    from dialog.messages import user_text

    if as_json and once is None:
        raise click.UsageError("--json needs --once TEXT.")
    if once == "-":
        once = sys.stdin.buffer.read().decode("utf-8", "replace")
    if once is not None:
        user_text(once)  # a message that cannot be answered is refused before a model is loaded
    session = Session(options, trace=trace, seed=seed, log=log)
    # Before the event loop: what runs in its threads could not be stopped with Ctrl-C.
    session.fetch()
    with asyncio.Runner() as runner:
        session.open(runner)
        try:
            if once is None:
                session.loop()
            else:
                turn = session.answer(once)
                if turn is None:
                    sys.exit(130)
                click.echo(turn.model_dump_json(indent=1)) if as_json else show(turn, trace=trace)
        finally:
            session.close()


class Session:
    """A conversation with one agent on one event loop."""

    def __init__(self, options: dict[str, Any], *, trace: bool, seed: int | None, log: Path | None) -> None:
        from pydantic import ValidationError

        from serve.assemble import AgentOptions

        try:
            self.options = AgentOptions(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsError(
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r}"
            ) from error
        self.trace, self.seed, self.log = trace, seed, log
        self.turns: list[Turn] = []
        self.agent: Agent | None = None

    def fetch(self) -> None:
        """Fetch what is missing, and see that the log can be written. Raises what `serve.assemble` raises."""
        from serve.assemble import fetch

        if self.log is not None:
            append(self.log, "")
        fetch(self.options)

    def open(self, runner: asyncio.Runner) -> None:
        """Load the agent. Raises what `serve.assemble` raises."""
        from serve.assemble import assemble

        self.runner = runner
        with errors.status("loading") if sys.stderr.isatty() else _nothing():
            self.agent, self.notices = runner.run(assemble(self.options))

    def close(self) -> None:
        if self.agent is not None:
            self.runner.run(self.agent.aclose())

    def answer(self, text: str) -> Turn | None:
        """One turn; None where Ctrl-C stopped it. Raises MessageError, ContextLengthError, EngineUnavailable."""
        from dialog.messages import Message

        assert self.agent is not None
        history = [m for turn in self.turns for m in (turn.messages[-1], Message(role="assistant", content=turn.reply))]
        messages = [*history, Message(role="user", content=text)]
        seed = None if self.seed is None else self.seed + len(self.turns)
        shown = errors.status("") if sys.stderr.isatty() else None
        try:
            if shown is None:
                turn = self.runner.run(self.agent.reply(messages, seed=seed))
            else:
                with shown:
                    turn = self.runner.run(
                        self.agent.reply(messages, seed=seed, on_event=lambda event: shown.update(wording(event)))
                    )
        except KeyboardInterrupt:
            errors.print("stopped", style="dim")
            return None
        self.turns.append(turn)
        if self.log is not None:
            try:
                append(self.log, turn.model_dump_json() + "\n")
            except SettingsError as error:  # the answer is there all the same
                errors.print(str(error), style="red", markup=False)
        return turn

    def loop(self) -> None:
        """Read, answer, print, until the end of input."""
        from dialog.errors import DialogError
        from serve.errors import ServeError

        self.greet()
        read = line_reader()
        while True:
            try:
                line = read()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not line.strip():
                continue
            if line.startswith("/"):
                if not self.command(line):
                    return
                continue
            try:
                turn = self.answer(line)
            except (DialogError, ServeError) as error:
                errors.print(str(error), style="red", markup=False)
                continue
            if turn is not None:
                show(turn, trace=self.trace)

    def greet(self) -> None:
        assert self.agent is not None
        info = self.agent.decoder.info
        tools = ", ".join(self.agent.toolset.names) or "none"
        where = info.engine if info.device == info.engine else f"{info.engine} on {info.device}"
        errors.print(f"{info.model} · {where} · tools: {tools}", style="dim", highlight=False)
        for notice in self.notices:
            errors.print(notice, style="dim", highlight=False, markup=False)
        errors.print("/help lists commands, Ctrl-D leaves.", style="dim")
        for line in self.agent.role.opening:
            output.print(line, markup=False)

    def command(self, line: str) -> bool:
        """A line that begins with `/`; False leaves the chat."""
        from dialog.errors import RoleError
        from dialog.roles import load_role
        from serve.assemble import unknown_tools

        assert self.agent is not None
        name, _, argument = line[1:].partition(" ")
        last = self.turns[-1] if self.turns else None
        if name in ("quit", "exit", "q"):
            return False
        if name == "new":
            self.turns.clear()
            errors.print("a new conversation", style="dim")
        elif name == "trace" and last:
            show_trace(last)
        elif name == "sources" and last:
            for citation in last.citations:
                output.print(f"[{citation.number}] {titled(citation.title, citation.text)}", markup=False)
            if not last.citations:
                errors.print("the last answer cites nothing", style="dim")
        elif name == "role" and argument:
            try:
                self.agent.role = load_role(argument.strip())
                self.notices = unknown_tools(self.agent.role, self.agent.toolset)
                self.turns.clear()
                self.greet()
            except RoleError as error:
                errors.print(str(error), style="red", markup=False)
        else:
            errors.print(HELP)
        return True


def show(turn: Turn, *, trace: bool = False) -> None:
    """The reply and its sources on standard output."""
    output.print(turn.reply, markup=False)
    for citation in turn.citations:
        output.print(
            f"  [{citation.number}] {citation.title}{f' — {citation.url}' if citation.url else ''}",
            style="dim",
            markup=False,
        )
    for note in turn.notes:
        errors.print(note, style="dim", markup=False, highlight=False)
    if trace:
        show_trace(turn)


def append(log: Path, line: str) -> None:
    """Append to a file. Raises SettingsError where that cannot be done."""
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise SettingsError(
            f"cannot write --log {log}: {error.strerror or error}. Name a file that can be written."
        ) from error


def titled(title: str, text: str) -> str:
    """A text with its title before it, once."""
    return text if not title or text.startswith(title) else f"{title}: {text}"


def show_trace(turn: Turn) -> None:
    """Candidates, tool calls and timings as tables."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title="candidates, best first", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", width=1)
    for name in ("sens", "spec", "int", "safe", "qual", "supp"):
        table.add_column(name, justify="right", no_wrap=True, width=4)
    table.add_column("text", ratio=1, overflow="fold")
    for candidate in turn.candidates:
        scores = candidate.scores
        numbers = (
            [scores.sensible, scores.specific, scores.interesting, scores.safe, scores.quality]
            if scores
            else [None] * 5
        )
        cells = [f"{value:.2f}" if value is not None else "" for value in (*numbers, candidate.support)]
        text = " ".join(candidate.text.split()) + (f"  ({candidate.reason})" if candidate.reason else "")
        table.add_row("✓" if candidate.kept else "✗", *cells, Text(text), style=None if candidate.kept else "dim")
    output.print(table)
    if turn.tool_calls:
        calls = Table(title="tool calls", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("tool", "query", "s", "result"):
            calls.add_column(
                name, ratio=1 if name == "result" else None, overflow="fold", justify="right" if name == "s" else "left"
            )
        for call in turn.tool_calls:
            found = call.error or "\n".join(
                titled(result.source.title if result.source else "", result.text[:160]) for result in call.results
            )
            calls.add_row(
                call.tool,
                Text(call.query),
                f"{call.seconds:.2f}",
                Text(found or "not mine", style="" if found else "dim"),
            )
        output.print(calls)
    stages = " · ".join(f"{stage} {seconds:.2f} s" for stage, seconds in turn.timings)
    output.print(
        f"{stages}\nseed {turn.seed} · {turn.usage.sampled_tokens} tokens sampled · {turn.usage.scored_prompts} reads",
        style="dim",
    )


def wording(event: Event) -> str:
    """An event for a person who waits; the query comes from outside, so its markup is escaped."""
    from rich.markup import escape

    return {
        "sampling": f"writing {event.detail} candidates",
        "scoring": "judging them",
        "researching": f"researching “{escape(event.detail)}”",
        "checking": "checking the answer",
    }[event.stage]


def line_reader() -> Callable[[], str]:
    """Reads a line with editing and history on a terminal, plainly from a pipe. Raises EOFError at the end."""
    if not sys.stdin.isatty():
        stdin = sys.stdin.buffer

        def plain() -> str:
            line = stdin.readline().decode("utf-8", "replace")
            if not line:
                raise EOFError
            return line.rstrip("\r\n")

        return plain
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    from serve.home import home

    session: PromptSession[str] = PromptSession(history=FileHistory(str(home() / "chat_history")))
    return lambda: session.prompt("› ")


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
