"""Several worker processes: their metrics are one, and a failure of theirs is the command's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .conftest import REPOSITORY, Command

Start = Callable[..., Command]


def gauge(served: Command, name: str) -> int:
    """One scrape, by whichever worker takes the connection."""
    text = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {served.key}"}, timeout=30).text
    return int(float(text.split(f"\n{name} ", 1)[1].split("\n", 1)[0]))


def within(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not true in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_every_scrape_counts_all_workers_turns_and_none_of_a_dead_ones(command: Start):
    served = command("--workers", "2")

    def ask() -> None:
        body, headers = {"message": "slow 90"}, {"Authorization": f"Bearer {served.key}"}
        try:
            while httpx.post(f"{served.url}/v1/turns", json=body, headers=headers, timeout=120).status_code == 503:
                time.sleep(0.1)  # the other worker is ready, this one is not yet
        except httpx.TransportError:
            assert killed  # its worker was

    killed: list[int] = []
    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    within(60, lambda: gauge(served, "groundling_turns_running") == 6)
    assert {gauge(served, "groundling_turns_running") for _ in range(8)} == {6}
    killed += served.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    within(60, lambda: len(set(served.workers()) - set(killed)) == 2)
    for thread in asking:
        thread.join()
    within(60, lambda: httpx.get(f"{served.url}/readyz", timeout=30).status_code == 200)
    assert {gauge(served, "groundling_turns_running") for _ in range(4)} == {0}
    assert served.log.read_text().count("a worker is gone") == 2
    assert served.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "says"),
    [
        ("nowhere:agent", "setting agent 'nowhere:agent'"),
        ("tests.serve.api.test_workers:broken", "the agent cannot be loaded: nothing works today"),
    ],
)
def test_workers_that_cannot_start_fail_the_command(tmp_path: Path, agent: str, says: str):
    arguments = ["--workers", "2", "--port", "0", "--database", f"sqlite:///{tmp_path / 's.db'}", "--agent", agent]
    ended = subprocess.run(
        [sys.executable, "-m", "serve.cli.main", "serve", *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert says in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("groundling: no worker can start.")


def broken(settings: object) -> None:
    """An agent that cannot be made."""
    raise ValueError("nothing works today")
