"""Filtering of generation data (LaMDA, arXiv 2201.08239, section 5.1): an adapter's discriminators score every reply,
and only what passes is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dialog.dialect import make_dialect
from dialog.errors import FinetuneError, MessageError, RecordError
from dialog.finetune.adapters import AdapterStore, named_adapter
from dialog.finetune.config import Config, FilterSettings
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.reading import label_probabilities
from dialog.finetune.records import Generation, Judged
from dialog.finetune.sources import TaskData
from dialog.judge import quality

RATINGS = {"sensible": 1.0, "specific": 1.0, "interesting": 1.0, "safe": 1.0}
"""All four are read; what is wanted of them does not matter to a read."""


class Scorer(NamedTuple):
    """An adapter whose discriminators can be read on the base model, and the dialect that they are read in."""

    name: str
    path: Path
    dialect: str


def find_scorer(config: Config, folder: Path, store: AdapterStore, revision: str) -> Scorer:
    """The adapter of `filter.adapter`: a folder below the data, or one that `store` knows by name or path.

    Raises FinetuneError where there is none, it is of another base model, or its dialect has no discriminators.
    """
    assert config.filter is not None
    wanted = config.filter.adapter
    path, card = named_adapter(wanted, "filter.adapter", folder, store, model=config.model, revision=revision)
    # A plain LoRA folder does not say what it speaks.
    return checked(Scorer(wanted, path, card.dialect if card else config.dialect))


def checked(scorer: Scorer) -> Scorer:
    if scorer.dialect == "chat":
        raise FinetuneError(
            f"filter.adapter {scorer.name} speaks dialect 'chat', which has no trained discriminators. Name an adapter "
            "of dialect judged or tuned."
        )
    return scorer


def filtered(
    data: Sequence[TaskData],
    model: Any,
    tokenizer: Any,
    scorer: Scorer,
    settings: FilterSettings,
    *,
    max_tokens: int,
    stage: Callable[[str], None] = lambda text: None,
) -> None:
    """Take from `data` the generation records that score too low, or are too long to be scored.

    Each reply is read in the scorer's own dialect, whatever the run's is. Raises FinetuneError where the adapter or
    its dialect does not fit the model.
    """
    from peft import PeftModel

    stage(f"scoring the generation data with {scorer.name}")
    try:
        writer = ExampleWriter(tokenizer, max_tokens=max_tokens, dialect=make_dialect(tokenizer, scorer.dialect))
    except ValueError as error:
        raise FinetuneError(f"filter.adapter {scorer.name}, of dialect {scorer.dialect!r}: {error}") from None
    try:
        judge: Any = PeftModel.from_pretrained(model, str(scorer.path), local_files_only=True)
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise FinetuneError(f"filter.adapter {scorer.name} does not fit the base model: {text}") from None
    try:
        for one in data:
            if settings.tasks and one.task not in settings.tasks:
                continue
            # A source's weight repeats its records; each is read once.
            replies = {id(record): record for record in one.train if isinstance(record, Generation)}
            if not replies:
                continue
            kept = {id(record) for record in passing(judge, list(replies.values()), writer, settings)}
            left = [record for record in one.train if id(record) in kept or id(record) not in replies]
            one.filtered, one.train = len(one.train) - len(left), left
            stage(f"{len(kept)} of {len(replies)} replies of task {one.task!r} passed")
    finally:
        judge.unload()


def passing(
    judge: Any, replies: Sequence[Generation], writer: ExampleWriter, settings: FilterSettings
) -> list[Generation]:
    """The replies that the discriminators let through, in their order."""
    examples: list[Example] = []
    fitting: list[Generation] = []
    for record in replies:
        try:
            judged = Judged(context=record.context, response=record.response, ratings=RATINGS)  # type: ignore[arg-type]
            examples += writer.write(judged)
            fitting.append(record)
        except (RecordError, MessageError):
            continue
    read = label_probabilities(judge, examples, pad=writer.end)
    return [
        record
        for record, (sensible, specific, interesting, safe) in zip(fitting, read, strict=True)
        if safe >= settings.safe and quality(sensible, specific, interesting) >= settings.quality
    ]
