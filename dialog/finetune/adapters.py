"""Adapter folders: versioned, each with a card that says what it is, and never written twice.

    <root>/<name>/v0001/   adapter_config.json, adapter_model.safetensors (peft), card.json, README.md, curves.png

A new version is a new path, because engines keep what they loaded by path. Boundary: files; which root is used and
how an adapter is served is `serve`'s affair.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialog.errors import AdapterError, FinetuneError
from dialog.finetune.saving import whole_folder, write_whole

CARD = "card.json"
WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"
NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
"""What an adapter may be called, as in a configuration: its name is a folder's, and must not lead out of the store."""
Stored = Literal["float32", "bfloat16", "float16"]
"""Number types that merged weights may be kept in."""
_VERSION = re.compile(r"v([0-9]{4,})")


class DataUse(BaseModel):
    """One data set that an adapter saw."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    kind: str
    file: str | None
    licence: str
    records: int
    held_out: int


class AdapterCard(BaseModel):
    """What an adapter is, and what it may be trusted with."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=NAME)
    version: str = Field(default="", pattern=rf"^({_VERSION.pattern})?$")
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    base_model: str
    base_revision: str = Field(description="Hash of the base weights; engines refuse another base.")
    dialect: str = "tuned"
    method: str
    recipe: dict[str, Any] = Field(default_factory=dict)
    data: list[DataUse] = Field(default_factory=list)
    metrics: dict[str, float] = Field(default_factory=dict)
    safety_threshold: float | None = Field(default=None, description="Least P(safe) that passes, calibrated.")
    grounded_threshold: float | None = Field(default=None, description="Least P(grounded) of a grounded reply.")
    refused: str | None = Field(default=None, description="Why it was not installed, where it was not.")
    installed_despite: str | None = Field(
        default=None, description="Why it had been refused, where it was installed all the same."
    )

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


class StoredAdapter(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: Path
    card: AdapterCard

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def version(self) -> str:
        return self.card.version

    @property
    def full_name(self) -> str:
        return self.card.full_name


class UnreadableAdapter(BaseModel):
    """A version's folder in a store whose card cannot be read: cut, or of a newer release. Its path says which it is.

    Folders are renamed into place whole, so none is merely being written.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    fault: str

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def version(self) -> str:
        return self.path.name

    @property
    def full_name(self) -> str:
        return adapter_label(self.path)


def read_card(folder: Path) -> AdapterCard:
    """Raises AdapterError where the folder is not an adapter with a card."""
    path = folder / CARD
    try:
        return AdapterCard.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise AdapterError(
            f"{folder} holds no {CARD}, so it is not an adapter made here. Name a folder with a card."
        ) from None
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror or error}. Make it readable.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            why = f"{key} is unknown here. The card may be of a newer Groundling: update it, or finetune again."
        elif key and fault["type"] != "missing":
            why = f"{key}: {fault['msg']}, got {fault['input']!r:.60}. Correct it, or finetune again."
        else:
            why = f"{key}: {fault['msg']}. Finetune again." if key else f"{fault['msg']}. Finetune again."
        raise AdapterError(f"{path}: {why}") from None


def check_files(folder: Path) -> None:
    """Raises AdapterError where the folder does not hold what engines load: peft's settings, and weights.

    Of the weights the header is read, which says whether the file is whole; not the numbers.
    """
    from safetensors import SafetensorError, safe_open

    whole = "Name a whole adapter folder, or copy it anew."
    for path in (folder / SETTINGS, folder / WEIGHTS):
        if not path.is_file():
            raise AdapterError(f"{folder} holds no {path.name}. {whole}")
    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / SETTINGS} is not readable JSON ({error}). {whole}") from None
    if not isinstance(settings, dict):
        raise AdapterError(f"{folder / SETTINGS} holds a {type(settings).__name__}, not keys and values. {whole}")
    try:
        with safe_open(folder / WEIGHTS, framework="np") as file:
            empty = not list(file.keys())
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{folder / WEIGHTS} is not a readable safetensors file ({error}). {whole}") from None
    if empty:
        raise AdapterError(f"{folder / WEIGHTS} holds no weights. {whole}")


def write_adapter(
    folder: Path, model: Any, card: AdapterCard, *, before: Callable[[Path], None] = lambda part: None
) -> None:
    """Write a peft model's adapter with its card. Raises FinetuneError where the disk refuses.

    The matrices are kept in float16, which rounds each by at most 0.05% and halves the folder. `before` is told where
    all is written, just before it appears as `folder`.
    """
    kept = {name: value.half() for name, value in model.state_dict().items() if "lora_" in name}
    with whole_folder(folder) as part:
        model.save_pretrained(str(part), state_dict=kept, save_embedding_layers=False)
        (part / CARD).write_text(card.model_dump_json(indent=1))
        (part / "README.md").write_text(card_text(card))
        before(part)


def adapter_label(folder: Path) -> str:
    """What an adapter's folder is called: `name@version` as stores lay them out, else the folder's name."""
    return f"{folder.parent.name}@{folder.name}" if _VERSION.fullmatch(folder.name) else folder.name


class AdapterStore:
    """Adapters below one folder, and below others that are only read."""

    def __init__(self, root: Path, *others: Path) -> None:
        self.root = root
        self.folders = (*others, root)

    def all(self) -> list[StoredAdapter | UnreadableAdapter]:
        """Readable or not, by name, oldest version first; what `root` holds comes after others of one version."""
        found: list[StoredAdapter | UnreadableAdapter] = []
        for path in (path for folder in self.folders for path in folder.glob("*/v*")):
            if not (_VERSION.fullmatch(path.name) or (path / CARD).is_file()):
                continue
            try:
                found.append(StoredAdapter(path=path, card=read_card(path)))
            except AdapterError as error:
                found.append(UnreadableAdapter(path=path, fault=str(error)))
        return sorted(found, key=lambda one: (one.name, len(one.version), one.version))

    def list(self) -> list[StoredAdapter]:
        """All readable adapters, by name, oldest version first."""
        return [one for one in self.all() if isinstance(one, StoredAdapter)]

    def newest(self, name: str, version: str = "") -> StoredAdapter | None:
        """The newest version of `name`, or the `version` named; None where there is none.

        Raises AdapterError where its card cannot be read: an older one does not silently take its place.
        """
        versions = [one for one in self.all() if one.name == name]
        matching = [one for one in versions if not version or one.version == version]
        if not matching:
            return None
        found = matching[-1]
        if isinstance(found, StoredAdapter):
            return found
        before = (one for one in versions[: versions.index(found)] if isinstance(one, StoredAdapter))
        older = [one.full_name for one in before if one.version != found.version]
        instead = f", or name an older version: {older[-1]}" if older else ""
        raise AdapterError(f"{found.fault} Or repair or delete the folder of {found.full_name}{instead}.")

    def find(self, name: str) -> StoredAdapter:
        """By `name` (its newest version), `name@v0002`, or a folder's path.

        Raises AdapterError where there is none, or the card of what is named cannot be read.
        """
        wanted, _, version = name.partition("@")
        if found := self.newest(wanted, version):
            return found
        folder = Path(name).expanduser()
        if (folder / SETTINGS).is_file():
            return StoredAdapter(path=folder.resolve(), card=read_card(folder))
        known = ", ".join(sorted({a.full_name for a in self.list()})) or "none yet"
        raise AdapterError(
            f"no adapter {name!r}. Installed: {known}. Make one with `groundling finetune`, or name a folder."
        )

    def next_version(self, name: str) -> str:
        """The version after the newest of `name`."""
        taken = [path.name for folder in self.folders for path in folder.glob(f"{name}/v*")]
        numbers = [int(m.group(1)) for one in taken if (m := _VERSION.fullmatch(one))]
        return f"v{max(numbers, default=0) + 1:04d}"

    def install(self, folder: Path) -> StoredAdapter:
        """Copy an adapter folder in as a new version, also a refused one.

        Raises AdapterError where the folder is not a whole adapter, FinetuneError where the store cannot be written.
        """
        card = read_card(folder)
        check_files(folder)
        card.version = self.next_version(card.name)
        card.installed_despite, card.refused = card.refused or card.installed_despite, None
        final = self.root / card.name / card.version
        with whole_folder(final) as part:
            shutil.copytree(folder, part, dirs_exist_ok=True)
            (part / CARD).write_text(card.model_dump_json(indent=1))
            (part / "README.md").write_text(card_text(card))
        return StoredAdapter(path=final, card=card)


def named_adapter(
    wanted: str, key: str, folder: Path, store: AdapterStore, *, model: str, revision: str
) -> tuple[Path, AdapterCard | None]:
    """The adapter that a configuration's `key` names: a folder below `folder`, or one that `store` knows.

    (its folder, its card; None for a plain LoRA folder). Raises FinetuneError where there is none, or it is of another
    base model than `model`.
    """
    path = folder / Path(wanted).expanduser()
    try:
        if not (path / SETTINGS).is_file():
            path = store.find(wanted).path
        card = read_card(path) if (path / CARD).is_file() else None
    except AdapterError as error:
        raise FinetuneError(f"{key}: {error}") from None
    if card and card.base_revision != revision:
        raise FinetuneError(
            f"{key} {wanted} was trained on {card.base_model} ({card.base_revision[:12]}), but this run's "
            f"base model is {revision[:12]}. Name an adapter of {model}."
        )
    return path, card


def merge_into(adapter: StoredAdapter, model_folder: Path, revision: str, out: Path, dtype: Stored = "float32") -> Path:
    """Write the base model with the adapter merged into its weights as a model folder; returns `out`.

    Merged weights are served as fast as the base model by every engine. The sum W + ΔW is computed in float32 and kept
    as `dtype`; rounding it to bfloat16 puts an error of 0.15 to 0.40 ‖ΔW‖ on a layer (measured on six). The card goes
    along, for whoever serves the folder. Raises AdapterError for another base, an existing folder, or weights that do
    not load; FinetuneError where memory or the disk does not suffice.
    """
    if adapter.card.base_revision != revision:
        raise AdapterError(
            f"{adapter.full_name} was trained on {adapter.card.base_model} ({adapter.card.base_revision[:12]}), not on "
            f"{revision[:12]}. Use its own base model."
        )
    if out.exists():
        raise AdapterError(f"{out} is there already. Name a new folder.")
    import torch

    from dialog.finetune.memory import out_of_memory

    with out_of_memory("merging", "Merging takes 4 bytes a weight: free memory, or merge on a larger machine."):
        model, tokenizer = load_merged(adapter, model_folder)
        model.to(getattr(torch, dtype))
    with whole_folder(out) as part:
        model.save_pretrained(str(part))
        tokenizer.save_pretrained(str(part))
        write_whole(part / CARD, adapter.card.model_dump_json(indent=1))
    return out


def load_merged(adapter: StoredAdapter, model_folder: Path) -> tuple[Any, Any]:
    """(the base model with the adapter in its weights, in float32; its tokenizer). Raises AdapterError."""
    import torch
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from dialog.finetune.memory import SIGNS

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_folder, local_files_only=True)
        base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, local_files_only=True)
        adapted: Any = PeftModel.from_pretrained(base, str(adapter.path), local_files_only=True)
        return adapted.merge_and_unload(), tokenizer
    except (RuntimeError, ValueError, KeyError, OSError, TypeError, SafetensorError) as error:
        if any(sign in str(error) for sign in SIGNS):
            raise
        text = " ".join(str(error).split())[:200]
        raise AdapterError(
            f"{adapter.full_name} in {adapter.path} cannot be merged into {model_folder}: {text} "
            "Use a whole adapter and its own base model."
        ) from error


def card_text(card: AdapterCard) -> str:
    """The card as a page for people."""
    lines = [
        f"# {card.name} {card.version}".rstrip(),
        "",
        *([f"**Refused, not installed: {card.refused}**", ""] if card.refused else []),
        *([f"**Refused, installed all the same: {card.installed_despite}**", ""] if card.installed_despite else []),
        f"A LoRA adapter for {card.base_model} (`{card.base_revision[:16]}`), trained with `{card.method}` on "
        f"{card.created:%Y-%m-%d}, spoken to in the `{card.dialect}` dialect.",
        "",
    ]
    if card.safety_threshold is not None:
        lines += [f"Safety threshold: replies with P(safe) < {card.safety_threshold:.4f} are dropped.", ""]
    if card.metrics:
        lines += ["| figure | value |", "|---|---|", *figures_rows(card.metrics), ""]
    if card.data:
        lines += ["| task | data | licence | records | held out |", "|---|---|---|---|---|"]
        lines += [f"| {d.task} | {d.file or d.kind} | {d.licence} | {d.records} | {d.held_out} |" for d in card.data]
    return "\n".join(lines) + "\n"


def figures_rows(metrics: Mapping[str, float]) -> list[str]:
    return [f"| {name} | {value:.4g} |" for name, value in metrics.items()]
