"""The agent in LangChain: as a chat model, and as a runnable that gives the whole turn.

    from dialog.langchain import ChatGroundling, as_runnable

    model = ChatGroundling(agent=agent)
    model.invoke("Who painted the Mona Lisa?")         # an AIMessage; citations in its response_metadata
    as_runnable(agent).invoke("Who painted it?")       # a Turn

Streaming replays the released reply: nothing is shown before it passed the filter. The agent uses its own tools,
so tools cannot be bound. Every call runs on one event loop of this module, because engines belong to the loop that
they began on, whatever thread or loop a LangChain program calls from.
Boundary: needs langchain-core alone; tools and retrievers are `toolset.langchain`'s.
"""

from __future__ import annotations

import asyncio
import functools
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import Field

from dialog.agent import Agent
from dialog.errors import MessageError
from dialog.messages import Message
from dialog.turn import Turn
from toolset.isolation import LoopThread

T = TypeVar("T")


class ChatGroundling(BaseChatModel):
    """The agent as a LangChain chat model.

    Parameters that are None leave the agent's own settings. `stop` cuts the released reply. An AIMessage's
    `response_metadata` holds `model_name`, `finish_reason`, `grounded`, `citations` and `turn_id`.

    Raises MessageError for messages that are not text, TimeoutError past `timeout`, and what `Agent.reply` raises.
    """

    agent: Agent = Field(exclude=True, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    seed: int | None = Field(default=None, description="Repeats a turn exactly on the embedded engine.")
    timeout: float | None = Field(default=None, description="Seconds a turn may take.")

    @property
    def model_name(self) -> str:
        """The name of the agent's model."""
        return self.agent.decoder.info.model

    @property
    def _llm_type(self) -> str:
        return "groundling"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model_name, "role": self.agent.role.name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        parameters = super()._get_ls_params(stop=stop, **kwargs)
        parameters["ls_provider"] = "groundling"
        parameters["ls_model_name"] = str(kwargs.get("model") or self.model_name)
        return parameters

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(_wait(functools.partial(self._turn, messages, kwargs)), stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(await _await(functools.partial(self._turn, messages, kwargs)), stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(_wait(functools.partial(self._turn, messages, kwargs)), stop):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(await _await(functools.partial(self._turn, messages, kwargs)), stop):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _turn(self, messages: Sequence[BaseMessage], given: dict[str, Any]) -> Turn:
        """One turn with this model's parameters, or those given with the call."""

        def setting(name: str) -> Any:
            return given.get(name, getattr(self, name))

        changes = {name: setting(name) for name in ("temperature", "max_tokens") if setting(name) is not None}
        settings = self.agent.settings
        if changes:
            # Validated anew, so that an impossible temperature is an error here and not in an engine.
            sampling = type(settings.sampling).model_validate({**settings.sampling.model_dump(), **changes})
            settings = settings.model_copy(update={"sampling": sampling})
        reply = self.agent.reply(_converted(messages), seed=setting("seed"), settings=settings)
        return await asyncio.wait_for(reply, setting("timeout"))

    def _result(self, turn: Turn, stop: list[str] | None) -> ChatResult:
        text, finish_reason = self._released(turn, stop)
        message = AIMessage(
            content=text, response_metadata=self._metadata(turn, finish_reason), usage_metadata=_usage(turn)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(self, turn: Turn, stop: list[str] | None) -> Iterator[ChatGenerationChunk]:
        text, finish_reason = self._released(turn, stop)
        *pieces, last = re.findall(r"\s*\S+\s*$|\s*\S+", text) or [""]
        for piece in pieces:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content=last,
                response_metadata=self._metadata(turn, finish_reason),
                usage_metadata=_usage(turn),
                chunk_position="last",
            )
        )

    def _released(self, turn: Turn, stop: list[str] | None) -> tuple[str, str]:
        """The reply up to the first stop string, and why it ends."""
        ends = [turn.reply.find(text) for text in [*(stop or []), *(self.stop or [])] if text in turn.reply]
        return (turn.reply[: min(ends)], "stop") if ends else (turn.reply, turn.finish_reason)

    def _metadata(self, turn: Turn, finish_reason: str) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "model_provider": "groundling",
            "finish_reason": finish_reason,
            "grounded": turn.grounded,
            "citations": [citation.model_dump() for citation in turn.citations],
            "turn_id": turn.id,
        }


def as_runnable(agent: Agent) -> Runnable[LanguageModelInput, Turn]:
    """The agent as a runnable from a text, messages or a prompt to a `Turn`: reply, citations and the whole trace."""

    async def reply(given: LanguageModelInput) -> Turn:
        if isinstance(given, PromptValue):
            messages = given.to_messages()
        else:
            messages = convert_to_messages([given] if isinstance(given, str) else given)
        return await agent.reply(_converted(messages))

    def invoke(given: LanguageModelInput) -> Turn:
        return _wait(functools.partial(reply, given))

    async def ainvoke(given: LanguageModelInput) -> Turn:
        return await _await(functools.partial(reply, given))

    return RunnableLambda(invoke, ainvoke, name="groundling")


def _converted(messages: Sequence[BaseMessage]) -> list[Message]:
    """Our messages. Raises MessageError for kinds and contents that a turn does not take."""
    converted = []
    for message in messages:
        match message:
            case HumanMessage():
                role = "user"
            case AIMessage():
                role = "assistant"
            case SystemMessage():
                role = "system"
            case _:
                raise MessageError(
                    f"a message of type {message.type!r} cannot be answered. Send human, AI and system messages."
                )
        blocks = [] if isinstance(message.content, str) else message.content
        other = sorted(
            {block.get("type", "?") for block in blocks if isinstance(block, dict) and block.get("type") != "text"}
        )
        if other:
            raise MessageError(f"a message holds content of type {other[0]!r}. Send text.")
        converted.append(Message(role=role, content=str(message.text)))
    return converted


def _usage(turn: Turn) -> UsageMetadata:
    prompt, completion = turn.usage.prompt_tokens, turn.usage.completion_tokens
    return UsageMetadata(input_tokens=prompt, output_tokens=completion, total_tokens=prompt + completion)


_LOOP_LOCK = threading.Lock()


def _loop() -> LoopThread:
    """This module's event loop, made on the first call."""
    with _LOOP_LOCK:
        return _make_loop()


@functools.cache
def _make_loop() -> LoopThread:
    return LoopThread("groundling-langchain")


def _wait(start: Callable[[], Awaitable[T]]) -> T:
    """Run the coroutine that `start` makes on this module's loop, and wait for it; an interrupt cancels it."""
    job = _loop().submit(lambda: _awaited(start))
    try:
        outcome = job.future.result()
    except BaseException:
        _loop().abandon(job)
        raise
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


async def _await(start: Callable[[], Awaitable[T]]) -> T:
    """As `_wait`, for a caller with an event loop of its own."""
    job = _loop().submit(lambda: _awaited(start))
    try:
        outcome = await asyncio.wrap_future(job.future)
    except asyncio.CancelledError:
        _loop().abandon(job)
        raise
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


async def _awaited(start: Callable[[], Awaitable[T]]) -> T:
    return await start()
