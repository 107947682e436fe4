"""The kinds of data that a recipe may name, and the split of each by context.

A kind reads one file into keyed records. The key decides the side of the split, so that a context, an article or a
dialog is never on both; records cut from a dialog have the dialog's opening as a key, wherever they begin. What has two
keys, a dialog's opening and the document that it is about, is held out where either is.
Boundary: files in, records out; token ids are `examples`'.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from dialog.errors import FinetuneError, RecordError
from dialog.finetune import grounded_dialogs
from dialog.finetune import research_data as research
from dialog.finetune.config import Config, DataSource
from dialog.finetune.records import (
    Generation,
    Groundedness,
    Keyed,
    PlainText,
    TrainingRecord,
    from_pair,
    from_quality,
    from_safety,
    read_training_records,
)
from dialog.finetune.retention import keys_of, read_texts, text_key
from safety import contrasts, sources
from safety.errors import SafetyError
from safety.records import QualityRecord, SafetyRecord, context_of, describe
from safety.split import plain, split_by

CORPUS = "tools/kb_vital_summaries.jsonl"


def context_key(record: TrainingRecord) -> str:
    """What a record shares with its siblings: how its context begins, or its own text."""
    match record:
        case PlainText():
            return record.text[:200]
        case Groundedness():
            return record.knowledge[:120]
        case _:
            return record.context[0].content if record.context else getattr(record, "response", "")


def asked_key(record: TrainingRecord) -> str:
    """The same for a user's own records: many begin with one system message or one greeting, so what counts is the
    first thing that a user says."""
    said = () if isinstance(record, PlainText | Groundedness) else record.context
    return next((message.content for message in said if message.role == "user"), context_key(record))


def text_of(record: TrainingRecord) -> str:
    """The whole text that a record holds: its own, or the knowledge; of the others no beginning is known."""
    match record:
        case PlainText():
            return record.text
        case Groundedness():
            return record.knowledge
        case _:
            return ""


def keyed(records: Iterable[TrainingRecord]) -> list[Keyed]:
    return [Keyed(context_key(record), record, text_of(record)) for record in records]


def of_dialogs(pairs: Iterable[tuple[Sequence[str], QualityRecord]]) -> list[Keyed]:
    """Rated replies with the dialog that each is from. A window of a dialog does not tell how the dialog opened."""
    return [Keyed(dialog[0], from_quality(record), sources.dialog_text(dialog)) for dialog, record in pairs]


def dialogs(path: Path, seed: int) -> list[Keyed]:
    """People's replies as generation records, two places a dialog."""
    rng = random.Random(seed)
    found: list[Keyed] = []
    for dialog in sources.human_dialogs(path):
        for i in rng.sample(range(1, len(dialog)), min(2, len(dialog) - 1)):
            record = Generation(context=context_of(dialog[max(0, i - 4) : i]), response=dialog[i])
            found.append(Keyed(dialog[0], record, sources.dialog_text(dialog)))
    return found


def quality_contrasts(path: Path, seed: int) -> list[Keyed]:
    """Contrasts of a file's dialogs."""
    return of_dialogs(contrasts.quality_contrasts(sources.human_dialogs(path), seed=seed))


def safety(records: Sequence[SafetyRecord]) -> list[Keyed]:
    return keyed(from_safety(record) for record in records)


Reader = Callable[[Path, int], list[Keyed]]
KINDS: dict[str, Reader] = {
    "records": lambda path, seed: [
        row._replace(key=asked_key(row.record)) for row in keyed(read_training_records(path))
    ],
    "text": lambda path, seed: keyed(PlainText(text=text) for text in read_texts(path)),
    "dialogs": dialogs,
    "diasafety": lambda path, seed: safety(sources.diasafety(path)),
    "toxichat": lambda path, seed: safety(sources.toxichat(path, turns="all")),
    "sbf": lambda path, seed: safety(sources.social_bias_frames(path)),
    "hh-pairs": lambda path, seed: keyed(from_pair(pair) for pair in sources.hh_pairs(path)),
    "harmful-prompts": lambda path, seed: safety(
        contrasts.prompt_contrasts([one.prompt for one in sources.harmful_prompts(path)], seed=seed)
    ),
    "lookalikes": lambda path, seed: safety(contrasts.benign_lookalikes()),
    "overcautious": lambda path, seed: keyed(map(from_quality, contrasts.overcautious(seed=seed))),
    "toxichat-plausibility": lambda path, seed: keyed(map(from_quality, sources.toxichat_plausibility(path))),
    "dialogue-eval": lambda path, seed: keyed(map(from_quality, sources.dialogue_eval(path))),
    "topical-chat": lambda path, seed: of_dialogs(sources.topical_chat(path)),
    "quality-contrasts": quality_contrasts,
    "begin": lambda path, seed: research.begin(path),
    "faithdial": lambda path, seed: research.faithdial(path),
    "groundedness-contrasts": research.groundedness_contrasts,
    "xquad": research.xquad,
    "nq": lambda path, seed: research.natural_questions(path, path.parent.parent / CORPUS, seed),
    "definitions": research.definitions,
    "articles": research.articles,
    "calculator": research.calculator,
    "small-talk": research.small_talk,
    "topical-chat-research": grounded_dialogs.topical_chat_research,
    "cmu-dog": grounded_dialogs.cmu_dog_research,
}
WITHOUT_FILE = frozenset({"lookalikes", "overcautious"})


@dataclass
class TaskData:
    """One source's records on both sides of the split."""

    task: str
    source: DataSource
    train: list[TrainingRecord] = field(default_factory=list)
    held_out: list[TrainingRecord] = field(default_factory=list)
    used: int = 0
    """Training records that the plan draws."""
    contexts: int = 0
    """Keys among the records that are held out."""
    measured: int = 0
    """Records left out because retention is measured on the text they come from."""
    filtered: int = 0
    """Records left out because the discriminators scored them too low."""
    held_texts: frozenset[str] = frozenset()
    """Keys (`retention.keys_of`) of the dialogs and paragraphs that records which are held out come from."""


def load_task_data(config: Config, folder: Path, measured: frozenset[str] = frozenset()) -> list[TaskData]:
    """Read and split every source of a run; what comes from `measured` texts (`retention.keys_of`) is not trained
    on. Raises FinetuneError for an unknown kind, RecordError for bad data.
    """
    found: list[TaskData] = []
    for name, task in config.tasks.items():
        if task.weight <= 0:
            continue
        for source in task.sources:
            if source.kind not in KINDS:
                raise FinetuneError(f"task {name!r}: unknown kind {source.kind!r}. Use one of {', '.join(KINDS)}.")
            if source.path is None and source.kind not in WITHOUT_FILE:
                raise FinetuneError(f"task {name!r}: kind {source.kind!r} reads a file. Give its path.")
            try:
                rows = KINDS[source.kind](resolve(folder, source.path or "."), config.train.seed)
            except SafetyError as error:  # the same faults under the dialog's name for them
                raise RecordError(str(error)) from None
            except ValidationError as bad:  # a row of the file's shape, of which no record can be made
                raise RecordError(
                    f"{source.path or source.kind}, read as kind {source.kind!r}: no record can be made of one of its "
                    f"rows: {describe(bad)} Mend that row, or take it out."
                ) from None
            if not rows:
                raise RecordError(
                    f"{source.path or source.kind} gives no record of kind {source.kind!r} to task {name!r}. Name a "
                    "file that holds some, or leave the source out."
                )
            train, held = split_by(rows, lambda row: row.keys, config.held_out, salt="held out")
            free = [row for row in train if not row.text or plain(text_key(row.text)) not in measured]
            random.Random(f"{config.train.seed} {name} {source.kind}").shuffle(free)
            found.append(
                TaskData(
                    task=name,
                    source=source,
                    train=[row.record for row in free][: source.limit] * source.weight,
                    held_out=[row.record for row in held],
                    contexts=len({plain(row.key) for row in held}),
                    measured=len(train) - len(free),
                    held_texts=keys_of(row.text for row in held if row.text),
                )
            )
    return found


def resolve(folder: Path, path: str) -> Path:
    """A path of a recipe: `~` expanded, relative ones from `folder`."""
    wanted = Path(path).expanduser()
    return wanted if wanted.is_absolute() else folder / wanted
