"""The agent's loading, seen from the event loop that answers the probes meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from serve.assemble import AgentOptions, assemble, open_named_decoder
from serve.engines import loading, open_decoder
from serve.engines.vllm import VllmDecoder
from serve.errors import ModelStoreError
from serve.store import ModelStore
from toolset import Toolset
from toolset.plugins import Loaded

from .scripted import ScriptedDecoder


async def test_the_loop_is_free_while_tools_are_loaded(monkeypatch: pytest.MonkeyPatch):
    begun, goes_on = threading.Event(), threading.Event()

    def load_tools(*args: Any, **options: Any) -> Loaded:
        begun.set()
        assert goes_on.wait(20), "the event loop was held up while the tools were loaded"
        return Loaded(Toolset([]), (), {})

    async def open_decoder(options: AgentOptions) -> ScriptedDecoder:
        return ScriptedDecoder()

    monkeypatch.setattr("serve.tools.load_tools", load_tools)
    monkeypatch.setattr("serve.assemble.open_named_decoder", open_decoder)
    making = asyncio.create_task(assemble(AgentOptions(adapter="none")))
    assert await asyncio.to_thread(begun.wait, 20)
    goes_on.set()  # which nobody could do if the loop waited for the tools
    agent = (await making).agent
    assert agent.toolset.names == ()
    await agent.aclose()


def remote() -> Awaitable[Any]:
    return open_decoder("http://127.0.0.1:9", "folder", model_name="m", revision="r")


def vllm() -> Awaitable[Any]:
    return open_decoder("vllm", "folder", model_name="m", revision="r")


def fetched() -> Awaitable[Any]:
    return open_named_decoder(AgentOptions(adapter="none"))


@pytest.mark.parametrize(
    ("owner", "name", "make"),
    [(ModelStore, "pull", fetched), (VllmDecoder, "load", vllm), (loading, "load_tokenizer", remote)],
)
async def test_the_loop_is_free_while_a_model_is_fetched_and_engines_start(
    owner: object, name: str, make: Callable[[], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
):
    begun, goes_on = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> None:
        begun.set()
        assert goes_on.wait(20), "the event loop was held up"
        raise ModelStoreError("far enough")

    monkeypatch.setattr(owner, name, slow)
    making = asyncio.ensure_future(make())
    assert await asyncio.to_thread(begun.wait, 20)
    goes_on.set()  # which nobody could do if the loop waited
    with pytest.raises(ModelStoreError, match="far enough"):
        await making
