"""The end of the service, as a balancer and its clients see it; the real command, alone and with workers."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from .conftest import Command, Running

Start = Callable[..., Command]


def asked(command: Command, path: str, body: dict) -> tuple[threading.Thread, list[httpx.Response]]:
    """A request in a thread of its own, and what will be answered."""
    answers: list[httpx.Response] = []
    headers = {"Authorization": f"Bearer {command.key}"}

    def ask() -> None:
        answers.append(httpx.post(command.url + path, json=body, headers=headers, timeout=30))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answers


def messages(text: str) -> dict:
    return {"model": "groundling", "messages": [{"role": "user", "content": text}]}


REQUESTS = (
    ("/v1/turns", {"message": "slow 60"}),
    ("/v1/turns", {"message": "slow 60", "stream": True}),
    ("/v1/chat/completions", messages("slow 60")),
    ("/v1/chat/completions", {**messages("slow 60"), "stream": True}),
    ("/v1/responses", {"model": "groundling", "input": "slow 60", "stream": True}),
)


@pytest.mark.parametrize("workers", [pytest.param(1), pytest.param(2, marks=pytest.mark.slow)])
def test_a_service_that_ends_says_so_and_its_longest_turns_end_with_the_one_error(command: Start, workers: int):
    served = command("--workers", str(workers), GROUNDLING_DRAIN_SECONDS="4")
    if workers > 1:
        time.sleep(2)  # one of them answers, the other may still be loading
    running = [asked(served, path, body) for path, body in REQUESTS]
    time.sleep(1.0)
    started = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    probes: list[tuple[int, str | None]] = []
    with suppress(httpx.TransportError):
        while time.monotonic() - started < 3:
            found = httpx.get(f"{served.url}/readyz", timeout=5)
            probes.append((found.status_code, found.json()["waiting_for"]))
            time.sleep(0.05)
    assert served.process.wait(30) == 0
    assert time.monotonic() - started < 5.5
    for thread, _ in running:
        thread.join()
    assert (503, "shutdown") in probes
    turn, turn_stream, chat, chat_stream, response_stream = (answers[0] for _, answers in running)
    for whole in (turn, chat):
        assert whole.status_code == 503
        assert whole.json()["error"]["code"] == "shutting_down"
        assert int(whole.headers["retry-after"]) >= 1
    for stream in (turn_stream, chat_stream, response_stream):
        assert stream.status_code == 200
        assert '"code":"shutting_down"' in stream.text
    assert turn_stream.text.endswith("event: done\ndata: {}\n\n")
    last = response_stream.text.strip().split("\n\n")[-1]
    assert last.startswith("event: response.failed")
    assert json.loads(last.split("data: ", 1)[1])["response"]["status"] == "failed"


def test_a_second_interrupt_ends_the_notice(command: Start):
    served = command(GROUNDLING_DRAIN_SECONDS="30")
    started = time.monotonic()
    for _ in range(2):
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    with suppress(httpx.TransportError):
        while True:
            httpx.get(f"{served.url}/healthz", timeout=5)
    assert time.monotonic() - started < 0.9
    assert served.process.wait(30) == 0


async def test_work_that_came_after_the_end_of_the_drain_is_refused(service: Running):
    service.service.drain.begin(0.0)
    async with service.client() as client:
        ready = await client.get("/readyz")
        answers = [
            await client.post("/v1/turns", json={"message": "slow 5"}),
            await client.post("/v1/tools/calculator", json={"query": "2 + 3"}),
            await client.post("/v1/moderations", json={"input": "fine"}),
        ]
    assert ready.json() == {"status": "not ready", "waiting_for": "shutdown"}
    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.json()["error"]["code"] for answer in answers} == {"shutting_down"}
    assert service.service.admission.running == service.service.admission.waiting == 0
