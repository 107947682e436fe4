"""The agent as LangChain's chat model and runnable, with LangChain's standard suites.

What is tested is the passage between two interfaces, so most tests use a model of one tiny random layer with the
default model's tokenizer and chat template; one uses the default model itself.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from dialog.agent import Agent, AgentSettings
from dialog.decoder import Sampling
from dialog.errors import MessageError
from dialog.langchain import ChatGroundling, as_runnable
from dialog.turn import Turn
from safety.policy import Policy
from serve.engines import open_decoder
from toolset import Toolset
from toolset.calculator import Calculator


def make_agent(folder: Path) -> Agent:
    decoder = asyncio.run(
        open_decoder("transformers", folder, model_name="tested", revision="test", device="cpu", threads=1)
    )
    settings = AgentSettings(sampling=Sampling(n=1, max_tokens=12), research_candidates=1, research_tokens=8, rounds=1)
    return Agent(decoder, Toolset([Calculator()]), policy=Policy(mode="annotate"), settings=settings)


@pytest.fixture(scope="module")
def agent(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(default_model)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None, bos_token_id=None,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return make_agent(folder)


@pytest.fixture
def model(agent: Agent) -> ChatGroundling:
    return ChatGroundling(agent=agent, seed=7)


class Suite:
    """What both standard suites are told."""

    @pytest.fixture(autouse=True)
    def _agent(self, agent: Agent) -> None:
        type(self).agent = agent

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatGroundling

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"agent": self.agent, "seed": 7}


class TestUnit(Suite, ChatModelUnitTests):
    """LangChain's standard suite."""


class TestIntegration(Suite, ChatModelIntegrationTests):
    """LangChain's standard suite; tools, images and structured output are not offered."""


def test_the_default_models_reply_carries_its_citations_and_where_it_ends(default_model: Path):
    message = ChatGroundling(agent=make_agent(default_model), seed=7).invoke("What is 15% of 80?")
    assert isinstance(message, AIMessage)
    about = message.response_metadata
    assert about["model_name"] == "tested"
    assert about["finish_reason"] in ("stop", "length", "content_filter")
    assert isinstance(about["citations"], list)
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] > 0


def test_a_seed_repeats_a_reply_and_streaming_replays_it(model: ChatGroundling):
    said = model.invoke("Tell me about bees.")
    assert model.invoke("Tell me about bees.").text == said.text
    chunks = list(model.stream("Tell me about bees."))
    assert "".join(chunk.text for chunk in chunks) == said.text
    assert chunks[-1].response_metadata["finish_reason"] == said.response_metadata["finish_reason"]


def test_a_stop_string_cuts_the_released_reply(model: ChatGroundling):
    said = model.invoke("Tell me about bees.").text
    stop = said.split()[2]
    cut = model.invoke("Tell me about bees.", stop=[stop])
    assert cut.text == said[: said.index(stop)]
    assert cut.response_metadata["finish_reason"] == "stop"


async def test_the_runnable_gives_whole_turns_and_chains(agent: Agent):
    runnable = as_runnable(agent)
    turn = await runnable.ainvoke("What is 135 + 7721?")
    assert isinstance(turn, Turn)
    assert [call.tool for call in turn.tool_calls] == ["calculator"]
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "Tell me about {topic}.")])
    chained = await (prompt | runnable).ainvoke({"topic": "bees"})
    assert [message.content for message in chained.messages] == ["Be brief.", "Tell me about bees."]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([HumanMessage("hi"), ToolMessage("x", tool_call_id="1")], "a message of type 'tool' cannot be answered"),
        ([HumanMessage([{"type": "image", "url": "https://example.org/a.png"}])], "content of type 'image'. Send text"),
        ([HumanMessage("hi"), AIMessage("hello")], "the last message has the role 'assistant'"),
        ([SystemMessage("be brief"), HumanMessage("  ")], "the message is empty"),
    ],
)
def test_messages_that_cannot_be_answered(model: ChatGroundling, messages: list, error: str):
    with pytest.raises(MessageError, match=error.replace(".", r"\.")):
        model.invoke(messages)


async def test_a_turn_past_its_time_and_a_cancelled_one_end(model: ChatGroundling):
    with pytest.raises(TimeoutError):
        await model.ainvoke("Tell me about bees.", timeout=0.001)
    turn = asyncio.create_task(model.ainvoke("Tell me about bees."))
    await asyncio.sleep(0)  # begun, and not yet done
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert (await model.ainvoke("Hello")).text


def test_impossible_parameters_are_errors(model: ChatGroundling):
    with pytest.raises(ValueError, match="less than or equal to 2"):
        model.invoke("hi", temperature=99.0)
