"""The agent's loading, seen from the event loop that answers the probes meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from serve.assemble import AgentOptions, assemble
from toolset import Toolset
from toolset.plugins import Loaded

from .scripted import ScriptedDecoder


async def test_the_loop_is_free_while_tools_are_loaded(monkeypatch: pytest.MonkeyPatch):
    loading, goes_on = threading.Event(), threading.Event()

    def load_tools(*args: Any, **options: Any) -> Loaded:
        loading.set()
        assert goes_on.wait(20), "the event loop was held up while the tools were loaded"
        return Loaded(Toolset([]), (), {})

    async def open_decoder(options: AgentOptions) -> ScriptedDecoder:
        return ScriptedDecoder()

    monkeypatch.setattr("serve.tools.load_tools", load_tools)
    monkeypatch.setattr("serve.assemble.open_named_decoder", open_decoder)
    making = asyncio.create_task(assemble(AgentOptions(adapter="none")))
    assert await asyncio.to_thread(loading.wait, 20)
    goes_on.set()  # which nobody could do if the loop waited for the tools
    agent = (await making).agent
    assert agent.toolset.names == ()
    await agent.aclose()
