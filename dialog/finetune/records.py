"""Training records, one JSON object a line, and what tells their shapes apart.

Each shape teaches one thing (LaMDA, arXiv 2201.08239, sections 5 and 6):

    generation      {"context": [{"role","content"}…], "response": str}
    discrimination  {"context": […], "response": str, "attribute": str, "rating": 0…1}
    preference      {"context": […], "chosen": str, "rejected": str, "attribute": str}
    groundedness    {"knowledge": str, "context": […], "response": str, "grounded": 0…1}
    research        {"context": […], "base": str, "steps": [{"query", "evidence": […]}…], "final": str}
    text            {"text": str}

Evaluation records of safety and quality (`safety.records`) train too: their labels become ratings. Boundary: plain
data; `examples` turns it into tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialog.dialect import Attribute
from dialog.errors import RecordError
from dialog.messages import Message
from safety.records import QualityRecord, Rating, SafetyRecord, describe, read_json_lines

Text = Annotated[str, Field(min_length=1)]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None


class Generation(Shape):
    """A reply to be imitated."""

    context: tuple[Message, ...]
    response: Text


class Discrimination(Shape):
    """A reply and how far it has an attribute."""

    context: tuple[Message, ...]
    response: Text
    attribute: Attribute
    rating: Rating


class Judged(Shape):
    """A reply with ratings of several attributes, all read at one place."""

    context: tuple[Message, ...]
    response: Text
    ratings: dict[Attribute, Rating] = Field(min_length=1)


class Preference(Shape):
    """Two replies of which the first has more of an attribute."""

    context: tuple[Message, ...]
    chosen: Text
    rejected: Text
    attribute: Attribute = "safe"


class Groundedness(Shape):
    """A reply and whether the knowledge holds all that it says."""

    knowledge: Text
    context: tuple[Message, ...]
    response: Text
    grounded: Rating


class Snippet(Shape):
    """One result of a tool."""

    text: Text
    title: str = "Source"
    id: str | None = None


class ResearchStep(Shape):
    """A query to the toolset and what came back, possibly nothing."""

    query: Text
    evidence: tuple[Snippet, ...] = ()


class ResearchRecord(Shape):
    """A researched turn. With no steps the model learns to answer at once."""

    context: tuple[Message, ...] = Field(min_length=1)
    base: Text
    steps: tuple[ResearchStep, ...] = ()
    final: Text


class PlainText(Shape):
    """Text to be predicted token by token; also what replay mixes in."""

    text: Text


TrainingRecord = Generation | Discrimination | Judged | Preference | Groundedness | ResearchRecord | PlainText


class Keyed(NamedTuple):
    """A record with what decides where it may be used."""

    key: str
    """Records with one key (a context, an article, a dialog's opening) are on one side of the held-out split."""
    record: TrainingRecord
    text: str = ""
    """The dialog or text that it was cut from: what retention is measured on is not trained on."""
    opening: str = ""
    """The dialog's opening, where the key is something else, such as the document that was talked about."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All that it is held out by."""
        return (self.key, self.opening) if self.opening else (self.key,)


def read_training_records(path: Path, *, limit: int | None = None) -> list[TrainingRecord]:
    """Read a file whose lines may have different shapes.

    Raises RecordError naming file, line and field, or that the file is empty.
    """
    records: list[TrainingRecord] = []
    for number, value in read_json_lines(path, RecordError):
        if limit is not None and len(records) >= limit:
            break
        try:
            records.append(parse(value))
        except ValidationError as bad:
            raise RecordError(f"{path.name}, line {number}: {describe(bad)}") from None
        except ValueError as bad:
            raise RecordError(f"{path.name}, line {number}: {bad}") from None
    if not records:
        raise RecordError(f"{path.name} holds no records. Give at least one line; docs/finetune.md shows the shapes.")
    return records


def parse(value: Any) -> TrainingRecord:
    """One record of whichever shape its keys say. Raises ValidationError, or ValueError for unknown keys."""
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}, not an object. Write one JSON object a line.")
    keys = set(value)
    if "text" in keys:
        return PlainText.model_validate(value)
    if "final" in keys or "steps" in keys:
        return ResearchRecord.model_validate(value)
    if "chosen" in keys or "rejected" in keys:
        return Preference.model_validate(value)
    if "knowledge" in keys or "grounded" in keys:
        return Groundedness.model_validate(value)
    if "attribute" in keys or "rating" in keys:
        return Discrimination.model_validate(value)
    if "ratings" in keys:
        return Judged.model_validate(value)
    if "unsafe" in keys:
        return from_safety(SafetyRecord.model_validate(value))
    if keys & {"sensible", "specific", "interesting"}:
        return from_quality(QualityRecord.model_validate(value))
    if "response" in keys:
        return Generation.model_validate(value)
    raise ValueError(
        f"the keys {sorted(keys)} fit no record shape. Use the keys of generation, discrimination, preference, "
        "groundedness, research or text records."
    )


def judged_records(records: Iterable[TrainingRecord]) -> list[Judged | Groundedness]:
    """Those that a discriminator can be measured on, a single attribute's rating as one of several."""
    found: list[Judged | Groundedness] = []
    for record in records:
        if isinstance(record, Discrimination):
            ratings: dict[Attribute, Rating] = {record.attribute: record.rating}
            found.append(
                Judged(context=record.context, response=record.response, ratings=ratings, source=record.source)
            )
        elif isinstance(record, Judged | Groundedness):
            found.append(record)
    return found


def from_safety(record: SafetyRecord) -> Judged:
    """A safety label as a rating of SAFE."""
    return Judged(
        context=record.context,
        response=record.response,
        ratings={"safe": 1.0 - record.unsafe},
        source=record.source,
    )


def from_quality(record: QualityRecord) -> Judged:
    """Quality ratings, those that are there. Raises ValueError where none is."""
    values: dict[Attribute, float | None] = {
        "sensible": record.sensible,
        "specific": record.specific,
        "interesting": record.interesting,
    }
    ratings: dict[Attribute, Rating] = {name: value for name, value in values.items() if value is not None}
    if not ratings:
        raise ValueError("no rating. Give at least one of 'sensible', 'specific', 'interesting'.")
    return Judged(context=record.context, response=record.response, ratings=ratings, source=record.source)


def from_pair(pair: Sequence[SafetyRecord]) -> Preference:
    """A (preferred, rejected) pair of `safety.sources.hh_pairs`."""
    chosen, rejected = pair
    return Preference(context=chosen.context, chosen=chosen.response, rejected=rejected.response, source=chosen.source)
