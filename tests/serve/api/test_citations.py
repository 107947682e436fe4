"""Citation ranges count characters as Python does, code points: an emoji is one, whatever it takes in UTF-8 or UTF-16.

OpenAI's API describes `start_index` as "the index of the first character"; its Python client slices with it as is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from dialog.messages import Message
from dialog.turn import Citation, Turn
from serve.api.release import citation_ranges, cut, without_markers
from serve.settings import Settings
from toolset import Result, Source, Tool, Toolset

from .conftest import Running, running

FAMILY = "👨‍👩‍👧"  # one picture, five code points, eight UTF-16 units, eighteen bytes
FACT = f"The 🌊 Vistula 𝒱 {FAMILY} is the longest river of Poland."
QUESTION = "Where does the Vistula flow?"


class River(Tool):
    """Knows the Vistula, in text beyond the Basic Multilingual Plane."""

    name = "retrieval"
    description = "Knows the Vistula."
    open_domain = True

    def run(self, query: str) -> list[Result]:
        return [Result(text=f"{FACT} More of it.", source=Source(title="🌊 Vistula", url="https://example.org/🌊"))]


@pytest.fixture
async def astral(settings_for: Callable[..., Settings]) -> AsyncIterator[Running]:
    async with running(settings_for()) as service:
        service.agent.toolset = Toolset([River()])
        yield service


async def test_chat_ranges_slice_to_the_marker_behind_an_emoji(astral: Running):
    async with astral.openai() as client:
        asked = {"model": "groundling", "messages": [{"role": "user", "content": QUESTION}]}
        made = await client.chat.completions.create(**asked)
        stream = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
    message = made.choices[0].message
    assert message.content == f"{FACT} [1]"
    [annotation] = message.annotations or []
    cited = annotation.url_citation
    assert message.content[cited.start_index : cited.end_index] == "[1]"
    assert cited.title == "🌊 Vistula"
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    [last] = stream[-1].choices[0].delta.annotations  # type: ignore[attr-defined]
    assert streamed[last["url_citation"]["start_index"] : last["url_citation"]["end_index"]] == "[1]"


async def test_responses_ranges_slice_to_the_marker_behind_an_emoji(astral: Running):
    async with astral.openai() as client:
        made = await client.responses.create(model="groundling", input=QUESTION)
        events = [event async for event in await client.responses.create(input=QUESTION, stream=True)]
    part = made.output[0].content[0]  # type: ignore[union-attr]
    [cited] = part.annotations
    assert part.text[cited.start_index : cited.end_index] == "[1]"
    streamed = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    [added] = [event.annotation for event in events if event.type == "response.output_text.annotation.added"]
    assert streamed[added.start_index : added.end_index] == "[1]"  # type: ignore[union-attr]


async def test_the_native_turn_keeps_every_character(astral: Running):
    async with astral.client() as client:
        turn = (await client.post("/v1/turns", json={"message": QUESTION})).json()
        read = (await client.get(f"/v1/turns/{turn['id']}")).json()
    assert turn["reply"] == read["reply"] == f"{FACT} [1]"


async def test_a_cut_through_an_emoji_leaves_whole_characters_and_right_ranges(astral: Running):
    turn = await astral.agent.reply([Message(role="user", content=QUESTION)])
    tokenizer = astral.agent.decoder.tokenizer
    reply = f"🌊 first [1] and {FAMILY} then"
    usage = turn.usage.model_copy(update={"completion_tokens": len(reply.encode())})  # a token is a byte here
    assert turn.grounded
    turn = turn.model_copy(update={"reply": reply, "usage": usage})
    for most in range(1, len(reply.encode())):
        short = cut(turn, (), most, tokenizer)
        assert turn.reply.startswith(short.reply)
        assert [short.reply[at.start : at.end] for at in citation_ranges(short)] in (["[1]"], [])
        assert bool(short.citations) == short.grounded == ("[1]" in short.reply)


def test_only_markers_of_its_sources_are_taken_out_of_a_reply():
    turn = Turn.model_construct(
        reply="Use items[0] for the first [1], and [2]. [12]",
        citations=[
            Citation(number=number, title="List", url=None, text="items", tool="retrieval") for number in (1, 12)
        ],
    )
    assert without_markers(turn) == "Use items[0] for the first, and [2]."
