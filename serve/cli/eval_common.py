"""What the `groundling eval` commands share: options, opening a judge, reading probabilities, saving results."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
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
SAFETY_FIGURES = ("auroc", "ap", "f1", "recall", "false_positive_rate")


def save_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--save, whose folder is tried as soon as it is named: an evaluation may take an hour."""

    def tried(context: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
        from serve.cli.eval_saved import check_save

        if folder is not None:
            check_save(folder)
        return folder

    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("--save", type=kind, callback=tried, help="Keep the result here.")(command)


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
            save_option,
        ]
    ):
        command = option(command)
    return command


def chosen(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def of_record(number: int) -> Iterator[None]:
    """Name the record whose text cannot be put to the model. Raises DataError."""
    from dialog.errors import ContextLengthError, MessageError
    from safety.errors import DataError

    try:
        yield
    except ContextLengthError as error:
        raise DataError(
            f"record {number}: {error.needed} tokens do not fit the model's context of {error.context_length}. "
            "Shorten or remove it, or use a model with a longer context."
        ) from None
    except MessageError as error:
        raise DataError(f"record {number}: {error}") from None


def asked(texts: Iterable[str]) -> list[Message]:
    """Each record's text as a user's message. Raises DataError, which names the record, before the long work."""
    from dialog.messages import Message, user_text

    found = []
    for number, text in enumerate(texts, 1):
        with of_record(number):
            found.append(Message(role="user", content=user_text(text)))
    return found


@dataclass
class Judge:
    """A decoder with the dialect and role that its discriminators are read in."""

    decoder: Decoder
    dialect: Dialect
    role: Role

    async def attributes(
        self, items: Sequence[tuple[Sequence[Message], str]], wanted: Sequence[str], done: Callable[[float], None]
    ) -> list[dict[str, float]]:
        """P(attribute) of each (context, reply), for `wanted` attributes. Raises DataError, which names the record."""
        reads = [read for read in self.dialect.attribute_reads if set(read.pairs) & set(wanted)]
        suffix = max(len(read.suffix) for read in reads)
        answers = []
        for number, (context, reply) in enumerate(items, 1):
            answer = self.dialect.answer_ids(reply)
            prompt = self.fit(
                number, context, len(answer) + suffix, lambda kept: self.dialect.base_prompt(kept, self.role)
            )
            answers.append([*prompt, *answer])
        return await self.read(reads, answers, done)

    async def read(
        self, reads: Sequence[Read], answers: Sequence[Sequence[int]], done: Callable[[float], None]
    ) -> list[dict[str, float]]:
        """`dialog.judge.read_probabilities` in batches of similar length, in the answers' order."""
        from dialog.judge import read_probabilities

        order = sorted(range(len(answers)), key=lambda i: len(answers[i]))
        found: list[dict[str, float]] = [{} for _ in answers]
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            values = await read_probabilities(self.decoder, reads, [answers[i] for i in part])
            for i, value in zip(part, values, strict=True):
                found[i] = value
            done(start + len(part))
        return found

    def fit(
        self, number: int, context: Sequence[Message], tail: int, write: Callable[[list[Message]], list[int]]
    ) -> list[int]:
        """What `write` makes of record `number`'s newest whole turns, as a turn and training keep them.

        `tail` ids and a label still fit after it. Raises DataError, which names the record.
        """
        from dialog.errors import ContextLengthError
        from dialog.history import newest_turns
        from dialog.messages import NO_CONTEXT, Message
        from safety.errors import DataError

        whole = self.decoder.info.context_length
        room = whole - tail - 1
        if room < 1:
            raise DataError(
                f"record {number}: its response alone is too long, {tail} tokens in a context of {whole}. "
                "Shorten or remove it."
            )
        messages = [*context] or [Message(role="user", content=NO_CONTEXT)]
        lead = [*takewhile(lambda message: message.role == "system", messages)]
        with of_record(number):
            _, ids = newest_turns(lead, messages[len(lead) :], write, room)
            if len(ids) > room:
                raise ContextLengthError(len(ids) + tail + 1, whole)
        return ids


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


def both_labels(labels: Sequence[int], data: Path, field: str, otherwise: str = "") -> None:
    """Refuse a set of one class before a model is loaded for it; `otherwise` is one more remedy. Raises DataError."""
    from safety.errors import DataError

    if len(set(labels)) < 2:
        raise DataError(
            f"all {len(labels)} records read from {data.name} have {field} {labels[0]}, so nothing can be told apart. "
            f"Give records of both classes, or a larger --limit{otherwise}."
        )


def opening(context: Sequence[Message], response: str) -> str:
    """What rows of one context share: the first thing that a user says. Without one a row stands alone, by its texts.

    Many records begin with the same system message or greeting, so these tell no contexts apart.
    """
    asked = next((message.content for message in context if message.role == "user"), None)
    return "\n".join([*(message.content for message in context), response]) if asked is None else asked


def safety_spans(
    unsafe: Sequence[int], p_safe: Sequence[float], threshold: float, groups: Sequence[str]
) -> Mapping[str, Interval | None]:
    """`SAFETY_FIGURES` with their intervals. Of one class only its own rate at the threshold is defined."""
    from safety.metrics import rate, safety_figures
    from safety.policy import Policy

    if len(set(unsafe)) > 1:
        return safety_figures(unsafe, p_safe, threshold, groups=groups).intervals
    policy = Policy(threshold=threshold)
    dropped = rate([not policy.passes(p) for p in p_safe], groups)
    return {**dict.fromkeys(SAFETY_FIGURES), "recall" if unsafe[0] else "false_positive_rate": dropped}


def show(
    kind: str,
    data: Path,
    figures: dict[str, Any],
    *,
    of: dict[str, Any] | Subject,
    how: Mapping[str, Any],
    as_json: bool,
    save: Path | None,
    scores: dict[str, Any] | None = None,
) -> None:
    """Print a result, and then keep it where `--save` says: figures with the scores that plots are drawn from. What
    cannot be kept has at least been printed.

    `of` is what was measured, or the options that chose it; `how` the other options that change the figures.
    """
    if as_json:
        click.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            click.echo(f"{name:28} {shown(value)}")
    if save is not None:
        from serve.assemble import AgentOptions
        from serve.cli.eval_saved import Saved, Scores, digest, save_result, subject_of

        result = Saved(
            eval=kind,
            data=data.name,
            folder=data.resolve().parent.name,
            content=digest(data),
            options=chosen(**how),
            subject=subject_of(AgentOptions(**chosen(**of))) if isinstance(of, dict) else of,
            figures=figures,
            scores=Scores(**scores) if scores else None,
        )
        save_result(save, result)


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


def intervals_of(
    spans: Mapping[str, Interval | None], groups: Collection[object] | None = None
) -> dict[str, list[float]]:
    """95% intervals as [low, high], of the figures that have one: none has where `groups`, a row each, are one."""
    if groups is not None and len(set(groups)) < 2:
        return {}
    return {
        name: [round(span.low, 4), round(span.high, 4)]
        for name, span in spans.items()
        if span is not None and math.isfinite(span.low)
    }


def note_of(
    groups: Collection[object], kind: str, spans: Mapping[str, Interval | None] | None = None
) -> dict[str, str]:
    """Why there are no intervals, where `groups`, each a whole `kind`, are one: drawing it again varies nothing.

    Of more groups, which of the measured `spans` have none, as all resamples gave the same.
    """
    if len(set(groups)) < 2:
        return {"note": f"no intervals: they draw whole {kind}s, and all records are of one"}
    alike = [name for name, span in (spans or {}).items() if span is not None and not math.isfinite(span.low)]
    return {"note": f"no interval of {', '.join(alike)}: all resamples gave the same"} if alike else {}
