"""Soak: many turns through several workers while workers are killed and clients leave.

A third of the turns go on with a conversation of their client's. What must hold: every turn that a client was given is
in the database once; every turn in the database is whole; no key made two turns; a worker's memory does not grow with
the turns it served.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from dialog.turn import Turn

REPOSITORY = Path(__file__).resolve().parents[3]


class Soak:
    """One run against the real command with the scripted decoder and SQLite."""

    def __init__(self, turns: int, *, workers: int, clients: int, kill_every: float, seed: int = 1) -> None:
        self.turns, self.workers, self.clients, self.kill_every = turns, workers, clients, kill_every
        self.random = random.Random(seed)
        self.given: dict[str, str] = {}
        """Idempotency key -> id of the turn that its client was given."""
        self.counts: Counter[str] = Counter()
        self.rss: list[float] = []

    async def run(self) -> dict[str, Any]:
        """Run it; the figures."""
        with tempfile.TemporaryDirectory(prefix="groundling-soak-") as folder:
            database = Path(folder) / "soak.db"
            process = await self._start(database, Path(folder) / "serve.log")
            try:
                started = time.perf_counter()
                await self._load(process.pid)
                seconds = time.perf_counter() - started
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
            return {**self._check(database), "turns": self.turns, "seconds": round(seconds, 1), **self.counts}

    async def _start(self, database: Path, log: Path) -> asyncio.subprocess.Process:
        with log.open("w") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "serve.cli.main", "serve", "--json", "--port", "0",
                "--workers", str(self.workers), "--log-level", "error",
                cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=errors,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "GROUNDLING_DATABASE": f"sqlite:///{database}",
                     "GROUNDLING_AGENT": "tests.serve.api.scripted:agent"},
            )  # fmt: skip
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, "the service did not start"
        shown = json.loads(line)
        self.url, self.key = shown["url"], shown["key"]
        async with httpx.AsyncClient() as client:
            for _ in range(1_200):
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return process
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError("the service did not become ready")

    async def _load(self, parent: int) -> None:
        numbers = iter(range(self.turns))

        async def client() -> None:
            async with httpx.AsyncClient(
                base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=10
            ) as http:
                conversation = await self._conversation(http)
                for number in numbers:
                    await self._one(http, number, conversation if number % 3 == 1 else None)

        killer = asyncio.create_task(self._kill(parent))
        try:
            await asyncio.gather(*(client() for _ in range(self.clients)))
        finally:
            killer.cancel()

    async def _conversation(self, http: httpx.AsyncClient) -> str:
        """A new conversation's id, asked for until it is given."""
        for _ in range(200):
            try:
                return (await http.post("/v1/conversations", json={})).json()["id"]
            except (httpx.TransportError, KeyError, ValueError):  # its worker was killed, or ends
                await asyncio.sleep(0.1)
        raise AssertionError("no conversation was made")

    async def _one(self, http: httpx.AsyncClient, number: int, conversation: str | None) -> None:
        """One turn, asked for until it is given; some clients leave first and come back with the same key."""
        key = f"soak-{number}"
        body: dict[str, Any] = {"message": f"slow 0.01 turn {number}x", "stream": number % 3 == 0}
        if conversation is not None:
            body["conversation"] = conversation
        leaves = self.random.random() < 0.15
        for attempt in range(200):
            try:
                # A client that leaves does so before, while or after the turn is committed.
                patience = self.random.uniform(0.005, 0.12) if leaves and attempt == 0 else 10.0
                async with asyncio.timeout(patience):
                    answer = await http.post("/v1/turns", json=body, headers={"Idempotency-Key": key})
            except TimeoutError:
                self.counts["clients_left"] += 1
                continue
            except httpx.TransportError:
                self.counts["connections_broken"] += 1
                await asyncio.sleep(0.1)
                continue
            turn = whole_turn(answer)
            if turn is not None:
                self.given[key] = turn["id"]
                assert f"turn {number}x" in turn["messages"][-1]["content"]
                return
            self.counts[f"status_{answer.status_code}"] += 1
            await asyncio.sleep(0.1)
        self.counts["errors"] += 1

    async def _kill(self, parent: int) -> None:
        """Kill a random worker now and then; note the memory of the one that has lived longest."""
        while True:
            await asyncio.sleep(self.kill_every)
            found = workers_of(parent)
            if len(found) == self.workers:
                os.kill(self.random.choice(found[1:] or found), signal.SIGKILL)
                self.counts["workers_killed"] += 1
            if found:
                self.rss.append(resident(found[0]))

    def _check(self, database: Path) -> dict[str, Any]:
        connection = sqlite3.connect(database)
        rows = connection.execute("SELECT id, idempotency_key, document FROM turns").fetchall()
        in_conversations = connection.execute("SELECT count(conversation_id) FROM turns").fetchone()[0]
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        connection.close()
        stored = {key.removeprefix("turn:"): turn_id for turn_id, key, _ in rows}
        broken = sum(Turn.model_validate_json(document).id != turn_id for turn_id, _, document in rows)
        lost = sum(stored.get(key) != turn_id for key, turn_id in self.given.items())
        settled = self.rss[len(self.rss) // 4 :]
        growth = round(settled[-1] - settled[0], 1) if len(settled) > 1 else 0.0
        return {
            "acknowledged": len(self.given),
            "stored": len(rows),
            "in_conversations": in_conversations,
            "lost": lost,
            "doubled": len(rows) - len({key for _, key, _ in rows}),
            "half_written": broken,
            "database_sound": sound,
            "memory_growth_mib": growth,
        }


def whole_turn(answer: httpx.Response) -> dict[str, Any] | None:
    """The turn of an answer that came whole; a stream counts from its `done`."""
    if answer.status_code != 200:
        return None
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json()
    blocks = answer.text.split("\n\n")
    found = [block.split("data: ", 1)[1] for block in blocks if block.startswith("event: turn")]
    return json.loads(found[0]) if found and "event: done" in answer.text else None


def workers_of(parent: int) -> list[int]:
    """The worker processes, oldest first."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = []
    for pid in children:
        try:
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
        except OSError:  # it was killed just now
            pass
    return sorted(found)


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
