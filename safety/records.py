"""Evaluation records, and the reader of JSONL that names file, line and field.

The shapes are the same for public data (`safety.sources` makes them) and for a user's own files. Boundary: a
record is plain data; how it is put to a model is the dialog's affair.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from safety.errors import DataError

R = TypeVar("R", bound=BaseModel)

_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")

Rating = Annotated[float, Field(ge=0.0, le=1.0)]
"""A human rating as a fraction of its scale: 1 has the attribute, 0 has not."""


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Record(BaseModel):
    """Base of the records; unknown keys are refused so that a misspelt one does not pass as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = Field(default=None, description="Which data set it comes from; figures are broken down by it.")


class SafetyRecord(Record):
    """A reply in its context, and whether it is unsafe. A text to be judged on its own has an empty context."""

    context: tuple[Message, ...]
    response: str = Field(min_length=1)
    unsafe: Literal[0, 1]
    objective: str | None = Field(default=None, description="The objective in question, see `safety.objectives`.")


class QualityRecord(Record):
    """A reply in its context, rated on some of the three quality attributes (LaMDA, section 4.1)."""

    context: tuple[Message, ...]
    response: str = Field(min_length=1)
    sensible: Rating | None = None
    specific: Rating | None = None
    interesting: Rating | None = None


class PromptRecord(Record):
    """A first message alone, and whether it asks for something unsafe."""

    prompt: str = Field(min_length=1)
    unsafe: Literal[0, 1]


class GroundedQuestion(Record):
    """A question over a corpus. No answers: the corpus does not hold one."""

    question: str = Field(min_length=1)
    answers: tuple[str, ...]
    source_ids: tuple[str, ...] = ()


class GroundedRecord(Record):
    """A reply, and whether the knowledge holds all that it says."""

    knowledge: str = Field(min_length=1)
    context: tuple[Message, ...]
    response: str = Field(min_length=1)
    grounded: Literal[0, 1]

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("grounded"), bool):
            return {**value, "grounded": int(value["grounded"])}
        return value


def context_of(texts: Sequence[str]) -> tuple[Message, ...]:
    """Alternating turns whose last one is the user's: what precedes a reply."""
    last = len(texts) - 1
    return tuple(
        Message(role="user" if (last - i) % 2 == 0 else "assistant", content=text) for i, text in enumerate(texts)
    )


def read_json_lines(path: Path, error: type[Exception] = DataError) -> Iterator[tuple[int, Any]]:
    """Each line's number and value; blank lines and the mark that some editors begin a file with are passed over.

    Raises `error` with the line's number for what is no JSON, cannot be held, or no tokenizer could take.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield number, json_value(line)
                    except ValueError as bad:
                        raise error(f"{path.name}, line {number}: {bad}") from None
    except OSError as bad:
        raise error(f"{path} cannot be read ({bad.strerror or bad}). Name an existing JSONL file.") from None
    except UnicodeDecodeError:
        raise error(f"{path.name} is not UTF-8 text. Save it as UTF-8, one JSON object a line.") from None


def json_value(line: str) -> Any:
    """The value of a JSON text. Raises ValueError with what is wrong and the remedy."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as bad:
        raise ValueError(f"not JSON ({bad.msg} at column {bad.colno}). Write one JSON object a line.") from None
    except RecursionError:
        raise ValueError("lists or objects nested too deep to be read. Write a flat JSON object.") from None
    except ValueError:  # Python turns no longer digits into a number
        raise ValueError(
            f"a number of more than {sys.get_int_max_str_digits()} digits. Write it shorter, or as a text in quotes."
        ) from None
    if _HALF_ESCAPED.search(line) and (found := half_character(value)):
        field, half = found
        raise ValueError(
            f"field {field!r} holds \\u{ord(half):04x}, half of a character without its other half. "
            "Write the whole character, or leave it out."
        )
    return value


def half_character(value: Any) -> tuple[str, str] | None:
    """(field, the half) of the first lone surrogate, which JSON can escape and UTF-8 and tokenizers refuse."""
    rest: list[tuple[str, Any]] = [("", value)]
    while rest:  # not by recursion: JSON may be nested almost as deep as Python goes
        name, one = rest.pop()
        inner: Iterable[tuple[Any, Any]] = ()
        if isinstance(one, str) and (half := _HALF.search(one)):
            return name or "the line", half[0]
        if isinstance(one, dict):
            if half := next(filter(None, map(_HALF.search, one)), None):
                return name or "the line", half[0]  # a key, which the message cannot show
            inner = one.items()
        elif isinstance(one, list):
            inner = enumerate(one)
        rest.extend(reversed([(f"{name}.{key}" if name else str(key), each) for key, each in inner]))
    return None


def read_records(
    path: Path, shape: type[R], *, error: type[Exception] = DataError, limit: int | None = None
) -> list[R]:
    """Read a file of one record shape.

    Raises `error` for a line that does not fit (file, line, field, what is wrong) and for an empty file.
    """
    records: list[R] = []
    for number, value in read_json_lines(path, error):
        if limit is not None and len(records) >= limit:
            break
        try:
            records.append(shape.model_validate(value))
        except ValidationError as bad:
            raise error(f"{path.name}, line {number}: {describe(bad)}") from None
    if not records:
        raise error(f"{path.name} holds no records. Give at least one line of the shape {example(shape)}.")
    return records


def describe(bad: ValidationError) -> str:
    """The first fault of a record, in one line: field, what is wrong, the value."""
    fault = bad.errors(include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"]) or "the line"
    value = repr(fault.get("input"))
    shown = value if len(value) <= 60 else value[:57] + "…"
    return f"field {field!r}: {fault['msg']}, got {shown}."


def example(shape: type[BaseModel]) -> str:
    """A record's keys, required ones first, for messages."""
    fields = shape.model_fields.items()
    names = [name for name, field in fields if field.is_required()] + [
        f"{name}?" for name, field in fields if not field.is_required() and name != "source"
    ]
    return "{" + ", ".join(names) + "}"


def write_records(path: Path, records: Iterable[BaseModel]) -> int:
    """Write records as JSONL without absent fields; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(record.model_dump_json(exclude_none=True) + "\n")
            count += 1
    return count
