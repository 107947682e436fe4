"""POST /v1/responses and /v1/moderations through the official client."""

from __future__ import annotations

import asyncio

import openai
import pytest
from langchain_openai import ChatOpenAI

from dialog.errors import ContextLengthError

from .conftest import Running


async def test_a_response_has_text_and_flat_citations(service: Running):
    async with service.openai() as client:
        made = await client.responses.create(model="groundling", input="Where does the Vistula flow?")
        again = await client.responses.retrieve(made.id)
    assert made.status == "completed"
    assert made.output_text == "The Vistula is the longest river of Poland. [1]"
    assert made.output[0].type == "message"
    part = made.output[0].content[0]
    assert part.type == "output_text"
    [annotation] = part.annotations
    assert annotation.type == "url_citation"
    assert part.text[annotation.start_index : annotation.end_index] == "[1]"
    assert annotation.title == "Vistula"
    assert again.output_text == made.output_text
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens


async def test_events_are_typed_numbered_and_add_up(service: Running):
    async with service.openai() as client:
        events = [
            event
            async for event in await client.responses.create(
                model="groundling", input="Where does the Vistula flow?", stream=True
            )
        ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"
    ]  # fmt: skip
    assert kinds[-5:] == [
        "response.output_text.annotation.added", "response.output_text.done", "response.content_part.done",
        "response.output_item.done", "response.completed",
    ]  # fmt: skip
    final = events[-1].response  # type: ignore[union-attr]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == final.output_text
    assert events[0].response.id == final.id  # type: ignore[union-attr]


async def test_the_clients_own_accumulator_takes_the_events(service: Running):
    async with service.openai() as client, client.responses.stream(model="groundling", input="say hello you") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert final.output_text == "hello you"


async def test_what_the_filter_blocks_is_incomplete_with_a_refusal(service: Running):
    async with service.openai() as client:
        made = await client.responses.create(model="groundling", input="unsafe things")
        events = [
            event async for event in await client.responses.create(model="groundling", input="unsafe", stream=True)
        ]
    assert made.status == "incomplete"
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == "content_filter"
    assert made.output[0].content[0].type == "refusal"  # type: ignore[union-attr]
    assert events[-1].type == "response.incomplete"
    assert "response.refusal.done" in [event.type for event in events]


async def test_a_response_goes_on_from_a_previous_one(service: Running):
    async with service.openai() as client:
        first = await client.responses.create(model="groundling", input="say one", instructions="Be brief.")
        second = await client.responses.create(model="groundling", input="say two", previous_response_id=first.id)
        turn_id = second.model_extra["groundling"]["turn_id"]  # type: ignore[index]
        async with service.client() as plain:
            turn = (await plain.get(f"/v1/turns/{turn_id}")).json()
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)
    assert [m["content"] for m in turn["messages"]] == ["say one", "one", "say two"]


async def test_what_was_refused_is_a_part_of_the_conversation(service: Running):
    asked: list = [{"role": "user", "content": "unsafe things"}]
    async with service.openai() as client:
        blocked = await client.responses.create(model="groundling", input=asked)
        asked += blocked.output
        asked.append({"role": "user", "content": [{"type": "input_text", "text": text} for text in ("say", "two")]})
        made = await client.responses.create(model="groundling", input=asked)
    turn_id = made.model_extra["groundling"]["turn_id"]  # type: ignore[index]
    async with service.client() as plain:
        turn = (await plain.get(f"/v1/turns/{turn_id}")).json()
    refusal = blocked.output[0].content[0].refusal  # type: ignore[union-attr]
    assert refusal
    assert [m["content"] for m in turn["messages"]] == ["unsafe things", refusal, "say\ntwo"]


async def test_what_developers_say_leads_and_stays_while_instructions_hold_once(service: Running):
    async with service.openai() as client:
        first = await client.responses.create(
            model="groundling", instructions="Be brief.",
            input=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "say one"}],
        )  # fmt: skip
        second = await client.responses.create(
            model="groundling", previous_response_id=first.id,
            input=[{"role": "developer", "content": "Be exact."}, {"role": "user", "content": "say two"}],
        )  # fmt: skip
        third = await client.responses.create(
            model="groundling", previous_response_id=second.id, instructions="Be quick.",
            input=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "say three"}],
        )  # fmt: skip
    turn_id = third.model_extra["groundling"]["turn_id"]  # type: ignore[index]
    async with service.client() as plain:
        turn = (await plain.get(f"/v1/turns/{turn_id}")).json()
    assert [(m["role"], m["content"]) for m in turn["messages"]] == [
        ("system", "Be quick."), ("system", "Be kind."), ("system", "Be exact."),
        ("user", "say one"), ("assistant", "one"), ("user", "say two"), ("assistant", "two"), ("user", "say three"),
    ]  # fmt: skip


async def test_a_response_that_is_read_again_is_what_was_made(stored: Running):
    async with stored.openai() as client:
        first = await client.responses.create(model="groundling", input="say one")
        made = await client.responses.create(
            model="groundling:everest", input="say two", instructions="Be brief.", metadata={"a": "b"}, user="me",
            temperature=0.5, top_p=0.9, max_output_tokens=30, tool_choice="none", previous_response_id=first.id,
        )  # fmt: skip
        read = await client.responses.retrieve(made.id)
        conversation = await client.conversations.create()
        inside = await client.responses.create(model="groundling", input="say three", conversation=conversation.id)
        read_inside = await client.responses.retrieve(inside.id)
    assert read == made
    assert (read.model, read.instructions, read.metadata) == ("groundling:everest", "Be brief.", {"a": "b"})
    assert read_inside == inside


async def test_a_conversation_can_be_gone_on_with_by_responses(service: Running):
    async with service.openai() as client:
        conversation = await client.conversations.create()
        for word in ("one", "two"):
            await client.responses.create(model="groundling", input=f"say {word}", conversation=conversation.id)
    async with service.client() as plain:
        whole = (await plain.get(f"/v1/conversations/{conversation.id}")).json()
    assert [turn["reply"] for turn in whole["turns"]] == ["one", "two"]


async def test_a_response_in_a_conversation_has_its_role_where_the_model_names_none(service: Running):
    async with service.client() as client:
        name = (await client.post("/v1/conversations", json={"role": "everest"})).json()["id"]
        roles = []
        for model in ("groundling", "scripted/bytes", "groundling:assistant"):
            body = {"model": model, "input": "hello", "conversation": name}
            made = (await client.post("/v1/responses", json=body)).json()
            roles.append((await client.get(f"/v1/turns/{made['groundling']['turn_id']}")).json()["role"])
    assert roles == ["everest", "everest", "assistant"]


async def test_a_failure_in_mid_stream_is_an_error_event(service: Running, monkeypatch: pytest.MonkeyPatch):
    async def score(*given):
        await asyncio.sleep(0.4)
        raise ValueError("a secret of the inside")

    monkeypatch.setattr(service.agent.decoder, "score", score)
    async with service.openai() as client:
        events = [event async for event in await client.responses.create(model="groundling", input="hi", stream=True)]
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert "secret" not in events[-2].message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"type": "message", "role": "robot", "content": "x"}]}, "input[0].role"),
        ({"background": True}, "background"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"conversation": "conv_x"}, "conversation"),
        ({"previous_response_id": "resp_x"}, "response_id"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_what_cannot_be_used_is_named(service: Running, changes: dict, param: str):
    async with service.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.responses.create(**{"model": "groundling", "input": "hi", **changes})
    assert caught.value.param == param
    assert caught.value.status_code in (400, 404)


async def test_langchain_can_use_responses(service: Running):
    model = ChatOpenAI(
        base_url=f"{service.url}/v1", api_key=service.key, model="groundling", use_responses_api=True, max_retries=0
    )  # type: ignore[arg-type]
    whole = await model.ainvoke("Where does the Vistula flow?")
    parts = [part async for part in model.astream("Where does the Vistula flow?")]
    assert whole.text == "The Vistula is the longest river of Poland. [1]"
    assert "".join(part.text for part in parts) == whole.text


async def test_moderations_flag_what_the_safe_discriminator_rejects(service: Running):
    async with service.openai() as client:
        made = await client.moderations.create(input=["A kind word.", "UNSAFE words"])
        one = await client.moderations.create(input=[{"type": "text", "text": "fine"}], model="omni-moderation-latest")
        for bad in ("", [], [{"type": "image_url", "image_url": {"url": "data:"}}], ["x"] * 33):
            with pytest.raises(openai.BadRequestError):
                await client.moderations.create(input=bad)  # type: ignore[arg-type]
    assert [result.flagged for result in made.results] == [False, True]
    assert made.results[1].category_scores.model_extra["unsafe"] > 0.8  # type: ignore[index]
    assert made.results[1].category_applied_input_types.violence == []
    assert not one.results[0].flagged


async def test_parts_of_one_input_have_one_result(service: Running):
    async with service.openai() as client:
        parts = [{"type": "text", "text": text} for text in ("A kind word.", "UNSAFE words", "Another kind word.")]
        made = await client.moderations.create(input=parts)  # type: ignore[arg-type]
        fine = await client.moderations.create(input=[parts[0], parts[2]])  # type: ignore[arg-type]
    assert [result.flagged for result in made.results] == [True]
    assert [result.flagged for result in fine.results] == [False]


async def test_a_moderation_tells_what_its_key_may_still_do_and_what_is_wrong_with_its_input(
    service: Running, monkeypatch: pytest.MonkeyPatch
):
    key = await service.another_key(requests_per_minute=100)
    async with service.client(key) as client:
        made = await client.post("/v1/moderations", json={"input": "fine"})
        long = await client.post("/v1/moderations", json={"input": ["fine", "a" * 100_001]})

        async def too_long(*given):
            raise ContextLengthError(3000, 2048)

        monkeypatch.setattr(service.agent.decoder, "score", too_long)
        over = await client.post("/v1/moderations", json={"input": "a" * 50_000})
    assert made.headers["x-ratelimit-remaining-requests"] == "99"
    for refused, says in ((long, "100,001 characters"), (over, "3000")):
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "input"
        assert says in refused.json()["error"]["message"]


async def test_an_engine_that_a_moderation_does_not_reach_is_doubted(service: Running):
    service.agent.decoder.down = True  # type: ignore[attr-defined]
    async with service.client() as client:
        assert (await client.post("/v1/moderations", json={"input": "fine"})).status_code == 503
        assert (await client.get("/readyz")).status_code == 503
    service.agent.decoder.down = False  # type: ignore[attr-defined]
