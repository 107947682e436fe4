"""`groundling tools`: see, try, check, write and serve tools."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from toolset.conformance import Check
    from toolset.plugins import Loaded
    from toolset.tool import Tool

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file, instead of tools.toml in the home folder.",
)
CORPUS = click.option(
    "--corpus", default="default", show_default=True, help="What retrieval searches (`groundling index`), or none."
)


@click.group()
def tools() -> None:
    """See, try, check, write and serve tools.

    \b
    Examples:
      groundling tools list
      groundling tools run calculator "15% of 80"
      groundling tools new weather            write a plugin ...
      groundling tools check ./groundling-weather --query "weather in Oslo"
      .venv/bin/python -m pip install -e ./groundling-weather     ... and use it
    """


@tools.command("list")
@CONFIG
@JSON
def list_(config: Path | None, as_json: bool) -> None:
    """List the tools that answer, where they come from, and what could not be loaded.

    \b
    Tools come from three places:
      built in      calculator, translator, retrieval, virtualhome; search where tools.toml gives it a provider
      packages      any installed package with the entry point group groundling.tools
      MCP servers   those named in the configuration file

    \b
    Example:
      groundling tools list --json
    """
    from serve.tools import config_path

    loaded = _load(config)
    path = config or config_path()
    rows: list[dict[str, Any]] = [
        {
            "name": tool.name,
            "from": loaded.origins[tool.name],
            "timeout": tool.timeout,
            "max_chars": tool.max_chars,
            "needs": sorted(tool.needs),
            "open_domain": tool.open_domain,
            "description": " ".join(tool.description.split()),
            "status": _said_by(tool, "status"),
        }
        for tool in loaded.toolset.tools
    ]
    loaded.toolset.close()
    if as_json:
        problems = [{"what": problem.what, "message": problem.message} for problem in loaded.problems]
        click.echo(json.dumps({"tools": rows, "problems": problems, "config": str(path)}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("tool", "from", "time", "needs", "answers"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        needs = ", ".join(row["needs"]) or "-"
        table.add_row(*map(escape, (row["name"], row["from"], f"{row['timeout']:g} s", needs, row["description"])))
    Console().print(table)
    for row in rows:
        for line in row["status"].splitlines():
            click.echo(f"\n{row['name']}: {line}", nl=False)
    click.echo(f"\n\nconfiguration: {path}{'' if path.exists() else ' (not there yet: defaults hold)'}")
    _report_problems(loaded)


@tools.command()
@click.argument("name")
@click.argument("query")
@CORPUS
@CONFIG
@JSON
def run(name: str, query: str, corpus: str, config: Path | None, as_json: bool) -> None:
    """Ask the tool NAME one QUERY, as a chat would.

    An empty answer means that the tool left the query alone. A tool that fails is an error (exit code 1).

    \b
    Examples:
      groundling tools run calculator "15% of 80"
      groundling tools run translator "hello in French" --json
    """
    from toolset.errors import ToolsetError

    loaded = _load(config, corpus if name == "retrieval" else None)
    with loaded.toolset as toolset:
        if name not in toolset.names:
            _report_problems(loaded)
        asked = next((tool for tool in toolset.tools if tool.name == name), None)
        if name == "retrieval" and (load := getattr(asked, "load", None)):
            load()  # reading a corpus is no part of the answer's time
        call = toolset.run(query, only=[name]).calls[0]
        why = "" if call.results or call.error or as_json or asked is None else _said_by(asked, "explain", query)
    if as_json:
        click.echo(call.model_dump_json())
    else:
        for result in call.results:
            click.echo(result.text)
            if result.source is not None:
                url = f" <{result.source.url}>" if result.source.url else ""
                score = "" if result.source.score is None else f" ({result.source.score:.2f})"
                click.echo(f"  — {result.source.title}{url}{score}")
        if not call.results and not call.error:
            click.echo(f"{name} left the query alone. {why}".strip(), err=True)
    if call.error:
        if as_json:
            sys.exit(1)
        raise ToolsetError(f"{name} failed: {call.error}")


@tools.command()
@click.argument("target", metavar="PACKAGE_OR_PATH")
@click.option("--query", "examples", multiple=True, help="A query that the tool must answer; may be repeated.")
@click.option("--foreign", multiple=True, help="A query that it must leave alone; may be repeated.")
@click.option("--tool", "only", help="Check this tool of the package alone.")
@JSON
def check(target: str, examples: tuple[str, ...], foreign: tuple[str, ...], only: str | None, as_json: bool) -> None:
    """Check whether the tools of a package keep the contract.

    PACKAGE_OR_PATH is an installed package, a folder with a pyproject.toml, or a Python file. Its tools are asked
    empty, hostile and ordinary queries, from several threads and event loops, cancelled, and closed. The exit code
    is 1 where a check fails. In a plugin's own tests: toolset.conformance.check_tool.

    \b
    Examples:
      groundling tools check ./groundling-weather --query "weather in Oslo"
      groundling tools check groundling-weather --json
    """
    import contextlib

    from toolset.conformance import run_checks
    from toolset.errors import PluginError
    from toolset.scaffold import find_tools

    outcome: dict[str, list[Check]] = {}
    for entry_point, load in find_tools(target):
        with contextlib.redirect_stdout(sys.stderr):
            found = load()
        for tool in found:
            name = getattr(tool, "name", entry_point)
            if only in (None, name):
                outcome[str(name)] = run_checks(tool, examples=examples, foreign=foreign)
    if not outcome:
        raise PluginError(f"{target!r} has no tool named {only!r}.")
    passed = all(check.passed for checks in outcome.values() for check in checks)
    if as_json:
        report = [
            {"tool": name, "checks": [check.model_dump() for check in checks]} for name, checks in outcome.items()
        ]
        click.echo(json.dumps({"passed": passed, "tools": report}, ensure_ascii=False))
    else:
        for name, checks in outcome.items():
            click.echo(name)
            for check in checks:
                click.echo(f"  {'ok  ' if check.passed else 'FAIL'}  {check.name:<14} {check.detail}")
        click.echo("The contract is kept." if passed else "The contract is not kept.")
    sys.exit(0 if passed else 1)


@tools.command()
@click.argument("name")
@click.option(
    "--in",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to make the package's folder; by default here.",
)
@JSON
def new(name: str, parent: Path, as_json: bool) -> None:
    """Write an installable plugin package with the tool NAME, its test and a README.

    \b
    Example:
      groundling tools new weather
      .venv/bin/python -m pip install -e ./groundling-weather
      groundling tools run weather "how many words are in to be or not to be"
    """
    from toolset.scaffold import write_plugin

    folder = parent / f"groundling-{name.replace('_', '-').strip('-')}"
    files = write_plugin(name, folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": [str(file) for file in files]}))
        return
    for file in files:
        click.echo(file)
    query = "how many words are in to be or not to be"
    shown = folder if folder.is_absolute() else f"./{folder}"  # pip takes a bare name for a package of the index
    click.echo(f"\nNext:\n  {sys.executable} -m pip install -e {shown}")
    click.echo(f"  {_command()} tools run {name} {query!r}\n  {_command()} tools check {shown} --query {query!r}")


@tools.command()
@click.option(
    "--http", "port", type=click.IntRange(0, 65535), help="Serve on this port of 127.0.0.1; 0 takes a free one."
)
@click.option("--only", multiple=True, help="Offer this tool alone; may be repeated.")
@CORPUS
@CONFIG
@JSON
def serve(port: int | None, only: tuple[str, ...], corpus: str, config: Path | None, as_json: bool) -> None:
    """Serve the tools to other programs by the Model Context Protocol (MCP).

    Without --http it speaks on standard input and output, as programs that start their MCP servers expect. With
    --http it serves streamable HTTP to programs on this machine until Ctrl-C; --json then prints the address as one
    object when it is ready.

    \b
    Examples:
      groundling tools serve                               in the configuration of an MCP client
      groundling tools serve --http 8766 --only calculator
    """
    import asyncio
    import contextlib
    import importlib.metadata

    from toolset.errors import ToolsetError
    from toolset.toolset import Toolset

    try:
        from toolset.mcp_server import serve_http, serve_stdio
    except ImportError as error:
        raise ToolsetError(
            f"serving tools needs the MCP SDK ({error}). Run: {sys.executable} -m pip install 'mcp>=2'"
        ) from None

    loaded = _load(config, corpus if not only or "retrieval" in only else None)
    toolset = loaded.toolset
    unknown = sorted(set(only) - set(toolset.names))
    if unknown:
        toolset.close()
        raise ToolsetError(f"no tool is named {unknown[0]!r}. There are: {', '.join(toolset.names)}.")
    offered = Toolset(tool for tool in toolset.tools if tool.name in only) if only else toolset
    _report_problems(loaded)
    version = importlib.metadata.version("groundling")

    def ready(address: str) -> None:
        click.echo(json.dumps({"address": address, "tools": offered.names}) if as_json else address)
        click.echo("Ctrl-C ends it.", err=True)

    try:
        if port is None:
            asyncio.run(serve_stdio(offered, version))
        else:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(serve_http(offered, port=port, version=version, on_ready=ready))
    finally:
        toolset.close()


def _command() -> str:
    """How this command is called: by its name where that is on the path, otherwise by where it lies."""
    own = Path(sys.executable).with_name("groundling")
    return "groundling" if shutil.which("groundling") == str(own) or not own.exists() else str(own)


def _load(config: Path | None, corpus: str | None = None) -> Loaded:
    """The toolset of a configuration, with retrieval over `corpus`; without one retrieval is listed, not opened."""
    from serve.tools import builtin_tools, config_path, configurable, load_tools
    from toolset.config import read_config
    from toolset.errors import ToolConfigError
    from toolset.plugins import load_toolset

    if config is not None and not config.exists():
        raise ToolConfigError(f"{config} does not exist. Name a file in TOML, or leave --config out.")
    if corpus is not None:
        return load_tools(config, corpus=corpus)
    settings = read_config(config or config_path())
    builtin = [*builtin_tools("none", settings), _unopened_retrieval()]
    return load_toolset(settings, builtin, known=configurable(settings))


def _unopened_retrieval() -> Tool:
    """Holds retrieval's place where nobody asks it: opening a corpus can mean to build it first."""
    from serve.tools import corpus_status
    from toolset.retrieval import Retrieval
    from toolset.tool import tool

    @tool(
        name=Retrieval.name,
        description=Retrieval.description,
        timeout=Retrieval.timeout,
        needs=Retrieval.needs,
        open_domain=Retrieval.open_domain,
    )
    def unopened(query: str) -> None:
        raise RuntimeError("the corpus was not opened")

    unopened.status = corpus_status  # type: ignore[attr-defined]
    return unopened


def _said_by(tool: Tool, method: str, *arguments: str) -> str:
    """What a tool says of itself by `status()`, or of a query by `explain(query)`; empty where it has neither."""
    from toolset.clean import clean_text, describe_error
    from toolset.plugins import Budgeted

    said = getattr(tool.inner if isinstance(tool, Budgeted) else tool, method, None)
    if said is None:
        return ""
    try:
        return clean_text(str(said(*arguments))).strip()
    except Exception as error:  # a plugin's own fault is shown and hides nothing else
        return f"{method} failed: {describe_error(error)}"


def _report_problems(loaded: Loaded) -> None:
    for problem in loaded.problems:
        click.echo(f"not loaded: {problem}", err=True)
