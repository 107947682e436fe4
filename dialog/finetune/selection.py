"""From a run's records to what is trained on and what is measured: examples by task, held-out sets by kind."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dialog.errors import FinetuneError, MessageError, RecordError
from dialog.finetune.config import Config
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.records import Groundedness, Judged, PlainText, TrainingRecord
from dialog.finetune.sources import TaskData

REPLAY = "replay"
UNUSABLE = "of conversations that the model's chat template refuses"


def examples_of(
    config: Config, data: Sequence[TaskData], learn: Sequence[str], writer: ExampleWriter
) -> tuple[dict[str, list[Example]], dict[str, float], list[tuple[int, str]]]:
    """(examples by task, weights by task, how many records were skipped and why).

    Raises RecordError where none may be skipped, FinetuneError where a task has nothing left to train on.
    """
    weights = {name: task.weight for name, task in config.tasks.items()}
    records: dict[str, list[TrainingRecord]] = {}
    for one in data:
        records.setdefault(one.task, []).extend(one.train)
    if config.method == "replay":
        records[REPLAY] = [PlainText(text=text) for text in learn]
        weights[REPLAY] = config.replay.weight
    drawn, scale = config.train.steps * config.train.batch_size, sum(weights.values())
    tasks: dict[str, list[Example]] = {}
    long_ones, refused = 0, 0
    for name, rows in records.items():
        random.Random(f"{config.train.seed} {name}").shuffle(rows)
        examples = tasks.setdefault(name, [])
        too_long, unusable = 0, 0
        for record in rows:
            if len(examples) > drawn * weights[name] / scale + 1:
                break  # a short run does not tokenise what it will not draw
            try:
                examples += writer.write(record)
            except RecordError:
                if config.train.too_long == "error":
                    raise
                too_long += 1
            except MessageError as error:
                if config.train.too_long == "error":
                    raise RecordError(f"a record of task {name!r} cannot be written: {error}") from None
                unusable += 1
        if not examples and name != REPLAY:
            of_task = [one for one in data if one.task == name]
            raise FinetuneError(nothing_left(name, of_task, too_long, unusable, config))
        long_ones, refused = long_ones + too_long, refused + unusable
    causes = [(long_ones, f"longer than train.max_tokens={config.train.max_tokens}"), (refused, UNUSABLE)]
    return tasks, weights, [(count, why) for count, why in causes if count]


def nothing_left(task: str, data: Sequence[TaskData], too_long: int, unusable: int, config: Config) -> str:
    """Why a task has no example, and what to do about it."""
    held, contexts = sum(len(one.held_out) for one in data), sum(one.contexts for one in data)
    shared = "they share one context" if contexts == 1 else f"they are of {contexts} contexts"
    limit = config.train.max_tokens
    causes = [
        (held, f"held out: {shared}, and a context is never split", "Give more contexts, or set held_out=0."),
        (
            sum(one.measured for one in data),
            "from text that retention is measured on",
            "Give other data, or other retention.texts.",
        ),
        (sum(one.filtered for one in data), "dropped by the filter", "Lower filter.quality or filter.safe."),
        (too_long, f"longer than train.max_tokens={limit}", "Raise train.max_tokens."),
        (unusable, UNUSABLE, "Give contexts in which user and assistant take turns."),
    ]
    causes = [cause for cause in causes if cause[0]]
    total = sum(count for count, _, _ in causes)
    if not causes:
        return f"task {task!r} has a weight but no examples. Check its files, or set its weight to 0."
    if len(causes) == 1:
        [(_, why, remedy)] = causes
        return f"all {total} records of task {task!r} are {why}. {remedy}"
    why = "; ".join(f"{count} are {each}" for count, each, _ in causes)
    remedies = " ".join(remedy for _, _, remedy in causes)
    return f"none of the {total} records of task {task!r} is left to train on: {why}. {remedies}"


def judged_sets(
    data: Sequence[TaskData], writer: ExampleWriter, limit: int, seed: int
) -> dict[str, list[Judged | Groundedness]]:
    """Held-out judged records by kind, those that fit, at most `limit` each.

    Drawn with a seed from all files of the kind: a file's first rows are often of one author or one label.
    """
    every: dict[str, list[Judged | Groundedness]] = {}
    for one in data:
        rows = [record for record in one.held_out if isinstance(record, Judged | Groundedness)]
        every.setdefault(one.source.kind, []).extend(rows)
    found: dict[str, list[Judged | Groundedness]] = {}
    for kind, rows in every.items():
        random.Random(f"{seed} {kind}").shuffle(rows)
        kept = found.setdefault(kind, [])
        for record in rows:
            if len(kept) >= limit:
                break
            try:
                writer.write(record)
            except (RecordError, MessageError):
                continue
            kept.append(record)
    return {kind: records for kind, records in found.items() if records}
