"""The agent's loading: the API listens at once, and is ready when the agent is.

An engine that cannot be reached is tried again; a setting that cannot work ends the process with its message.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable

from dialog.agent import Agent
from dialog.errors import DialogError, EngineUnavailable
from serve.api.errors import unavailable
from serve.errors import ServeError, SettingsError
from serve.settings import Settings
from toolset.errors import ToolsetError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 3.0
PROBE_SECONDS = 5.0
NAMES = ("model", "engine", "adapter", "corpus", "role", "candidates", "max_tokens")
"""Settings that name what the agent is made of."""


async def assembled(settings: Settings) -> Agent:
    """The agent that the settings' model, engine, adapter, corpus and role make."""
    from serve.assemble import AgentOptions, assemble

    asked = {name: getattr(settings, name) for name in NAMES if getattr(settings, name) is not None}
    options = AgentOptions(**asked)
    agent, notices = await assemble(options)
    for notice in notices:
        logger.info("%s", notice)
    return agent


def agent_factory(name: str) -> Callable[[Settings], Agent | Awaitable[Agent]]:
    """The function that `module:function` names. Raises SettingsError."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"setting agent {name!r}: {error}. Give `module:function`.") from error


class AgentSlot:
    """Holds the agent once it is loaded."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failure: ServeError | None = None
        """Why the agent cannot be had at all."""
        self._agent: Agent | None = None
        self._doubted: float | None = None
        self._checked = 0.0

    def agent(self) -> Agent:
        """Raises ApiError 503 while it is not there."""
        if self._agent is None:
            raise unavailable("The model is being loaded. Try again in a moment.", "engine_starting")
        return self._agent

    @property
    def loaded(self) -> bool:
        return self._agent is not None

    def doubt(self) -> None:
        """Note that the engine could not be reached, so that readiness asks it before it says yes."""
        self._doubted = time.monotonic()

    async def ready(self) -> bool:
        """Whether turns can be answered. Asks the engine only where it failed, and every few seconds at most."""
        if self._agent is None:
            return False
        if self._doubted is None:
            return True
        if time.monotonic() - self._checked < PROBE_SECONDS / 5:
            return False
        self._checked = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                token = self._agent.decoder.tokenizer.eos_token_id or 0
                await self._agent.decoder.score([[token]], [token])
        except (EngineUnavailable, TimeoutError):
            return False
        self._doubted = None
        return True

    async def load(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """Load the agent, trying again where its engine is not up yet."""
        started = time.monotonic()
        while self._agent is None:
            try:
                factory = agent_factory(self.settings.agent)
                made = factory(self.settings)
                self._agent = await made if inspect.isawaitable(made) else made
            except EngineUnavailable as error:
                logger.warning("the engine is not up yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                self.failure = error if isinstance(error, ServeError) else ServeError(f"no agent: {error}")
                # The rooms' own errors are written for people; of others the place is what helps.
                ours = isinstance(error, ServeError | DialogError | ToolsetError)
                logger.error("the agent cannot be loaded: %s", error, exc_info=not ours)
                on_failure()
                return
        logger.info("ready", extra={"seconds": round(time.monotonic() - started, 2)})

    async def aclose(self) -> None:
        if self._agent is not None:
            await self._agent.aclose()
