"""The turn with the real default model on the embedded engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog.agent import Agent, AgentSettings
from dialog.decoder import Sampling
from dialog.messages import Message
from dialog.turn import Turn
from serve.engines.transformers import TransformersDecoder
from toolset.calculator import Calculator
from toolset.toolset import Toolset


@pytest.fixture(scope="module")
def decoder(default_model: Path) -> TransformersDecoder:
    return TransformersDecoder.load(default_model, model_name="smollm2-135m-instruct", revision="test")


@pytest.fixture
def agent(decoder: TransformersDecoder) -> Agent:
    return Agent(decoder, Toolset([Calculator()]), settings=AgentSettings(sampling=Sampling(n=3, max_tokens=24)))


def ask(*texts: str) -> list[Message]:
    return [Message(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(texts)]


async def test_a_turn_holds_its_whole_trace(agent: Agent) -> None:
    turn = await agent.reply(ask("Tell me a joke about cats."), seed=1)
    assert turn.reply
    assert len(turn.candidates) == 3
    for candidate in turn.candidates:
        assert candidate.scores is None or 0 <= candidate.scores.safe <= 1
    assert turn.timings.total >= turn.timings.generate > 0
    assert turn.usage.sampled_tokens > 0
    assert turn.decoder.engine == "transformers"
    first_keys = list(turn.model_dump())[:8]
    assert first_keys == [
        "reply", "citations", "finish_reason", "grounded", "candidates", "tool_calls", "timings", "usage",
    ]  # fmt: skip
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


async def test_a_seeded_turn_repeats_exactly(agent: Agent) -> None:
    def content(turn: Turn) -> dict:
        return turn.model_dump(exclude={"id", "created", "timings", "tool_calls"})

    first = await agent.reply(ask("What is your favourite colour?"), seed=7)
    other = await agent.reply(ask("What is your favourite colour?"), seed=8)
    again = await agent.reply(ask("What is your favourite colour?"), seed=7)
    assert content(first) == content(again)
    assert first.candidates != other.candidates


async def test_an_unseeded_turn_can_be_repeated_from_its_trace(agent: Agent) -> None:
    turn = await agent.reply(ask("Name a fruit for me"))
    again = await agent.reply(turn.messages, seed=turn.seed)
    assert [c.text for c in turn.candidates] == [c.text for c in again.candidates]


async def test_a_sum_is_right_and_cites_the_calculator(agent: Agent) -> None:
    turn = await agent.reply(ask("What is 135 + 7721?"), seed=1)
    assert "7856" in turn.reply
    assert [citation.tool for citation in turn.citations] == ["calculator"]


async def test_calibration_keeps_harmless_answers(agent: Agent) -> None:
    turn = await agent.reply(ask("Hello, how are you?"), seed=3)
    assert turn.finish_reason != "content_filter"
    assert turn.citations == []
