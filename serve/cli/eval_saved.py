"""Results that `groundling eval … --save DIR` keeps, one JSON file each, and `groundling eval report DIR` reads.

A file's name holds the kind, the data set, the model, the adapter, and a hash of the data and the other options. So one
data set measured with two adapters or thresholds is two files side by side, as are two data sets of one name, and the
same command again replaces its own result.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.errors import SettingsError

if TYPE_CHECKING:
    from serve.assemble import AgentOptions

ROWS = ("limit", "corpus", "tokens", "held_out", "family", "plans")
"""Options that choose what is measured, as the data do; the others choose how."""


class Subject(BaseModel):
    """What was measured."""

    model_config = ConfigDict(frozen=True)

    model: str = "unknown model"
    adapter: str = "none"
    details: tuple[str, ...] = Field(default=(), description="An engine or dialect that is not the usual one.")

    def __str__(self) -> str:
        name = self.model if self.adapter == "none" else f"{self.model} + {self.adapter}"
        return f"{name} ({', '.join(self.details)})" if self.details else name


class Scores(BaseModel):
    """Labels and scores that curves are drawn from."""

    labels: list[int]
    scores: list[float]


class Saved(BaseModel):
    """One result."""

    eval: str
    data: str
    folder: str = Field(default="", description="The name of the folder that the data lie in.")
    content: str = Field(default="", description="A hash of the data.")
    options: dict[str, Any] = Field(default_factory=dict, description="Others than the model's that change figures.")
    subject: Subject = Subject()
    figures: dict[str, Any]
    scores: Scores | None = None

    @property
    def rows(self) -> dict[str, Any]:
        """The options that choose what is measured."""
        return {name: value for name, value in self.options.items() if name in ROWS}

    @property
    def measured(self) -> str:
        """What results that can be compared share."""
        return json.dumps([self.eval, self.data, self.content, self.rows], sort_keys=True)

    def file_name(self) -> str:
        about = self.subject
        parts = [self.eval, Path(self.data).stem, about.model, about.adapter, *about.details]
        key = json.dumps([self.content, self.options], sort_keys=True)
        parts.append(hashlib.blake2b(key.encode(), digest_size=4).hexdigest())
        return "-".join(re.sub(r"[^\w.@+-]+", "_", part).strip("_") for part in parts) + ".json"


def digest(path: Path) -> str:
    """A short hash of a file's content; empty where there is no file, such as for a corpus by name."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=4)).hexdigest()


def named(path: Path) -> str:
    """A file as an option's value: two files of one name differ by their content."""
    content = digest(path)
    return f"{path.name}@{content}" if content else str(path)


def subject_of(options: AgentOptions) -> Subject:
    """The names of the model and the adapter that the options choose. Raises AdapterError."""
    from dialog.finetune.adapters import adapter_label
    from serve.adapters import find_adapter

    folder, card = find_adapter(options.adapter, options.model, options.engine)
    adapter = "none" if folder is None else f"{card.name}@{card.version}" if card and card.version else None
    if folder is not None and card and folder.parent.name == "refused":  # <run>/refused/v0001
        adapter = f"{card.name}@{folder.parent.parent.name}-{folder.name}"
    details = [options.dialect] if options.dialect else []
    if options.engine != "transformers":
        details.insert(0, options.engine)
    model = Path(options.model).name if Path(options.model).exists() else options.model
    return Subject(model=model, adapter=adapter or adapter_label(folder), details=tuple(details))  # type: ignore[arg-type]


def save_result(folder: Path, result: Saved) -> Path:
    """Write a result into `folder`, over an earlier one of the same data, subject and options. Raises FinetuneError."""
    from dialog.finetune.saving import write_whole

    path = folder / result.file_name()
    write_whole(path, result.model_dump_json())
    return path


def read_saved(folder: Path) -> list[Saved]:
    """The results in a folder; JSON files that hold none are passed over. Raises SettingsError for a broken file."""
    found = []
    for path in sorted(folder.glob("*-*.json")):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(value, dict) and {"eval", "figures"} <= set(value):
                found.append(Saved.model_validate(value))
        except (OSError, ValueError, ValidationError) as error:
            fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise SettingsError(
                f"{path} is no whole saved result ({fault}). Delete it, or run its eval command again with --save."
            ) from None
    if not found:
        raise SettingsError(f"{folder} holds no saved result. Run an eval command with --save {folder} first.")
    return found
