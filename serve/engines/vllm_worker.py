"""What runs inside vLLM's own processes: they outlive a Ctrl-C.

Ctrl-C at a terminal reaches every process of its group. It stops an answer, not the engine: the process that owns the
engine aborts the request, and ends the engine's processes itself when it closes. vLLM imports this module by name.
"""

from __future__ import annotations

import signal
import threading

from vllm.v1.executor.abstract import Executor
from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.executor.uniproc_executor import UniProcExecutor


def ignore_interrupt() -> None:
    """Leave Ctrl-C to the process that owns the engine."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class OneProcess(UniProcExecutor):
    """Runs the model in the engine core's process."""

    def _init_executor(self) -> None:
        ignore_interrupt()
        super()._init_executor()


class ManyProcesses(MultiprocExecutor):
    """Runs the model in worker processes; each of them makes a `KeepsRunning`."""

    def _init_executor(self) -> None:
        ignore_interrupt()
        super()._init_executor()


class KeepsRunning:
    """Mixed into vLLM's worker class (`worker_extension_cls`), in the worker's own process."""

    def __new__(cls, *args: object, **kwargs: object) -> KeepsRunning:
        ignore_interrupt()
        return super().__new__(cls)


def keeps_running(executor: type[Executor]) -> type[Executor]:
    """The executor that vLLM chose, deaf to Ctrl-C; others (Ray's, a plug-in's) as they are."""
    return {UniProcExecutor: OneProcess, MultiprocExecutor: ManyProcesses}.get(executor, executor)
