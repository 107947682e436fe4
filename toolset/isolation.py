"""Runs one tool's calls where they can neither hang nor crash whoever asks: in daemon threads.

A sync tool runs on a small pool of worker threads, an async tool on an event loop of its own, so that an async
tool that blocks or swallows its cancellation does no more harm than a sync one. A call that is given up on is
abandoned: Python cannot stop a thread, but daemon threads do not keep the interpreter alive, and a tool with too
many abandoned calls is refused further ones until one of them returns.

Boundary: time budgets, clean-up of results and records are the toolset's; here a call is a function to run.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from toolset.errors import ToolsetError

IDLE_SECONDS = 30.0
"""How long a worker thread without work stays."""
STUCK_SECONDS = 1.0
"""An event loop that has not cancelled a call after this long is blocked; the next call gets a new loop."""


SECONDS: contextvars.ContextVar[float | None] = contextvars.ContextVar("SECONDS", default=None)
"""Time budget of the call under way, in seconds: less than the tool's own where a toolset bounds it."""


class ToolBusyError(ToolsetError):
    """Too many earlier calls of a tool were given up on and are still running."""


@dataclass
class Outcome:
    """What a call came to; errors are values here, so that no thread or loop ever sees them raised."""

    value: Any = None
    error: BaseException | None = None


@dataclass(eq=False)
class Job:
    """One call on its way; `future` always resolves to an `Outcome`, unless it is cancelled before it starts."""

    call: Callable[[], Any]
    future: Future[Outcome] = field(default_factory=Future)
    task: asyncio.Task[None] | None = None
    abandoned_at: float | None = None


@dataclass
class _Pending:
    """What a plain function returned when it was an awaitable: its second half runs on the loop."""

    awaitable: Awaitable[Any]

    async def result(self) -> Any:
        return await self.awaitable

    def discard(self) -> None:
        if inspect.iscoroutine(self.awaitable):
            self.awaitable.close()


def _outcome(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(call())
    except BaseException as error:  # SystemExit of a tool ends the tool's call, not the program
        return Outcome(error=error)


class WorkerPool:
    """At most `size` daemon threads at work; threads of abandoned jobs come on top, up to `max_abandoned`."""

    def __init__(self, name: str, size: int = 8, max_abandoned: int = 4) -> None:
        self._name, self._size, self._max_abandoned = name, size, max_abandoned
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._alive = self._idle = self._abandoned = 0
        self._closed = False

    def submit(self, call: Callable[[], Any]) -> Job:
        """Queue `call`. Raises ToolBusyError where `max_abandoned` earlier calls still run."""
        job = Job(call)
        with self._changed:
            if self._abandoned >= self._max_abandoned:
                raise ToolBusyError(_busy(self._abandoned))
            self._jobs.append(job)
            if self._idle < len(self._jobs) and self._alive - self._abandoned < self._size:
                self._alive += 1
                try:
                    threading.Thread(target=self._work, name=f"tool-{self._name}", daemon=True).start()
                except RuntimeError:  # the machine has no more threads; a later worker may still take the job
                    self._alive -= 1
            self._changed.notify()
        return job

    def abandon(self, job: Job) -> None:
        """Give up on `job`: it is taken from the queue, or its thread is left to itself."""
        with self._changed:
            if job.future.cancel() or job.future.done() or job.abandoned_at is not None:
                return
            job.abandoned_at = time.monotonic()
            self._abandoned += 1

    def close(self) -> None:
        """Let the threads end once they have nothing to do."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._jobs:
                    if self._closed or not self._changed.wait(IDLE_SECONDS):
                        if self._jobs:
                            break
                        self._idle -= 1
                        self._alive -= 1
                        return
                self._idle -= 1
                job = self._jobs.popleft()
            if not job.future.set_running_or_notify_cancel():
                continue
            outcome = _outcome(job.call)
            with self._changed:
                if job.abandoned_at is not None:
                    self._abandoned -= 1
                    if isinstance(outcome.value, _Pending):
                        outcome.value.discard()
                job.future.set_result(outcome)
            del job, outcome  # an idle thread keeps nothing alive


class LoopThread:
    """An event loop on a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> Job:
        """Run the coroutine that `start` makes. Raises RuntimeError after `stop`."""
        job = Job(start)
        context = contextvars.copy_context()

        def begin() -> None:
            if job.future.set_running_or_notify_cancel():
                job.task = self._loop.create_task(self._finish(job), context=context)

        self._loop.call_soon_threadsafe(begin)
        return job

    async def ask(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """As `submit`, and wait for the value from any event loop; cancelling the wait cancels the job.

        Raises what the coroutine raises, RuntimeError after `stop`.
        """
        job = self.submit(start)
        try:
            outcome = await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            self.abandon(job)
            raise
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def abandon(self, job: Job) -> None:
        """Cancel `job`, if it has not ended yet."""
        if job.future.cancel() or job.future.done():
            return
        job.abandoned_at = time.monotonic()

        def cancel() -> None:
            if job.task is not None:
                job.task.cancel()

        if self.alive:
            self._loop.call_soon_threadsafe(cancel)

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def stop(self, wait: float = 2.0) -> None:
        """Cancel what runs and end the thread; a loop that stays blocked is left behind after `wait` seconds."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)
            if threading.current_thread() is not self._thread:
                self._thread.join(wait)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    @staticmethod
    async def _finish(job: Job) -> None:
        try:
            outcome = Outcome(await job.call())
        except BaseException as error:  # as in `_outcome`; a cancellation ends here too
            outcome = Outcome(error=error)
        job.future.set_result(outcome)


class Isolated:
    """Calls of one tool, each on its pool or its loop, whatever kind of function the tool brings."""

    def __init__(self, name: str, max_abandoned: int = 4) -> None:
        self._name, self._max_abandoned = name, max_abandoned
        self._pool = WorkerPool(name, max_abandoned=max_abandoned)
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None
        self._abandoned: list[tuple[LoopThread, Job]] = []

    async def call(self, function: Callable[[], Any], *, seconds: float, finish: Callable[[Any], Any]) -> Outcome:
        """Call `function`, await what it returns if need be, and apply `finish` to the value, all off this thread.

        The outcome's error is TimeoutError past `seconds`. Cancelling gives the call up. Raises
        ToolBusyError where too many calls that were given up on still run.
        """
        deadline = time.monotonic() + seconds
        SECONDS.set(seconds)  # in the context of this call alone: a toolset asks each tool in a task of its own
        if not inspect.iscoroutinefunction(function):
            context = contextvars.copy_context()
            job = self._pool.submit(lambda: context.run(_first_half, function, finish))
            outcome = await self._wait(self._pool, job, deadline)
            if not isinstance(outcome.value, _Pending):
                return outcome
            function = outcome.value.result

        async def whole() -> Any:
            return finish(await function())

        loop = self._current_loop()
        return await self._wait(loop, loop.submit(whole), deadline)

    def close(self) -> None:
        """End the threads that have nothing left to do."""
        self._pool.close()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    async def _wait(self, runner: WorkerPool | LoopThread, job: Job, deadline: float) -> Outcome:
        waiter = asyncio.wrap_future(job.future)
        try:
            done, _ = await asyncio.wait({waiter}, timeout=max(0.0, deadline - time.monotonic()))
        except asyncio.CancelledError:
            self._give_up(runner, job)
            raise
        if done:
            return waiter.result()
        self._give_up(runner, job)
        waiter.cancel()
        return Outcome(error=TimeoutError())

    def _give_up(self, runner: WorkerPool | LoopThread, job: Job) -> None:
        runner.abandon(job)
        if isinstance(runner, LoopThread) and not job.future.done():
            with self._lock:
                self._abandoned.append((runner, job))

    def _current_loop(self) -> LoopThread:
        """The tool's loop; a new one where the old one is blocked. Raises ToolBusyError past the bound."""
        with self._lock:
            self._abandoned = [(loop, job) for loop, job in self._abandoned if loop.alive and not job.future.done()]
            if len(self._abandoned) >= self._max_abandoned:
                raise ToolBusyError(_busy(len(self._abandoned)))
            now = time.monotonic()
            stuck = any(
                loop is self._loop and now - (job.abandoned_at or now) > STUCK_SECONDS for loop, job in self._abandoned
            )
            if stuck and self._loop is not None:
                self._loop.stop(wait=0.0)  # it ends when whatever blocks it returns
            if stuck or self._loop is None:
                self._loop = LoopThread(f"tool-{self._name}-loop")
            return self._loop


def _busy(count: int) -> str:
    return f"{count} earlier calls were given up on and still run; it is asked again when one of them returns"


def _first_half(function: Callable[[], Any], finish: Callable[[Any], Any]) -> Any:
    value = function()
    return _Pending(value) if inspect.isawaitable(value) else finish(value)
