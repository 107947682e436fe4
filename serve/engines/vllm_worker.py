"""What vLLM's worker takes on in its own process; vLLM imports it there by name.

Ctrl-C at a terminal reaches every process of the group. It stops an answer, not the engine: the process that owns the
engine aborts the request, and ends the worker itself when it closes.
"""

from __future__ import annotations

import signal
import threading


class KeepsRunning:
    """An extension of vLLM's worker without methods of its own."""


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
