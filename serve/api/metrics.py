"""Prometheus metrics: requests, turns and their stages, the filter, tools, the queue, tokens.

With several processes, PROMETHEUS_MULTIPROC_DIR (set by `groundling serve`) makes them one: each process keeps its
values in files there, and whichever is asked adds them up. So the gauges are set when they change, not when they are
read.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from dialog.turn import Turn

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)


class Metrics:
    """One application's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("groundling_requests", "Requests answered.", ["route", "method", "status"], registry=r)
        self.request_seconds = Histogram(
            "groundling_request_seconds", "Time of a request.", ["route"], buckets=BUCKETS, registry=r
        )
        self.turns = Counter("groundling_turns", "Turns by how they ended.", ["finish_reason"], registry=r)
        self.turn_failures = Counter("groundling_turn_failures", "Turns that failed, by code.", ["code"], registry=r)
        self.stage_seconds = Histogram(
            "groundling_turn_stage_seconds", "Time of a turn's stages.", ["stage"], buckets=BUCKETS, registry=r
        )
        self.candidates = Counter("groundling_candidates", "Candidates by the filter's decision.", ["kept"], registry=r)
        self.tool_calls = Counter("groundling_tool_calls", "Calls of tools by outcome.", ["tool", "ok"], registry=r)
        self.tokens = Counter("groundling_tokens", "Tokens: prompt, sampled, completion.", ["kind"], registry=r)
        self.running = Gauge(
            "groundling_turns_running", "Turns the engine works on.", registry=r, multiprocess_mode="livesum"
        )
        self.waiting = Gauge(
            "groundling_turns_waiting", "Turns that wait for a slot.", registry=r, multiprocess_mode="livesum"
        )

    def set_queue(self, running: int, waiting: int) -> None:
        """How many turns of this process run and wait now."""
        self.running.set(running)
        self.waiting.set(waiting)

    def count_turn(self, turn: Turn) -> None:
        self.turns.labels(turn.finish_reason).inc()
        for stage, seconds in turn.timings:
            self.stage_seconds.labels(stage).observe(seconds)
        for candidate in turn.candidates:
            self.candidates.labels("yes" if candidate.kept else "no").inc()
        for call in turn.tool_calls:
            self.tool_calls.labels(call.tool, "no" if call.error else "yes").inc()
        for kind in ("prompt", "sampled", "completion"):
            self.tokens.labels(kind).inc(getattr(turn.usage, f"{kind}_tokens"))

    def render(self) -> bytes:
        """The metrics in Prometheus' text format, of all processes."""
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
            return generate_latest(registry)
        return generate_latest(self.registry)
