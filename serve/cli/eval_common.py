"""What the `groundling eval` commands share: options, opening a judge, reading probabilities, saving results."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from serve.cli import ADAPTER_HELP

if TYPE_CHECKING:
    from dialog.decoder import Decoder
    from dialog.dialect import Dialect, Read
    from dialog.roles import Role
    from safety.metrics import Interval
    from safety.records import Message
    from serve.assemble import AgentOptions
    from serve.cli.eval_saved import Subject

T = TypeVar("T")
BATCH = 16
"""Prompts of one `score` call."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data, --limit, --json, --save and what chooses the model."""
    for option in reversed(
        [
            click.option("--data", required=True, type=click.Path(path_type=Path), help="JSONL file."),
            click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N records."),
            click.option("--model", metavar="M", help="A model's name, folder or Hugging Face id."),
            click.option("--adapter", metavar="A", help=ADAPTER_HELP),
            click.option("--engine", metavar="E", help="transformers (default), vllm, or a server's URL."),
            click.option("--dialect", type=click.Choice(["chat", "judged", "tuned"]), help="What fits the model."),
            click.option("--device", metavar="D", help="auto (default), cpu, cuda …"),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
            click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Keep the result here."),
        ]
    ):
        command = option(command)
    return command


def chosen(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


@dataclass
class Judge:
    """A decoder with the dialect and role that its discriminators are read in."""

    decoder: Decoder
    dialect: Dialect
    role: Role

    async def attributes(
        self, items: Sequence[tuple[Sequence[Message], str]], wanted: Sequence[str], done: Callable[[float], None]
    ) -> list[dict[str, float]]:
        """P(attribute) of each (context, reply), for `wanted` attributes."""
        reads = [read for read in self.dialect.attribute_reads if set(read.pairs) & set(wanted)]
        answers = []
        for context, reply in items:
            answer = self.dialect.answer_ids(reply)
            prompt = self.fit(context, len(answer) + max(len(read.suffix) for read in reads) + 1)
            answers.append([*prompt, *answer])
        return await self.read(reads, answers, done)

    async def read(
        self, reads: Sequence[Read], answers: Sequence[Sequence[int]], done: Callable[[float], None]
    ) -> list[dict[str, float]]:
        """`dialog.judge.read_probabilities` in batches of similar length, in the answers' order."""
        from dialog.judge import read_probabilities
        from safety.errors import DataError

        # Found before the long work: the longest come last.
        most = self.decoder.info.context_length - max(len(read.suffix) for read in reads) - 1
        for number, ids in enumerate(answers, 1):
            if len(ids) > most:
                raise DataError(
                    f"record {number}: its response alone is too long, {len(ids)} tokens in a context of {most}. "
                    "Shorten or remove it."
                )
        order = sorted(range(len(answers)), key=lambda i: len(answers[i]))
        found: list[dict[str, float]] = [{} for _ in answers]
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            values = await read_probabilities(self.decoder, reads, [answers[i] for i in part])
            for i, value in zip(part, values, strict=True):
                found[i] = value
            done(start + len(part))
        return found

    def fit(self, context: Sequence[Message], reserve: int) -> list[int]:
        """The base prompt of the newest turns that fit the model with `reserve` tokens to come."""
        from dialog.messages import NO_CONTEXT, Message

        kept = [*context] or [Message(role="user", content=NO_CONTEXT)]
        room = self.decoder.info.context_length - reserve
        while len(ids := self.dialect.base_prompt(kept, self.role)) > room and len(kept) > 1:
            kept = kept[1:]
        return ids[-max(1, room) :]


def with_judge(options: dict[str, Any], work: Callable[[Judge], Awaitable[T]]) -> T:
    """Open the judge that the options choose, do the work, close it."""

    async def main() -> T:
        from dialog.calibration import calibrate_safety
        from dialog.roles import load_role
        from serve.assemble import AgentOptions, open_named_decoder

        chosen_options = AgentOptions(**options)
        decoder = await open_named_decoder(chosen_options)
        try:
            role = load_role("assistant")
            dialect = fitting_dialect(decoder, chosen_options)
            if dialect.judges_untuned:
                await calibrate_safety(decoder, dialect, role)
            return await work(Judge(decoder, dialect, role))
        finally:
            await decoder.aclose()

    return asyncio.run(main())


def fitting_dialect(decoder: Decoder, options: AgentOptions) -> Dialect:
    """The dialect that the options choose. Raises SettingsError where the model cannot be spoken to in it."""
    from dialog.dialect import choose_dialect
    from serve.assemble import dialect_of
    from serve.errors import SettingsError

    try:
        return choose_dialect(decoder, dialect_of(options))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def adapter_card(options: dict[str, Any]) -> Any | None:
    """The card of the adapter that the options choose. Raises AdapterError.

    None where there is none, or where another dialect is asked for: its thresholds are of another read.
    """
    from serve.assemble import AgentOptions, card_of

    card = card_of(AgentOptions(**chosen(**options)))
    return card if card and options.get("dialect") in (None, card.dialect) else None


def both_labels(labels: Sequence[int], data: Path, field: str) -> None:
    """Refuse a set of one class before a model is loaded for it. Raises DataError."""
    from safety.errors import DataError

    if len(set(labels)) < 2:
        raise DataError(
            f"all {len(labels)} records read from {data.name} have {field} {labels[0]}, so nothing can be told apart. "
            "Give records of both classes, or a larger --limit."
        )


def opening(context: Sequence[Message], otherwise: str) -> str:
    """What rows of one context share: its first message. A text alone is its own context."""
    return context[0].content if context else otherwise


def show(
    kind: str,
    data: Path,
    figures: dict[str, Any],
    *,
    of: dict[str, Any] | Subject,
    as_json: bool,
    save: Path | None,
    scores: dict[str, Any] | None = None,
) -> None:
    """Print a result, and keep it where `--save` says: figures with the scores that plots are drawn from.

    `of` is what was measured, or the options that chose it.
    """
    if save is not None:
        from serve.assemble import AgentOptions
        from serve.cli.eval_saved import Saved, Scores, save_result, subject_of

        subject = subject_of(AgentOptions(**chosen(**of))) if isinstance(of, dict) else of
        kept = Scores(**scores) if scores else None
        save_result(save, Saved(eval=kind, data=data.name, subject=subject, figures=figures, scores=kept))
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name:28} {shown(value)}")


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict):
        return "  ".join(f"{key} {shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return "-" if value is None else str(value)


def values_of(spans: Mapping[str, Interval | None]) -> dict[str, float | None]:
    """The figures themselves; None where there was nothing to measure."""
    return {name: None if span is None else round(span.value, 4) for name, span in spans.items()}


def intervals_of(spans: Mapping[str, Interval | None]) -> dict[str, list[float]]:
    """95% intervals as [low, high], of the figures that have one."""
    return {
        name: [round(span.low, 4), round(span.high, 4)]
        for name, span in spans.items()
        if span is not None and math.isfinite(span.low)
    }
