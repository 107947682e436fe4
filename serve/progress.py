"""Progress of long work, on standard error: a bar on a terminal, a line elsewhere.

Standard output belongs to answers and `--json`, so nothing here ever writes to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft


@contextmanager
def progress(what: str, total: float | None = None, *, bytes_: bool = False) -> Iterator[Callable[[float], None]]:
    """Show progress of `what`; yields a function that takes how much is done so far (not the step).

    `total` None shows a spinner. Without a terminal one line says what begins.
    """
    if not sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)
        yield lambda done: None
        return
    amount = [DownloadColumn()] if bytes_ else [MofNCompleteColumn()] if total else []
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *([BarColumn(), *amount, TimeLeft()] if total else []),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def progress_of_counts(what: str) -> Iterator[Callable[[int, int], None]]:
    """Like `progress`, for work that says its total as it goes: yields a function of (done, total)."""
    shown = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    task = shown.add_task(what, total=None, visible=False)
    said = False

    def done(count: int, total: int) -> None:
        nonlocal said
        if not sys.stderr.isatty() and not said:
            print(what, file=sys.stderr, flush=True)
        said = True
        shown.update(task, completed=count, total=total, visible=True)

    with shown:
        yield done
