"""A plugin in a process of its own, for `process = true`: what threads cannot stop, ending a process can.

The plugin is imported in the child alone. A call that takes longer than its budget ends the child, whatever its code
does: a pattern that backtracks without end, an enormous power, a crash of C code. The child is then started anew.
The two sides exchange lines of JSON; what the plugin prints goes to standard error.
Boundary: `plugins` decides which plugins run like this. It bounds time, not memory or rights: the child may do what
its user may.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import itertools
import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict

from toolset.clean import describe_error
from toolset.errors import PluginError, ToolsetError
from toolset.isolation import SECONDS, LoopThread
from toolset.tool import Need, Result, Tool, as_results
from toolset.toolset import Toolset

START_SECONDS = 60.0
"""Longest import of a plugin; some load a model."""
REAP_SECONDS = 1.0
"""Longest wait for the exit code of a child whose output has ended."""
MAX_LINE = 64 * 2**20
"""Longest line of the exchange, in bytes; a tool's output budget keeps answers far below."""
_ENDLESS = 10.0**6
"""Time budget within the child, in seconds: the parent keeps the time, because it can end the child."""


class ProcessToolError(ToolsetError):
    """A tool in a process of its own failed; the message is what it reported."""


class Definition(BaseModel):
    """What the child says of one of its tools."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    timeout: float
    max_chars: int
    needs: frozenset[Need]
    open_domain: bool


class ProcessTool(Tool):
    """One tool of a plugin that runs in a child process; made by `load_in_process`."""

    def __init__(self, process: PluginProcess, definition: Definition, timeout: float | None) -> None:
        self.name, self.description = definition.name, definition.description
        self.max_chars, self.needs, self.open_domain = definition.max_chars, definition.needs, definition.open_domain
        self.timeout = definition.timeout if timeout is None else timeout
        self._process, self._closed = process, False
        process.users += 1

    async def run(self, query: str) -> list[Result]:
        return await self._process.call(self.name, query, SECONDS.get() or self.timeout)

    def close(self) -> None:
        """End the child once no other tool of the plugin uses it."""
        if not self._closed:
            self._closed = True
            self._process.users -= 1
            if self._process.users == 0:
                self._process.close()


def load_in_process(value: str, settings: Mapping[str, Any], timeout: float | None = None) -> list[Tool]:
    """The tools of the entry point `value`, each asked in one child process; `timeout` replaces their own.

    Raises PluginError where the child does not start or the plugin does not load.
    """
    process = PluginProcess(value, dict(settings))
    try:
        return [ProcessTool(process, definition, timeout) for definition in process.definitions()]
    except BaseException:
        process.close()
        raise


@dataclass(eq=False)
class _Asked:
    """A call that a child has been sent, and its reply."""

    child: asyncio.subprocess.Process
    answer: asyncio.Future[dict[str, Any]]


class PluginProcess:
    """The child process of one plugin, started when it is needed, on an event loop of its own."""

    def __init__(self, value: str, settings: dict[str, Any]) -> None:
        self._value, self._settings = value, settings
        self._thread = LoopThread(f"plugin-{value}")
        self._numbers = itertools.count(1)
        self._child: asyncio.subprocess.Process | None = None  # from here on touched on the loop alone
        self._starting: asyncio.Task[list[Definition]] | None = None
        self._asked: dict[int, _Asked] = {}  # what is not answered yet, by its number
        self._reader: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._closed = False
        self.users = 0  # tools that were made of it and are not closed

    def definitions(self) -> list[Definition]:
        """Start the child and ask for its tools. Raises PluginError."""
        outcome = self._thread.submit(self._started).future.result(START_SECONDS + 5)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def call(self, tool: str, query: str, seconds: float) -> list[Result]:
        """Ask `tool`, from any event loop; unanswered after `seconds`, the child is ended, waited for or not.

        Raises ProcessToolError, PluginError where the child does not start.
        """
        return await self._thread.ask(lambda: self._call(tool, query, seconds))

    def close(self) -> None:
        """End the child. Safe to call twice."""
        self._closed = True
        with contextlib.suppress(RuntimeError, TimeoutError):  # RuntimeError: closed before
            self._thread.submit(self._end).future.result(5)
        self._thread.stop()

    async def _call(self, tool: str, query: str, seconds: float) -> list[Result]:
        await self._started()  # it goes on where a call gives up on it: an import may take longer than a call
        child = self._child
        if child is None:
            raise ProcessToolError("its process ended before the call")
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        asked = self._asked[number] = _Asked(child, loop.create_future())
        # The call may be given up on before, by its turn, or because it first waited for the child's start. Its code
        # runs on all the same, so its time is counted from here.
        overdue = loop.call_later(seconds, self._renew, child)

        def answered(_: object) -> None:
            overdue.cancel()
            self._asked.pop(number, None)

        asked.answer.add_done_callback(answered)
        self._send({"number": number, "tool": tool, "query": query})
        await asyncio.wait({asked.answer})
        reply = asked.answer.result()
        if reply["error"]:
            raise ProcessToolError(reply["error"])
        return [Result.model_validate(result) for result in reply["results"]]

    async def _started(self) -> list[Definition]:
        """The child's tools, once it runs; callers at the same time share one start."""
        if self._starting is None or (self._starting.done() and (self._child is None or self._starting.exception())):
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> list[Definition]:
        child = self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "toolset.process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        assert child.stdout is not None
        try:
            self._send({"value": self._value, "settings": self._settings})
            line = await asyncio.wait_for(child.stdout.readline(), START_SECONDS)
            hello = json.loads(line) if line else {"error": f"its process ended with {await child.wait()}"}
        except TypeError as error:
            hello = {"error": f"its settings cannot be sent to a process ({error})"}
        except TimeoutError:
            hello = {"error": f"it was not imported within {START_SECONDS:g} s"}
        if "error" in hello:
            await self._end()
            raise PluginError(f"does not load: {hello['error']}.")
        self._reader = asyncio.create_task(self._read(child))
        return [Definition.model_validate(tool) for tool in hello["tools"]]

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        """Give each answer to who waits for it, until the child ends."""
        assert child.stdout is not None
        with contextlib.suppress(ValueError):  # a line past MAX_LINE
            while line := await child.stdout.readline():
                reply = json.loads(line)
                asked = self._asked.get(reply["number"])
                if asked is not None and not asked.answer.done():
                    asked.answer.set_result(reply)
        # A kill would reap the child first, and take its exit code from the event loop's own wait.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), REAP_SECONDS)
        await self._end(child)

    def _renew(self, child: asyncio.subprocess.Process) -> None:
        """End a child that is out of time, and start the next one now, so that no later call waits for it."""

        async def renew() -> None:
            await self._end(child)
            if not self._closed:
                with contextlib.suppress(PluginError):  # the next call tries again, and reports it
                    await self._started()

        self._renewal = asyncio.create_task(renew())

    def _send(self, message: dict[str, Any]) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message).encode() + b"\n")

    async def _end(self, child: asyncio.subprocess.Process | None = None) -> None:
        """Kill the child, and tell those who wait for it."""
        child = child or self._child
        if child is None:
            return
        if self._child is child:
            self._child = None
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        if child.stdin is not None:
            child.stdin.close()
        code = await child.wait()
        for asked in self._asked.values():
            if asked.child is child and not asked.answer.done():
                asked.answer.set_result({"error": f"its process ended during the call (exit code {code})"})


def main() -> None:
    """The child: load one plugin, then answer until the parent leaves."""
    wire_in, wire_out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the plugin neither reads requests ...
    os.dup2(2, 1)  # ... nor writes between the answers
    lock = threading.Lock()
    asked = json.loads(wire_in.readline())
    try:
        from toolset.plugins import GROUP, Budgeted, load_object

        found = importlib.metadata.EntryPoint("plugin", asked["value"], GROUP).load()
        tools = load_object(found, asked["settings"])
        toolset = Toolset([Budgeted(tool, timeout=_ENDLESS) for tool in tools], max_seconds=_ENDLESS, rest_after=10**9)
    except BaseException as error:
        message = str(error).rstrip(".") if isinstance(error, ToolsetError) else describe_error(error)
        _write(wire_out, lock, {"error": message})
        return
    definitions = [Definition.model_validate(tool, from_attributes=True) for tool in tools]
    _write(wire_out, lock, {"tools": [definition.model_dump(mode="json") for definition in definitions]})
    for line in wire_in:
        threading.Thread(target=_answer, args=(toolset, json.loads(line), wire_out, lock), daemon=True).start()
    os._exit(0)  # the parent has left; calls under way are nobody's


def _answer(toolset: Toolset, asked: dict[str, Any], wire_out: TextIO, lock: threading.Lock) -> None:
    call = toolset.run(asked["query"], only=[asked["tool"]]).calls[0]
    results = [result.model_dump() for result in as_results(call.results)]
    _write(wire_out, lock, {"number": asked["number"], "error": call.error, "results": results})


def _write(wire_out: TextIO, lock: threading.Lock, message: dict[str, Any]) -> None:
    with lock:
        wire_out.write(json.dumps(message) + "\n")
        wire_out.flush()


if __name__ == "__main__":
    main()
