"""`groundling bench turn`: the wall time of whole turns against bare generation of the same candidates.

For each question the same seeded n-candidate generation is timed alone and as part of a turn, in turns, on one engine
in one process; what is reported is the median over questions of each, and of their ratio.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import time
from typing import Any

import click

from dialog.messages import Message
from serve.assemble import AgentOptions, assemble
from serve.cli.chat import agent_options

QUESTIONS = (
    "Who painted the Mona Lisa?",
    "Tell me something about the sea.",
    "Which planet is the largest in the solar system?",
    "What is 135 + 7721?",
    "What should I cook tonight?",
    "Who wrote Hamlet?",
    "Hello, how are you?",
    "When did World War II end?",
)
STAGES = ("generate", "score", "tools", "research", "check")


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Rounds over the questions.")
@click.option("--limit", type=click.IntRange(1), default=len(QUESTIONS), help="Questions asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@agent_options
def command(repeats: int, limit: int, as_json: bool, **options: Any) -> None:
    """A whole turn against a bare n-candidate generation of the same length, split by stage.

    \b
    Examples:
      groundling bench turn
      groundling bench turn --engine vllm --candidates 16 --json
    """
    chosen = AgentOptions(**{name: value for name, value in options.items() if value is not None})
    figures = asyncio.run(measure(chosen, QUESTIONS[:limit] * repeats))
    click.echo(json.dumps(figures) if as_json else table(figures))


async def measure(options: AgentOptions, questions: tuple[str, ...]) -> dict[str, Any]:
    """The figures; see `table` for their meaning. Bare generation and turns alternate and swap their order."""
    assembled = await assemble(options)
    agent = assembled.agent
    try:
        await agent.reply([Message(role="user", content="Who was Albert Einstein?")], seed=0)  # warm-up
        bare: list[float] = []
        whole: list[float] = []
        stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
        for i, question in enumerate(questions):
            messages = [Message(role="user", content=question)]

            async def generate(messages: list[Message] = messages, seed: int = i) -> None:
                prompt = agent.dialect.base_prompt(messages, agent.role)
                sampling = agent.settings.sampling.model_copy(
                    update={"seed": seed, "stop_token_ids": agent.dialect.stop_token_ids}
                )
                started = time.perf_counter()
                await agent.decoder.generate(prompt, sampling)
                bare.append(time.perf_counter() - started)

            async def turn(messages: list[Message] = messages, seed: int = i) -> None:
                started = time.perf_counter()
                made = await agent.reply(messages, seed=seed)
                whole.append(time.perf_counter() - started)
                for stage in STAGES:
                    stages[stage].append(getattr(made.timings, stage))

            # The one that goes second finds the prompt cached: swap, so that neither profits.
            for part in (generate, turn) if i % 2 == 0 else (turn, generate):
                await part()
        info = agent.decoder.info
    finally:
        await assembled.agent.aclose()
    medians = {stage: round(statistics.median(times), 4) for stage, times in stages.items()}
    return {
        "n": len(whole),
        "engine": info.engine,
        "device": info.device,
        "model": info.model,
        "dialect": agent.dialect.name,
        "candidates": agent.settings.sampling.n,
        "max_tokens": agent.settings.sampling.max_tokens,
        "bare_seconds": round(statistics.median(bare), 4),
        "turn_seconds": round(statistics.median(whole), 4),
        "ratio": round(statistics.median(w / b for w, b in zip(whole, bare, strict=True)), 4),
        "score_share": round(statistics.median(s / b for s, b in zip(stages["score"], bare, strict=True)), 4),
        "stages": medians,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def table(figures: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = [
        f"{figures['engine']} on {figures['device']} ({figures['machine']}), {figures['model']}",
        f"{figures['dialect']} dialect, {figures['candidates']} candidates of at most {figures['max_tokens']} tokens, "
        f"medians of {figures['n']} turns",
        f"  bare generation  {figures['bare_seconds']:8.3f} s",
        f"  whole turn       {figures['turn_seconds']:8.3f} s   {figures['ratio']:.2f} x bare",
        *(f"    {stage:<14} {seconds:8.3f} s" for stage, seconds in figures["stages"].items()),
        f"  scoring costs {figures['score_share']:.2f} of a bare generation",
    ]
    return "\n".join(lines)
