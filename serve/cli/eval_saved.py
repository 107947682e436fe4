"""Results that `groundling eval … --save DIR` keeps, one JSON file each, and `groundling eval report DIR` reads.

A file's name holds the kind, the data set, the model, the adapter, and a hash of the data, the weights and the other
options. So one data set measured with two adapters or thresholds is two files side by side, as are two data sets of one
name or adapters in folders of one name, and the same command again replaces its own result.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from serve.errors import SettingsError
from serve.masking import without_credentials

if TYPE_CHECKING:
    from serve.assemble import AgentOptions

ROWS = ("limit", "corpus", "tokens", "held_out", "family", "plans")
"""Options that choose what is measured, as the data do; the others choose how."""
LONGEST_NAME = 180
"""Bytes of a file's name before its hash: file systems take 255, and writing a file whole needs some of them."""


class Subject(BaseModel):
    """What was measured."""

    model_config = ConfigDict(frozen=True)

    model: str = "unknown model"
    adapter: str = "none"
    details: tuple[str, ...] = Field(default=(), description="An engine or dialect that is not the usual one.")
    revision: str = Field(default="", description="A hash of a model folder; a name says itself which model it is.")
    weights: str = Field(default="", description="A hash of the adapter's weights.")

    @field_validator("details")
    @classmethod
    def _masked(cls, details: tuple[str, ...]) -> tuple[str, ...]:
        """A server's address without credentials: results and reports are passed on. Older files are read so too."""
        return tuple(without_credentials(detail) for detail in details)

    @property
    def hashes(self) -> dict[str, str]:
        """What tells subjects that read alike apart; some are unknown, of results saved without them."""
        return {name: value for name, value in (("revision", self.revision), ("weights", self.weights)) if value}

    @property
    def bare(self) -> Subject:
        """The model without the adapter."""
        return self.model_copy(update={"adapter": "none", "weights": ""})

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
        named = "-".join(re.sub(r"[^\w.@+-]+", "_", part).strip("_") for part in parts)
        key = json.dumps([self.data, self.content, self.options, about.model_dump(mode="json")], sort_keys=True)
        short = named.encode()[:LONGEST_NAME].decode(errors="ignore")
        return f"{short}-{hashlib.blake2b(key.encode(), digest_size=4).hexdigest()}.json"


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


def weights_of(adapter: Path) -> str:
    """A short hash of an adapter folder's weights: two folders of one name may hold different ones."""
    files = (adapter / f"adapter_model.{kind}" for kind in ("safetensors", "bin"))
    return next(filter(None, map(digest, files)), "")


def revision_of(model: str) -> str:
    """A short hash of a model that is a folder; empty for a name."""
    from serve.store import CATALOGUE
    from serve.store.manifest import fingerprint

    folder = Path(model).expanduser()
    return fingerprint(folder)[:8] if folder.is_dir() and model not in CATALOGUE else ""


def subject_of(options: AgentOptions) -> Subject:
    """The model and the adapter that the options choose, by name and hash. Raises AdapterError."""
    from dialog.finetune.adapters import adapter_label
    from serve.adapters import find_adapter

    folder, card = find_adapter(options.adapter, options.model, options.engine)
    adapter = "none" if folder is None else f"{card.name}@{card.version}" if card and card.version else None
    if folder is not None and card and folder.parent.name == "refused":  # <run>/refused/v0001
        adapter = f"{card.name}@{folder.parent.parent.name}-{folder.name}"
    details = [options.dialect] if options.dialect else []
    if options.engine != "transformers":
        details.insert(0, options.engine)
    return Subject(
        model=Path(options.model).name if Path(options.model).exists() else options.model,
        adapter=adapter or adapter_label(folder),  # type: ignore[arg-type]
        details=tuple(details),
        revision=revision_of(options.model),
        weights=weights_of(folder) if folder is not None else "",
    )


def check_save(folder: Path) -> None:
    """Find before the long work that nothing can be written into `folder`, which may yet have to be made.

    It leaves nothing behind. Raises FinetuneError.
    """
    from dialog.finetune.saving import explained

    with explained(folder):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=there):
            pass


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
