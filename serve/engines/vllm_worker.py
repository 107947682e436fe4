"""What runs inside vLLM's own processes: they outlive a Ctrl-C, and never the process that owns the engine.

Ctrl-C at a terminal reaches every process of its group. It stops an answer, not the engine: the process that owns the
engine aborts the request, and ends the engine's processes itself when it closes. Where it is killed it cannot, and
vLLM's core would run on for ever, so the core watches its parent. vLLM imports this module by name.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from vllm.v1.executor.abstract import Executor
from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.executor.uniproc_executor import UniProcExecutor


def ignore_interrupt() -> None:
    """Leave Ctrl-C to the process that owns the engine."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def follow_parent(every: float = 1.0, grace: float = 10.0) -> None:
    """End this process when its parent is gone: first as vLLM ends itself, after `grace` seconds at once."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os._exit(1)

    threading.Thread(target=watch, name="groundling-parent", daemon=True).start()


class OneProcess(UniProcExecutor):
    """Runs the model in the engine core's process."""

    def _init_executor(self) -> None:
        ignore_interrupt()
        follow_parent()
        super()._init_executor()


class ManyProcesses(MultiprocExecutor):
    """Runs the model in worker processes; each of them makes a `KeepsRunning`."""

    def _init_executor(self) -> None:
        ignore_interrupt()
        follow_parent()
        super()._init_executor()


class KeepsRunning:
    """Mixed into vLLM's worker class (`worker_extension_cls`), in the worker's own process."""

    def __new__(cls, *args: object, **kwargs: object) -> KeepsRunning:
        ignore_interrupt()
        return super().__new__(cls)


def keeps_running(executor: type[Executor]) -> type[Executor]:
    """The executor that vLLM chose, deaf to Ctrl-C; others (Ray's, a plug-in's) as they are."""
    return {UniProcExecutor: OneProcess, MultiprocExecutor: ManyProcesses}.get(executor, executor)
