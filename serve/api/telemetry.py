"""OpenTelemetry spans of turns, after the GenAI semantic conventions; nothing is imported where they are off.

The exporter is configured by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME).
Messages and replies are left out unless `trace_text` is on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dialog.agent import Agent
from dialog.messages import Message
from dialog.turn import Turn
from serve.errors import SettingsError
from serve.settings import Settings


class TurnSpan(Protocol):
    def end(self, turn: Turn) -> None: ...


class _NoSpan:
    def end(self, turn: Turn) -> None:
        pass


class Tracer:
    """Makes a span for each turn, with a child for each stage and tool call, where tracing is on."""

    def __init__(self, settings: Settings, exporter: Any = None) -> None:
        """`exporter` stands in for the OTLP one. Raises SettingsError where the packages are missing."""
        self.text = settings.trace_text
        self._provider: Any = None
        if not (settings.traces or exporter):
            return
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        except ImportError as error:
            raise SettingsError("traces is on but OpenTelemetry is missing. pip install opentelemetry-sdk.") from error
        if exporter is None:
            try:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            except ImportError as error:
                raise SettingsError(
                    "traces is on but the exporter is missing. pip install opentelemetry-exporter-otlp-proto-http."
                ) from error
            processor = BatchSpanProcessor(OTLPSpanExporter())
        else:
            processor = SimpleSpanProcessor(exporter)
        # Resource.create lets OTEL_SERVICE_NAME win over the name given here.
        self._provider = TracerProvider(resource=Resource.create({"service.name": "groundling"}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("groundling")

    @contextmanager
    def turn(self, agent: Agent, messages: Sequence[Message]) -> Iterator[TurnSpan]:
        """A span around a turn; an error that passes through is recorded on it."""
        if self._provider is None:
            yield _NoSpan()
            return
        from opentelemetry.trace import SpanKind

        model = agent.decoder.info.model
        with self._tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT) as span:
            span.set_attributes(
                {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "groundling", "gen_ai.request.model": model}
            )
            if self.text:
                span.set_attribute("gen_ai.input.messages", _messages(messages))
            yield _Span(self._tracer, span, self.text)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


class _Span:
    def __init__(self, tracer: Any, span: Any, text: bool) -> None:
        self.tracer, self.span, self.text = tracer, span, text

    def end(self, turn: Turn) -> None:
        self.span.set_attributes(
            {
                "gen_ai.response.id": turn.id,
                "gen_ai.response.model": turn.decoder.model,
                "gen_ai.response.finish_reasons": [turn.finish_reason],
                "gen_ai.usage.input_tokens": turn.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": turn.usage.completion_tokens,
                "groundling.candidates": len(turn.candidates),
                "groundling.grounded": turn.grounded,
                "groundling.sampled_tokens": turn.usage.sampled_tokens,
            }
        )
        if self.text:
            self.span.set_attribute(
                "gen_ai.output.messages", _messages([Message(role="assistant", content=turn.reply)])
            )
        # The stages were timed where they ran; they are laid end to end before now.
        at = time.time_ns() - int(turn.timings.total * 1e9)
        for stage in ("generate", "score", "research", "tools", "check"):
            seconds = getattr(turn.timings, stage)
            end = at + int(seconds * 1e9)
            if seconds > 0:
                self.tracer.start_span(stage, start_time=at).end(end)
            at = end
        for call in turn.tool_calls:
            child = self.tracer.start_span(f"execute_tool {call.tool}", start_time=at - int(call.seconds * 1e9))
            child.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": call.tool})
            if call.error is not None:
                child.set_attribute("error.type", "tool_error")
            child.end(at)


def _messages(messages: Sequence[Message]) -> str:
    parts = [{"role": m.role, "parts": [{"type": "text", "content": m.content}]} for m in messages]
    return json.dumps(parts, ensure_ascii=False)
