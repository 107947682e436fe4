"""The REST API measured on the engine behind it: what a turn costs on top of the Agent, and whether load costs tokens.

One run, one engine, one process. `overhead_ms` is, for each turn asked for over HTTP by itself, the request's wall
time less the time that the Agent's own `reply` took in it: parsing, keys, admission, the commit, the answer.
`overhead_cpu_ms` is the processor time of a turn over HTTP, client and all threads, less that of the same turn asked
of the Agent directly: unlike `overhead_ms` it does not grow where other work waits for the same processor. It is taken
with the scripted decoder only; an engine's own processor time would drown it.
`throughput_ratio` is tokens a second of 32 conversations over HTTP, against the bare decoder given the very same
`generate` and `score` calls, 32 at a time, without Agent, tools, HTTP or database.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx
import numpy as np
from numpy.typing import NDArray

from dialog.agent import Agent
from dialog.decoder import Decoder, Sample, Sampling
from dialog.messages import Message
from serve.settings import load_settings

QUESTIONS = (
    "Tell me about your day.", "What makes a good walk?", "I like tea in the evening.", "Say something kind.",
    "How should I begin a letter?", "My cat sleeps all day.", "What should I cook tonight?", "I learned to swim.",
)  # fmt: skip
CONCURRENT = (1, 8, 32)
_turn: ContextVar[list | None] = ContextVar("turn", default=None)


class Recorder:
    """A decoder that notes each turn's calls, so that they can be given to the bare decoder again."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.turns: list[list[tuple]] = []
        self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.decoder, name)

    def _calls(self) -> list[tuple]:
        calls = _turn.get()
        if calls is None:
            calls = []
            _turn.set(calls)
            self.turns.append(calls)
        return calls

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        self._calls().append((prompt_ids, sampling))
        samples = await self.decoder.generate(prompt_ids, sampling)
        self.tokens += sum(len(sample.token_ids) for sample in samples)
        return samples

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        self._calls().append((prompts_ids, label_ids))
        return await self.decoder.score(prompts_ids, label_ids)

    async def replay(self, turns: list[list[tuple]], concurrent: int) -> tuple[int, float]:
        """Give the bare decoder the calls of `turns`; its tokens and seconds."""
        tokens = 0

        async def one(calls: list[tuple]) -> None:
            nonlocal tokens
            for first, second in calls:
                if isinstance(second, Sampling):
                    samples = await self.decoder.generate(first, second)  # apart: `+=` reads `tokens` before it awaits
                    tokens += sum(len(sample.token_ids) for sample in samples)
                else:
                    await self.decoder.score(first, second)

        started = time.perf_counter()
        await at_once([lambda calls=calls: one(calls) for calls in turns], concurrent)
        return tokens, time.perf_counter() - started


async def at_once(jobs: Sequence[Callable[[], Awaitable[None]]], concurrent: int) -> None:
    """Run the jobs, `concurrent` of them at a time."""
    left = iter(jobs)

    async def worker() -> None:
        for job in left:
            await job()

    await asyncio.gather(*(worker() for _ in range(concurrent)))


async def measure(turns: int, **flags: Any) -> dict[str, Any]:
    """Run the benchmark; the figures."""
    from tests.serve.api.conftest import running

    folder = tempfile.mkdtemp(prefix="groundling-bench-")
    settings = load_settings(
        database=f"sqlite:///{folder}/bench.db", max_running=64, max_queue=64, deadline_seconds=3_600, **flags
    )
    try:
        async with running(settings) as service:
            recorder = Recorder(service.agent.decoder)
            service.agent.decoder = recorder  # type: ignore[assignment]
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(
                base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=None, limits=limits
            ) as client:
                return await _measure(client, recorder, service, turns)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(client: httpx.AsyncClient, recorder: Recorder, service: Any, turns: int) -> dict[str, Any]:
    ids: list[str] = []
    errors = 0
    scripted = service.agent.decoder.info.engine == "scripted"  # takes no time, so there is no rate to compare with
    overhead: list[float] = []

    async def ask(number: int) -> None:
        nonlocal errors
        _turn.set(None)
        body = {"message": QUESTIONS[number % len(QUESTIONS)], "seed": number}
        started = time.perf_counter()
        answer = await client.post("/v1/turns", json=body)
        seconds = time.perf_counter() - started
        if answer.status_code != 200:
            errors += 1
            return
        turn = answer.json()
        ids.append(turn["id"])
        overhead.append(seconds - turn["timings"]["total"])

    await ask(0)  # warm: the engine's first call, the connection, the database's pages
    found: dict[str, Any] = {"n": turns, "concurrent": {}}
    for concurrent in CONCURRENT:
        click.echo(f"{concurrent} at once", err=True)
        recorder.turns, recorder.tokens, overhead[:] = [], 0, []
        count = turns if concurrent == 1 else max(turns, concurrent)
        started = time.perf_counter()
        await at_once([lambda number=number: ask(number) for number in range(count)], concurrent)
        seconds = time.perf_counter() - started
        tokens, bare = await recorder.replay(list(recorder.turns), concurrent)
        api_rate, bare_rate = recorder.tokens / seconds, tokens / bare
        found["concurrent"][concurrent] = {
            "turns": count,
            "turns_per_second": round(count / seconds, 3),
            "tokens_per_second": round(api_rate, 1),
            "bare_tokens_per_second": round(bare_rate, 1),
            "throughput_ratio": None if scripted else round(api_rate / bare_rate, 3),
            "overhead_ms": round(1000 * median(overhead), 2) if concurrent == 1 and overhead else None,
        }
    if scripted:
        found["overhead_cpu_ms"] = await _cpu_overhead(ask, service.agent, turns)
    read = service.service.store.database.read
    stored = [row[0] for row in await read(lambda connection: connection.exec_driver_sql("SELECT id FROM turns").all())]
    found["lost"] = len(set(ids) - set(stored))
    found["doubled"] = len(stored) - len(set(ids))
    found["errors"] = errors
    found["overhead_ms"] = found["concurrent"][1]["overhead_ms"]
    found["throughput_ratio"] = found["concurrent"][32]["throughput_ratio"]
    info = service.agent.decoder.info
    return {**found, "engine": info.engine, "model": info.model}


async def _cpu_overhead(ask: Callable[[int], Awaitable[None]], agent: Agent, turns: int) -> float:
    """Milliseconds of processor time that a turn costs over HTTP beyond the Agent's own."""

    async def reply(number: int) -> None:
        await agent.reply([Message(role="user", content=QUESTIONS[number % len(QUESTIONS)])], seed=number)

    seconds: list[float] = []
    for one in (ask, reply):
        started = time.process_time()
        for number in range(turns):
            await one(number)
        seconds.append(time.process_time() - started)
    return round(1000 * (seconds[0] - seconds[1]) / turns, 2)


@click.command()
@click.option("--turns", default=32, show_default=True, help="Turns at each concurrency (at least as many).")
@click.option("--model", help="Model by name.")
@click.option("--engine", help="transformers, vllm, or the URL of a vLLM service.")
@click.option("--adapter", help="Adapter by name; none for the bare model.")
@click.option("--candidates", type=int, help="Candidates a turn.")
@click.option("--max-tokens", type=int, help="Longest candidate.")
@click.option("--scripted", is_flag=True, help="A decoder that takes no time: the API's own cost and rate.")
@click.option("--soak", is_flag=True, help="Instead: 2,000 scripted turns while workers die and clients leave.")
@click.option("--soak-turns", default=2_000, show_default=True, help="Turns of the soak.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(turns: int, scripted: bool, soak: bool, soak_turns: int, as_json: bool, **flags: Any) -> None:
    """The REST API: overhead a turn, throughput at 1, 8 and 32 conversations, errors; or the soak.

    \b
    Examples:
      groundling bench api --scripted
      groundling bench api --turns 32 --candidates 4 --json
      groundling bench api --turns 64 --engine http://127.0.0.1:8001 --model MODEL   (VLLM_API_KEY where it asks)
      groundling bench api --soak
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    if soak:
        from tests.serve.api.soak import Soak

        found = asyncio.run(Soak(soak_turns, workers=3, clients=16, kill_every=5.0).run())
    else:
        if scripted:
            flags["agent"] = "tests.serve.api.scripted:agent"
        found = asyncio.run(measure(turns, **flags))
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name == "concurrent":
            for concurrent, row in value.items():
                click.echo(f"  {concurrent:>2} at once  " + "  ".join(f"{k} {v}" for k, v in row.items()))
        else:
            click.echo(f"{name}: {value}")
