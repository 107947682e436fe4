"""POST /v1/turns: the whole turn, streaming, stored conversations' turns, admission, deadlines, idempotency."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from serve.settings import Settings

from .conftest import Running, eventually, running


def events(text: str) -> list[tuple[str, dict]]:
    """A stream's events: name and data."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("event", ""), json.loads(lines["data"])))
    return found


async def test_a_turn_is_whole_and_can_be_read_again(service: Running):
    async with service.client() as client:
        made = await client.post("/v1/turns", json={"message": "Where does the Vistula flow?", "seed": 4})
        again = await client.get(f"/v1/turns/{made.json()['id']}")
    turn = made.json()
    assert list(turn)[:8] == [
        "reply", "citations", "finish_reason", "grounded", "candidates", "tool_calls", "timings", "usage"
    ]  # fmt: skip
    assert turn["citations"][0]["title"] == "Vistula"
    assert {call["tool"] for call in turn["tool_calls"]} == {"calculator", "retrieval", "broken"}
    assert turn["candidates"][0]["scores"]["safe"] > 0.9
    assert again.json() == turn


async def test_a_stream_has_progress_then_the_reply_then_the_turn(service: Running):
    body = {"message": "Where does the Vistula flow?", "stream": True}
    async with service.client() as client:
        found = events((await client.post("/v1/turns", json=body)).text)
    names = [name for name, _ in found]
    assert names.index("delta") > max(i for i, name in enumerate(names) if name == "progress")
    assert {"stage": "researching", "detail": "Where does the Vistula flow?"} in [data for _, data in found]
    turn = next(data for name, data in found if name == "turn")
    assert "".join(data["text"] for name, data in found if name == "delta") == turn["reply"]
    assert names[-1] == "done"


async def test_text_cannot_end_an_event(service: Running):
    text = "a\n\nevent: turn\ndata: {}\r\n\r\nb\u2028c"
    async with service.client() as client:
        found = events((await client.post("/v1/turns", json={"message": f"say {text}", "stream": True})).text)
    assert [name for name, _ in found].count("turn") == 1
    assert next(data for name, data in found if name == "turn")["reply"] == text.replace("\r\n", "\n")


async def test_no_line_of_an_event_is_broken_where_some_clients_see_a_line_break(service: Running):
    text = "a\u2028b\u2029c\x85d"  # str.splitlines takes each for one
    chat = {"model": "groundling", "messages": [{"role": "user", "content": f"say {text}"}], "stream": True}
    async with service.client() as client:
        for path, body in (
            ("/v1/turns", {"message": f"say {text}", "stream": True}),
            ("/v1/chat/completions", chat),
            ("/v1/responses", {"input": f"say {text}", "stream": True}),
        ):
            answer = (await client.post(path, json=body)).text
            assert answer.splitlines() == answer.split("\n")[:-1]
            assert "a\\u2028b\\u2029c" in answer


@pytest.mark.parametrize("changes", [{}, {"candidates": 20}])
async def test_a_request_may_ask_for_as_many_candidates_as_the_operator_lets_it(
    settings_for: Callable[..., Settings], changes: dict[str, int]
):  # fmt: skip
    most = changes.get("candidates", 6)
    async with running(settings_for(max_candidates=6, **changes)) as service, service.client() as client:
        made = await client.post("/v1/turns", json={"message": "hello", "candidates": most})
        refused = await client.post("/v1/turns", json={"message": "hello", "candidates": most + 1})
        base = [candidate for candidate in made.json()["candidates"] if candidate["phase"] == "base"]
    assert len(base) == most
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "candidates"
    assert f"at most {most}" in refused.json()["error"]["message"]


async def test_a_request_cannot_ask_for_longer_candidates_than_the_operator_lets_it(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    async with running(settings_for(max_output_tokens=80)) as service, service.client() as client:
        asked: list[int] = []
        generate = service.agent.decoder.generate

        async def note(prompt_ids, sampling):
            asked.append(sampling.max_tokens)
            return await generate(prompt_ids, sampling)

        monkeypatch.setattr(service.agent.decoder, "generate", note)
        for tokens in (30, 70, 5000):
            await client.post("/v1/turns", json={"message": "say something", "max_tokens": tokens})
    assert asked[0:] == [30, 70, 80]


async def test_more_turns_than_fit_are_refused_with_retry_after(settings_for: Callable[..., Settings]):
    async with running(settings_for(max_running=2, max_queue=3)) as service, service.client() as client:

        async def ask() -> httpx.Response:
            return await client.post("/v1/turns", json={"message": "slow 2.0"})

        admission = service.service.admission
        taken = [asyncio.create_task(ask()) for _ in range(5)]
        await eventually(lambda: (admission.running, admission.waiting) == (2, 3))
        answers = await asyncio.gather(*(ask() for _ in range(4)))
        assert [(await answer).status_code for answer in taken] == [200] * 5
    assert [answer.status_code for answer in answers] == [429] * 4
    refused = answers[0]
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "queue_full"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_no_turn_could_answer_is_refused_at_once_though_all_slots_are_taken(
    settings_for: Callable[..., Settings], stream: bool
):
    user, agent = ({"role": role, "content": "x"} for role in ("user", "assistant"))
    asks = [
        ("/v1/turns", {"message": " "}, "the message is empty"),
        ("/v1/turns", {"message": "x", "messages": [user] * 5}, "there are 6 messages, at most 5"),
        ("/v1/turns", {"message": "x" * 100_001}, "100,001 characters"),
        ("/v1/chat/completions", {"model": "groundling", "messages": [agent]}, "must be the user"),
        ("/v1/responses", {"model": "groundling", "input": " "}, "the message is empty"),
    ]
    async with running(settings_for(max_running=1, max_queue=1, max_messages=5)) as service, service.client() as client:
        taken = [asyncio.create_task(client.post("/v1/turns", json={"message": "slow 60"})) for _ in range(2)]
        await eventually(lambda: service.service.admission.waiting == 1)
        for path, body, says in asks:
            answer = await client.post(path, json={**body, "stream": stream}, timeout=5)
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["param"] == "messages"
            assert says in answer.json()["error"]["message"]
        for task in taken:
            task.cancel()


async def test_more_turns_than_ever_fit_are_refused_for_good(settings_for: Callable[..., Settings]):
    body = {"model": "groundling", "messages": [{"role": "user", "content": "hi"}], "n": 4}
    async with running(settings_for(max_running=2, max_queue=1)) as service, service.client() as client:
        refused = await client.post("/v1/chat/completions", json=body)
        taken = await client.post("/v1/chat/completions", json={**body, "n": 3})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "n"
    assert taken.status_code == 200


async def test_a_turn_that_takes_too_long_is_given_up(settings_for: Callable[..., Settings]):
    async with running(settings_for(deadline_seconds=0.4)) as service, service.client() as client:
        answer = await client.post("/v1/turns", json={"message": "slow 30"})
        streamed = events((await client.post("/v1/turns", json={"message": "slow 30", "stream": True})).text)
        assert service.agent.decoder.cancelled == 2  # type: ignore[attr-defined]
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert answer.headers["x-should-retry"] == "false"  # or OpenAI's clients make the same long turn again
    assert [name for name, _ in streamed] == ["progress", "error", "done"]


async def test_while_the_agent_loads_requests_are_told_to_wait(settings_for: Callable[..., Settings]):
    async with running(settings_for()) as service, service.client() as client:
        slot = service.service.slot
        slot._agent, kept = None, slot._agent
        answer = await client.post("/v1/turns", json={"message": "hello"})
        ready = await client.get("/readyz")
        alive = await client.get("/healthz")
        slot._agent = kept
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_starting"
    assert answer.headers["retry-after"]
    assert ready.json()["waiting_for"] == "engine"
    assert alive.json() == {"status": "ok"}


async def test_the_same_idempotency_key_gives_the_same_turn_once(service: Running):
    async with service.client() as client:

        async def ask(key: str) -> str:
            headers = {"Idempotency-Key": key}
            answer = await client.post("/v1/turns", json={"message": "hello"}, headers=headers)
            return answer.json()["id"]

        together = await asyncio.gather(*(ask("first") for _ in range(8)))
        later, other = await ask("first"), await ask("second")
    assert len({*together, later}) == 1
    assert other != later


async def test_tools_can_be_chosen_and_a_failing_one_is_recorded(service: Running):
    async with service.client() as client:
        only = await client.post("/v1/turns", json={"message": "2 + 3", "tools": ["calculator"]})
        unknown = await client.post("/v1/turns", json={"message": "2 + 3", "tools": ["abacus"]})
        broken = await client.post("/v1/turns", json={"message": "say broken"})
    assert [call["tool"] for call in only.json()["tool_calls"]] == ["calculator"]
    assert unknown.json()["error"]["code"] == "unknown_tool"
    assert any(call["error"] for call in broken.json()["tool_calls"])
    assert broken.status_code == 200


async def test_a_role_is_a_name_and_never_a_path(service: Running):
    async with service.client() as client:
        taken = await client.post("/v1/turns", json={"message": "hello", "role": "everest"})
        path = await client.post("/v1/turns", json={"message": "hello", "role": "/etc/passwd"})
        roles = await client.get("/v1/roles")
    assert taken.json()["role"] == "everest"
    assert path.status_code == 400
    assert path.json()["error"]["code"] == "unknown_role"
    assert "everest" in [role["name"] for role in roles.json()["data"]]


async def test_a_turn_that_is_not_to_be_stored_is_not(service: Running):
    async with service.client() as client:
        made = await client.post("/v1/turns", json={"message": "hello", "store": False})
        read = await client.get(f"/v1/turns/{made.json()['id']}")
    assert made.status_code == 200
    assert read.status_code == 404


async def test_a_long_conversation_is_refused_before_any_work(service: Running):
    messages = [{"role": "user", "content": "a"}] * 10_000
    async with service.client() as client:
        answer = await client.post("/v1/turns", json={"message": "hello", "messages": messages})
        assert service.agent.decoder.started == 0  # type: ignore[attr-defined]
    assert answer.status_code == 400
    assert "10,001 messages" in answer.json()["error"]["message"]


async def test_a_prompt_longer_than_the_context_is_400_in_a_stream_too(service: Running):
    async with service.client() as client:
        for stream in (False, True):
            answer = await client.post("/v1/turns", json={"message": "a" * 30_000, "stream": stream})
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "context_length_exceeded"


async def test_a_waiting_client_that_leaves_frees_its_place(settings_for: Callable[..., Settings]):
    async with running(settings_for(max_running=1, max_queue=1)) as service, service.client() as client:
        first = asyncio.create_task(client.post("/v1/turns", json={"message": "slow 1.0"}))
        await eventually(lambda: service.service.admission.running == 1)
        second = asyncio.create_task(client.post("/v1/turns", json={"message": "hello"}))
        await eventually(lambda: service.service.admission.waiting == 1)
        second.cancel()
        await eventually(lambda: service.service.admission.waiting == 0)
        third = await client.post("/v1/turns", json={"message": "say third"})
        assert (await first).status_code == 200
    assert third.json()["reply"] == "third"
