"""Plugins in processes of their own: what no thread can stop is stopped, and the next call works again."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from toolset import PluginError, Result, Source, ToolCall, Toolset
from toolset.config import ToolsConfig
from toolset.plugins import Budgeted, load_toolset
from toolset.process import load_in_process

PLUGIN = """
    import asyncio, os, re, sys, time
    from toolset import Result, Source, Tool, tool

    print("noise while it is imported")

    @tool(timeout=1.0, max_chars=50)
    def demo(query: str):
        "Does what it is told."
        print("noise")
        match query.split():
            case ["say", word]:
                return Result(text=word, source=Source(title="T", id="7"))
            case ["backtrack"]:
                return str(re.fullmatch(r"(a+)+b", "a" * 60))   # holds the interpreter's lock for years
            case ["power"]:
                return str(9 ** 9 ** 9)[:10]
            case ["crash"]:
                os._exit(11)
            case ["raise"]:
                raise ValueError("bad query")
            case ["read"]:
                return repr(sys.stdin.read())
            case ["long"]:
                return "x" * 1000
            case ["pid"]:
                return str(os.getpid())

    class Settable(Tool):
        name, description = "settable", "Says its setting."

        def __init__(self, word="default"):
            self.word = word

        async def run(self, query):
            await asyncio.sleep(0)
            return self.word

    both = [demo, Settable()]
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "process_demo.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def toolset():
    # Never rested: on a busy machine the child's start may take longer than several calls.
    with Toolset(load_in_process("process_demo:demo", {}), rest_after=1_000) as made:
        yield made


def ask(toolset: Toolset, query: str) -> ToolCall:
    return toolset.run(query).calls[0]


def test_a_plugin_in_a_process_answers_as_one_that_is_not(toolset: Toolset):
    call = ask(toolset, "say hello")
    assert (call.tool, call.error) == ("demo", None)
    assert call.results == (Result(text="hello", source=Source(title="T", id="7")),)
    assert ask(toolset, "other").results == ()
    assert ask(toolset, "raise").error == "ProcessToolError: ValueError: bad query"
    assert ask(toolset, "read").results[0].text == "''"
    assert ask(toolset, "long").results[0].text == "x" * 46 + " […]"
    assert "process_demo" not in sys.modules
    assert int(ask(toolset, "pid").results[0].text) != os.getpid()


@pytest.mark.parametrize("query", ["backtrack", "power"])
def test_what_no_thread_can_stop_is_stopped_while_others_go_on(toolset: Toolset, query: str):
    before = ask(toolset, "pid").results[0].text
    ticks = []
    watching = threading.Event()

    def tick() -> None:
        while not watching.wait(0.02):
            ticks.append(time.monotonic())

    watcher = threading.Thread(target=tick)
    watcher.start()
    started = time.perf_counter()
    call = ask(toolset, query)
    took = time.perf_counter() - started
    watching.set()
    watcher.join()
    assert call.error == "no answer within 1 s"
    assert took < 10
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 0.9  # this interpreter was not held up
    again = wait_for(toolset, "pid")
    assert again != before


def wait_for(toolset: Toolset, query: str) -> str:
    """The answer, once the child has started anew: its import may take longer than a call on a busy machine."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        call = ask(toolset, query)
        if call.results:
            return call.results[0].text
        time.sleep(0.1)
    raise AssertionError(call.error)


def ends(pid: str) -> bool:
    """Whether the process ends within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("wrapped", [True, False], ids=["a tool's own table", "the toolset's bound"])
def test_the_budget_that_holds_ends_the_child_not_the_tools_own(wrapped: bool):
    (made,) = load_in_process("process_demo:demo", {}, timeout=60.0)
    toolset = (
        Toolset([Budgeted(made, timeout=1.0)], rest_after=1_000)
        if wrapped
        else Toolset([made], max_seconds=1.0, rest_after=1_000)
    )
    with toolset:
        pid = ask(toolset, "pid").results[0].text
        assert ask(toolset, "backtrack").error == "no answer within 1 s"
        assert ends(pid)
        assert wait_for(toolset, "pid") != pid


def test_a_call_that_a_turn_gave_up_on_ends_its_child_once_its_budget_is_over():
    (made,) = load_in_process("process_demo:demo", {}, timeout=1.0)

    async def give_up_early() -> None:
        asking = asyncio.create_task(toolset.arun("backtrack"))
        await asyncio.sleep(0.3)
        asking.cancel()
        await asyncio.wait({asking})

    with Toolset([made], rest_after=1_000) as toolset:
        pid = ask(toolset, "pid").results[0].text
        asyncio.run(give_up_early())
        assert ends(pid)
        assert wait_for(toolset, "pid") != pid


def test_a_crash_is_a_recorded_error(toolset: Toolset):
    before = ask(toolset, "pid").results[0].text
    assert ask(toolset, "crash").error == "ProcessToolError: its process ended during the call (exit code 11)"
    assert wait_for(toolset, "pid") != before


def test_closing_ends_the_child():
    toolset = Toolset(load_in_process("process_demo:demo", {}))
    pid = int(ask(toolset, "pid").results[0].text)
    toolset.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_child_lives_while_one_of_its_tools_is_used():
    first, second = load_in_process("process_demo:both", {})
    first.close()
    first.close()
    with Toolset([second]) as toolset:
        assert ask(toolset, "q").results[0].text == "default"


def test_settings_and_budgets_reach_it():
    (made,) = load_in_process("process_demo:Settable", {"word": "set"}, timeout=7.5)
    with Toolset([made]) as toolset:
        assert (made.timeout, ask(toolset, "q").results[0].text) == (7.5, "set")


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        ("no_such_module_x:x", {}, "does not load: ModuleNotFoundError: No module named 'no_such_module_x'."),
        ("process_demo:missing", {}, "does not load: AttributeError: "),
        ("process_demo:demo", {"a": 1}, "does not load: takes no settings, got a. Remove them, or offer a class."),
        ("process_demo:demo", {"a": object()}, "does not load: its settings cannot be sent to a process ("),
        ("os:abort", {}, "does not load: its process ended with -6."),
    ],
)
def test_a_plugin_that_does_not_load_says_why(value: str, settings: dict, message: str):
    with pytest.raises(PluginError) as raised:
        load_in_process(value, settings)
    assert str(raised.value).startswith(message)


def test_the_configuration_asks_for_it(tmp_path: Path):
    info = tmp_path / "process_demo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: process-demo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[groundling.tools]\ndemo = process_demo:demo\n")
    loaded = load_toolset(ToolsConfig.model_validate({"tools": {"demo": {"process": True, "timeout": 20.0}}}))
    with loaded.toolset as toolset:
        assert loaded.problems == ()
        assert ask(toolset, "say hi").results[0].text == "hi"
        assert toolset.tools[0].timeout == 20.0
    assert "process_demo" not in sys.modules
