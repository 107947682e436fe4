"""A circuit breaker for one tool: after failures in a row the tool is rested, then tried again.

Boundary: it counts and keeps time, and knows nothing of tools or threads. All methods may be called from any
thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Rests a tool for `rest` seconds after `after` failures in a row; each failed trial doubles the rest.

    Once a rest is over, one call goes through as a trial, while others are still refused: its success makes the
    tool whole again. `clock` gives seconds and never runs backwards.
    """

    def __init__(
        self,
        *,
        after: int = 3,
        rest: float = 30.0,
        longest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._after, self._first_rest, self._longest, self._clock = after, rest, longest, clock
        self._lock = threading.Lock()
        self._failures = 0  # in a row
        self._rest = rest  # length of the next rest, seconds
        self._until: float | None = None  # None: not resting
        self._trial = False  # the call that tests a rested tool is under way

    def refusal(self) -> str | None:
        """None where a call may go ahead (and must then be reported), otherwise why it may not."""
        with self._lock:
            if self._until is None:
                return None
            left = self._until - self._clock()
            if left <= 0 and not self._trial:
                self._trial = True
                return None
            when = f"for another {left:.0f} s" if left > 0 else "until the call that tries it again returns"
            # No word of the last error: it may hold a query of somebody else's.
            return f"resting {when} after {self._failures} failures in a row"

    @property
    def resting(self) -> bool:
        """Whether the tool is rested at this moment."""
        with self._lock:
            return self._until is not None and self._until > self._clock()

    def succeeded(self) -> None:
        """A call worked."""
        with self._lock:
            self._failures, self._until, self._trial, self._rest = 0, None, False, self._first_rest

    def failed(self) -> bool:
        """A call failed. Whether the tool is rested because of it."""
        with self._lock:
            self._failures += 1
            rested = self._trial or (self._until is None and self._failures >= self._after)
            if rested:
                self._until = self._clock() + self._rest
                self._rest = min(self._rest * 2, self._longest)
                self._trial = False
            return rested

    def withdrawn(self) -> None:
        """A call was cancelled by its caller, which says nothing about the tool."""
        with self._lock:
            self._trial = False
