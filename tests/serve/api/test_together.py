"""Everything beyond one process at once: two API processes, one `vllm serve` that they share, one PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from serve.api.storage import Store

# The engines' own `vllm serve`: one way to start it for all tests.
from tests.serve.engines.conftest import model_folder, served  # noqa: F401

from .conftest import Command, eventually
from .postgres import Postgres

Start = Callable[..., Command]


def client_of(command: Command) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=command.url, headers={"Authorization": f"Bearer {command.key}"}, timeout=600)


async def ask(client: httpx.AsyncClient, number: int) -> tuple[str, str | None]:
    """One turn under its own key, and its id where it was given."""
    key = f"together-{number}"
    body = {"message": f"Say something about the number {number}.", "seed": number}
    try:
        answer = await client.post("/v1/turns", json=body, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return key, None
    assert answer.status_code == 200, answer.text
    return key, answer.json()["id"]


@pytest.mark.slow
async def test_two_api_processes_share_an_engine_and_a_database(
    command: Start,
    postgres: Postgres,
    served: str,  # noqa: F811
    default_model: Path,
):
    await asyncio.to_thread(postgres.wipe)
    arguments = (
        "--engine", served, "--model", str(default_model), "--adapter", "none", "--database", postgres.url,
        "--corpus", "none", "--candidates", "2", "--max-tokens", "16", "--deadline-seconds", "600",
        "--max-running", "2",  # so that most turns are still to come when the process is killed
    )  # fmt: skip
    environment = {"GROUNDLING_AGENT": "serve.api.loading:assembled", "VLLM_API_KEY": "test-key"}
    first = await asyncio.to_thread(command, *arguments, **environment)
    second = await asyncio.to_thread(command, *arguments, **environment)
    assert second.key is None  # the first one made it, and both read it from the database
    second.key = first.key

    async with client_of(first) as one, client_of(second) as other:
        # A conversation is made at one, continued at the other, and whole at both.
        made = (await one.post("/v1/conversations", json={"title": "shared"})).json()["id"]
        turns = [
            (await client.post("/v1/turns", json={"message": message, "conversation": made})).json()
            for client, message in ((one, "My name is Ada."), (other, "What is my name?"))
        ]
        assert [turn["decoder"]["device"] for turn in turns] == ["remote", "remote"]  # not where it is
        seen = [(await client.get(f"/v1/conversations/{made}")).json() for client in (one, other)]
        assert seen[0] == seen[1]
        assert [turn["id"] for turn in seen[0]["turns"]] == [turn["id"] for turn in turns]

        # Both work at once, and one is killed in the middle of it.
        working = [asyncio.create_task(ask((one, other)[number % 2], number)) for number in range(16)]
        await eventually(lambda: sum(task.done() for task in working) >= 2, 120)
        second.process.send_signal(signal.SIGKILL)
        given = dict(await asyncio.gather(*working))
        acknowledged = {key: turn_id for key, turn_id in given.items() if turn_id is not None}
        assert any(turn_id is None for turn_id in given.values()), "the killed process had nothing left to do"

        # What was acknowledged is there; what was not is asked for again at the one that lives.
        again = dict(await asyncio.gather(*(ask(one, number) for number in range(16))))
        assert {key: again[key] for key in acknowledged} == acknowledged
        assert None not in again.values()
    store = await Store.open(postgres.url)
    try:
        read = store.database.read
        rows = await read(lambda c: c.exec_driver_sql("SELECT id, idempotency_key FROM turns").all())
    finally:
        await store.aclose()
    counts = Counter(key.removeprefix("turn:") for _, key in rows if key is not None)
    assert counts == dict.fromkeys(again, 1)
    assert {turn_id for turn_id, _ in rows} == {*again.values(), *(turn["id"] for turn in turns)}
    assert first.stop() == 0
