"""From a run's records to what is trained on and what is measured: examples by task, held-out sets by kind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dialog.errors import FinetuneError, MessageError, RecordError
from dialog.finetune.config import REPLAY, Config, DataSource
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.records import Groundedness, Judged, PlainText, TrainingRecord, judged_records
from dialog.finetune.retention import keys_of
from dialog.finetune.sources import TaskData

EXCERPT = 80
"""Characters of a record that an error shows."""
UNUSABLE = "of conversations that the model's chat template refuses"


class Selected(NamedTuple):
    """What a plan is drawn from."""

    examples: dict[str, list[Example]]
    """By task."""
    weights: dict[str, float]
    """By task."""
    skipped: list[tuple[int, str]]
    """How many records are left out, and why."""
    origins: dict[int, TrainingRecord]
    """The record that an example, by its id, was written from."""


def examples_of(config: Config, data: Sequence[TaskData], learn: Sequence[str], writer: ExampleWriter) -> Selected:
    """The examples that a run may draw. Replay draws on `learn` without the dialogs of which any record is held out.

    Raises RecordError where none may be skipped, FinetuneError where a task has nothing left to train on.
    """
    weights = {name: task.weight for name, task in config.tasks.items()}
    records: dict[str, list[TrainingRecord]] = {}
    for one in data:
        records.setdefault(one.task, []).extend(one.train)
    kept_back = 0
    if config.method == "replay":
        held = frozenset[str]().union(*(one.held_texts for one in data))
        replayed = [text for text in learn if keys_of([text]).isdisjoint(held)]
        kept_back = len(learn) - len(replayed)
        records[REPLAY] = [PlainText(text=text) for text in replayed]
        share = config.replay.share
        weights[REPLAY] = sum(weights.values()) * share / (1 - share)
    drawn, scale = config.train.steps * config.train.batch_size, sum(weights.values())
    tasks: dict[str, list[Example]] = {}
    origins: dict[int, TrainingRecord] = {}
    long_ones, refused = 0, 0
    for name, rows in records.items():
        random.Random(f"{config.train.seed} {name}").shuffle(rows)
        examples = tasks.setdefault(name, [])
        too_long, unusable = 0, 0
        for record in rows:
            if len(examples) > drawn * weights[name] / scale + 1:
                break  # a short run does not tokenise what it will not draw
            try:
                written = writer.write(record)
                examples += written
                origins |= {id(example): record for example in written}
            except RecordError as error:
                if config.train.too_long == "error":
                    raise RecordError(f"task {name!r}: {error} The record: {excerpt(record)}") from None
                too_long += 1
            except MessageError as error:
                if config.train.too_long == "error":
                    raise RecordError(f"a record of task {name!r} cannot be written: {error}") from None
                unusable += 1
        if not examples and name == REPLAY:
            raise FinetuneError(nothing_to_replay(kept_back, too_long, config))
        if not examples:
            of_task = [one for one in data if one.task == name]
            raise FinetuneError(nothing_left(name, of_task, too_long, unusable, config))
        long_ones, refused = long_ones + too_long, refused + unusable
    causes = [
        (kept_back, "general text that records are held out of, which replay may not teach"),
        (long_ones, f"longer than train.max_tokens={config.train.max_tokens}"),
        (refused, UNUSABLE),
    ]
    return Selected(tasks, weights, [(count, why) for count, why in causes if count], origins)


def excerpt(record: TrainingRecord) -> str:
    """The beginning of a record, by which it is found in its file."""
    text = record.text if isinstance(record, PlainText) else record.context[-1].content if record.context else ""
    text = text or getattr(record, "response", "")
    return repr(text[:EXCERPT] + ("…" if len(text) > EXCERPT else ""))


def count_used(plan: Sequence[Sequence[Example]], selected: Selected, data: Sequence[TaskData]) -> int:
    """Tell every source how many of its records the plan draws; returns how many general texts it draws."""
    drawn = {id(selected.origins[id(example)]) for batch in plan for example in batch}
    for one in data:
        one.used = len({id(record) for record in one.train} & drawn)
    return len(drawn) - sum(one.used for one in data)


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


def nothing_to_replay(held: int, too_long: int, config: Config) -> str:
    """Why method replay has no text, and what to do about it."""
    return (
        f"method=replay has no general text to draw: of retention.texts ({', '.join(config.retention.texts)}) "
        f"{held} texts are dialogs that records are held out of and {too_long} are longer than "
        f"train.max_tokens={config.train.max_tokens}. Name more retention.texts, or use method=ewc."
    )


def judged_sets(
    data: Sequence[TaskData], writer: ExampleWriter, limit: int, seed: int
) -> dict[str, list[Judged | Groundedness]]:
    """Held-out judged records by source, those that fit, at most `limit` each.

    Drawn with a seed from the whole file: its first rows are often of one author or one label.
    """
    found: dict[str, list[Judged | Groundedness]] = {}
    for name, records in held_out_by_source(data).items():
        rows = judged_records(records)
        random.Random(f"{seed} {name}").shuffle(rows)
        kept = found.setdefault(name, [])
        for record in rows:
            if len(kept) >= limit:
                break
            try:
                writer.write(record)
            except (RecordError, MessageError):
                continue
            kept.append(record)
    return {name: records for name, records in found.items() if records}


def held_out_by_source(data: Sequence[TaskData]) -> dict[str, list[TrainingRecord]]:
    """Held-out records under their source's name; a file that two tasks read is measured once."""
    names = source_names([one.source for one in data])
    found: dict[str, list[TrainingRecord]] = {}
    for one in data:
        found.setdefault(names[one.source.kind, one.source.path], one.held_out)
    return found


def source_names(sources: Iterable[DataSource]) -> dict[tuple[str, str | None], str]:
    """What a figure on each (kind, path) is called: its kind, and the file where that does not tell sources apart."""
    places = {(one.kind, one.path) for one in sources}
    kinds = Counter(kind for kind, _ in places)
    stems = Counter((kind, Path(path or "").stem) for kind, path in places)

    def name(kind: str, path: str | None) -> str:
        if path is None or (kinds[kind] == 1 and kind != "records"):
            return kind
        file = Path(path).stem if stems[kind, Path(path).stem] == 1 else path
        return file if kind == "records" else f"{kind} ({file})"

    return {place: name(*place) for place in places}
