"""POST /v1/chat/completions through the official OpenAI client and LangChain's."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from .conftest import Running, eventually, ready

VISTULA = [{"role": "user", "content": "Where does the Vistula flow?"}]


async def test_a_completion_has_openais_shape(service: Running):
    async with service.openai() as client:
        made = await client.chat.completions.create(
            model="groundling", messages=[{"role": "user", "content": "hello"}], seed=3
        )
    assert made.id.startswith("chatcmpl-")
    assert made.choices[0].message.role == "assistant"
    assert made.choices[0].message.content == "You said: hello"
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens
    assert made.system_fingerprint is not None


async def test_citations_become_url_citations_whose_range_is_the_marker(service: Running):
    async with service.openai() as client:
        made = await client.chat.completions.create(model="groundling", messages=VISTULA)
    message = made.choices[0].message
    assert message.annotations
    assert message.content
    [annotation] = message.annotations
    cited = annotation.url_citation
    assert message.content[cited.start_index : cited.end_index] == "[1]"
    assert cited.url == "https://example.org/vistula?a=1&b=2"
    assert cited.title == "Vistula"


async def test_what_the_filter_blocks_ends_with_content_filter(service: Running):
    async with service.openai() as client:
        made = await client.chat.completions.create(
            model="groundling", messages=[{"role": "user", "content": "unsafe things"}]
        )
    assert made.choices[0].finish_reason == "content_filter"
    assert "UNSAFE" not in (made.choices[0].message.content or "")


async def test_a_stream_gives_the_same_reply_as_the_completion(service: Running):
    async with service.openai() as client:
        whole = await client.chat.completions.create(model="groundling", messages=VISTULA, seed=1)
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="groundling", messages=VISTULA, seed=1, stream=True, stream_options={"include_usage": True}
            )
        ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


async def test_until_the_reply_is_released_a_stream_carries_progress_only(service: Running):
    body = {"model": "groundling", "stream": True, "messages": [{"role": "user", "content": "slow 0.5"}]}
    async with service.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines() if line]
    first_data = next(i for i, line in enumerate(lines) if line.startswith("data:"))
    assert [line.split()[1] for line in lines[:first_data]] == ["sampling", "scoring", "researching", "checking"]
    assert lines[-1] == "data: [DONE]"


async def test_n_choices_are_n_turns(service: Running):
    async with service.openai() as client:
        made = await client.chat.completions.create(
            model="groundling", messages=[{"role": "user", "content": "hello"}], n=3, seed=5
        )
        streamed = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="groundling", messages=[{"role": "user", "content": "hello"}], n=3, seed=5, stream=True
            )
        ]
    assert [choice.index for choice in made.choices] == [0, 1, 2]
    ids = {choice.model_extra["groundling"]["turn_id"] for choice in made.choices}  # type: ignore[index]
    assert len(ids) == 3
    for choice in made.choices:
        text = "".join(c.choices[0].delta.content or "" for c in streamed if c.choices[0].index == choice.index)
        assert text == choice.message.content


async def test_stop_and_max_tokens_shorten_the_reply(service: Running):
    async with service.openai() as client:
        ask = {"model": "groundling", "messages": [{"role": "user", "content": "say one two. three four"}]}
        stopped = await client.chat.completions.create(**ask, stop=[" three"])
        short = await client.chat.completions.create(**ask, max_tokens=7)
    assert stopped.choices[0].message.content == "one two."
    assert stopped.choices[0].finish_reason == "stop"
    assert short.choices[0].message.content == "one two"
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 7


async def test_a_role_is_a_model(service: Running):
    async with service.openai() as client:
        names = [model.id async for model in client.models.list()]
        assert {"groundling", "groundling:everest", "scripted/bytes"} <= set(names)
        made = await client.chat.completions.create(
            model="groundling:everest", messages=[{"role": "user", "content": "hi"}]
        )
        one = await client.models.retrieve("groundling:everest")
    assert made.model == one.id == "groundling:everest"


async def test_tools_of_the_caller_choose_among_ours_and_are_never_called(service: Running):
    def named(name: str) -> dict:
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}

    async with service.openai() as client:
        ask = {"model": "groundling", "messages": [{"role": "user", "content": "What is 2 + 3?"}]}
        with_ours = await client.chat.completions.create(**ask, tools=[named("calculator")])
        without = await client.chat.completions.create(**ask, tool_choice="none", tools=[named("calculator")])
        foreign = await client.chat.completions.create(**ask, tools=[named("book_flight")])
        with pytest.raises(openai.BadRequestError, match="tool_choice"):
            await client.chat.completions.create(**ask, tools=[named("calculator")], tool_choice="required")
    assert with_ours.choices[0].message.content == "2 + 3 = 5 [1]"
    assert "5" not in (without.choices[0].message.content or "")
    assert foreign.choices[0].message.tool_calls is None
    assert "book_flight" in foreign.choices[0].model_extra["groundling"]["notes"][0]  # type: ignore[index]


CANNOT_BE_USED = [
    ({"temperature": -1}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"seed": -1}, "seed"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"logprobs": True}, "logprobs"),
    ({"presence_penalty": 1}, "presence_penalty"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "assistant", "content": "hi"}]}, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages.0.content"),
    ({"messages": [{"role": "tool", "content": "7", "tool_call_id": "x"}]}, "messages[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        "messages[0].content[0]",
    ),
]


async def test_a_parameter_that_cannot_be_used_is_named(service: Running):
    async with service.openai() as client:
        for changes, param in CANNOT_BE_USED:
            ask = {"model": "groundling", "messages": [{"role": "user", "content": "hi"}], **changes}
            with pytest.raises(openai.BadRequestError) as caught:
                await client.chat.completions.create(**ask)
            assert caught.value.param == param, changes
            assert caught.value.type == "invalid_request_error"


async def test_nan_is_refused(service: Running):
    body = '{"model": "groundling", "temperature": NaN, "messages": [{"role": "user", "content": "hi"}]}'
    async with service.client() as client:
        response = await client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "temperature"


async def test_an_unknown_model_is_404(service: Running):
    async with service.openai() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "model_not_found"


async def test_parts_system_and_developer_messages_are_taken(service: Running):
    async with service.openai() as client:
        made = await client.chat.completions.create(
            model="groundling",
            messages=[
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": [{"type": "text", "text": "say "}, {"type": "text", "text": "yes"}]},
            ],
        )
    assert made.choices[0].message.content == "yes"


async def test_an_engine_that_is_down_is_503_and_recovers(service: Running):
    ask = {"model": "groundling", "messages": [{"role": "user", "content": "hello"}]}
    service.agent.decoder.down = True  # type: ignore[attr-defined]
    async with service.openai() as client, service.client("") as plain:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(**ask)
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "5"
        with pytest.raises(openai.InternalServerError):  # a stream that fails before it begins fails with a status
            await client.chat.completions.create(**ask, stream=True)
        assert (await plain.get("/readyz")).json() == {"status": "not ready", "waiting_for": "engine"}
        service.agent.decoder.down = False  # type: ignore[attr-defined]
        assert (await client.chat.completions.create(**ask)).choices[0].message.content
        await eventually(lambda: ready(plain))


async def test_a_failure_in_mid_stream_is_an_error_event(service: Running, monkeypatch: pytest.MonkeyPatch):
    decoder = service.agent.decoder

    async def score(*given):
        await asyncio.sleep(0.4)
        raise ValueError("a secret of the inside")

    monkeypatch.setattr(decoder, "score", score)
    async with service.openai() as client:
        with pytest.raises(openai.APIError, match="on our side") as caught:
            async for _ in await client.chat.completions.create(
                model="groundling", messages=[{"role": "user", "content": "hi"}], stream=True
            ):
                pass
    assert caught.value.code == "internal_error"
    assert "secret" not in str(caught.value.body)


async def test_langchains_client_works(service: Running):
    model = ChatOpenAI(base_url=f"{service.url}/v1", api_key=service.key, model="groundling", max_retries=0)  # type: ignore[arg-type]
    whole = await model.ainvoke("Where does the Vistula flow?")
    parts = [part async for part in model.astream("Where does the Vistula flow?")]
    assert "[1]" in str(whole.content)
    assert "".join(str(part.content) for part in parts) == whole.content
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 0


async def test_the_openai_client_can_be_sync(service: Running):
    def ask() -> str | None:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
            made = client.chat.completions.create(model="groundling", messages=[{"role": "user", "content": "say hi"}])
            return made.choices[0].message.content

    assert await asyncio.to_thread(ask) == "hi"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_the_work_in_the_engine(service: Running, stream: bool):
    decoder = service.agent.decoder
    body = {"model": "groundling", "stream": stream, "messages": [{"role": "user", "content": "slow 30"}]}
    async with service.client() as client:
        with pytest.raises(httpx.TimeoutException):
            await client.post("/v1/chat/completions", json=body, timeout=0.6)
    await eventually(lambda: decoder.cancelled)  # type: ignore[attr-defined]
    await eventually(lambda: service.service.admission.running == 0)
