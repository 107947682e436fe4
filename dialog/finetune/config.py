"""A finetuning run as one YAML file: what is trained on what, how, and what it may cost in forgetting.

    groundling finetune joint                                   a recipe that ships with Groundling
    groundling finetune my.yaml method=replay train.steps=200   your own, with some values changed

Relative paths are relative to `data` (environment variables and `~` are expanded), or to your file where `data` is
left out; a recipe has to be told. Unknown keys are refused.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from dialog.errors import FinetuneError

Method = Literal["ewc", "replay", "lora"]
REPLAY = "replay"
"""The task that method replay adds: general text."""


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSource(Settings):
    """One file of a task, or a built-in set."""

    kind: str = Field(default="records", description="`records`, or a reader of a public file; see docs/finetune.md.")
    path: str | None = None
    licence: str = "unknown"
    limit: int | None = Field(default=None, ge=1)
    weight: int = Field(default=1, ge=1, description="How often its examples appear within the task.")


class Task(Settings):
    """What one share of every step teaches."""

    weight: float = Field(default=1.0, ge=0.0)
    sources: tuple[DataSource, ...] = Field(min_length=1)


class LoraSettings(Settings):
    """The low-rank adapter (peft)."""

    rank: int = Field(default=16, ge=1, le=512)
    alpha: float = Field(default=32.0, gt=0.0)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    target_modules: str | tuple[str, ...] = Field(
        default="all-linear", description="`all-linear`, or names such as q_proj."
    )
    from_layer: int = Field(
        default=0, ge=0, description="First layer that is adapted; those below are frozen and computed once."
    )


class EwcSettings(Settings):
    weight: float = Field(default=1e4, ge=0.0, description="λ; only with method ewc.")
    fisher: str | None = Field(default=None, description="A Fisher file to use; None computes and keeps one.")
    samples: int = Field(default=256, ge=1)
    sample_tokens: int = Field(default=128, ge=8)
    labels: Literal["data", "sampled"] = "data"


class ReplaySettings(Settings):
    share: float = Field(
        default=0.2, gt=0.0, lt=1.0, description="Share of the examples that is general text; only with method replay."
    )


class RetentionSettings(Settings):
    """General text: what Fisher information and replay are drawn from, and what forgetting is measured on."""

    texts: tuple[str, ...] = Field(min_length=1, description="Text files, or JSONL with dialogs.")
    licence: str = Field(default="unknown", description="Of the texts, for the card.")
    tokens: int = Field(default=8192, ge=256, description="Held-out tokens that perplexity is measured on.")
    max_ratio: float = Field(
        default=1.01, ge=1.0, description="Perplexity after / before above which a run is refused."
    )
    least_scale: float = Field(
        default=1.0, gt=0.0, le=1.0, description="How far the adapter may be scaled back after training to pass."
    )
    enforce: bool = Field(default=True, description="False installs the adapter as it was trained, whatever it forgot.")


class TrainSettings(Settings):
    steps: int = Field(default=500, ge=1)
    batch_size: int = Field(default=32, ge=1, description="Examples an optimizer step, over all processes.")
    micro_tokens: int = Field(default=4096, ge=16, description="Padded tokens of one forward pass of one process.")
    max_tokens: int = Field(default=512, ge=16, description="Longest example.")
    too_long: Literal["error", "skip"] = "skip"
    learning_rate: float = Field(default=2e-4, gt=0.0)
    warmup: float = Field(default=0.05, ge=0.0, lt=1.0, description="Share of the steps.")
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0.0)
    clip: float = Field(default=1.0, gt=0.0, description="Largest gradient norm.")
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    seed: int = Field(default=0, ge=0)
    save_every: int = Field(default=50, ge=1)
    keep: int = Field(default=2, ge=1, description="Checkpoints kept.")
    evaluate_every: int = Field(default=50, ge=1)
    device: Literal["auto", "cpu"] = "auto"


class FilterSettings(Settings):
    """LaMDA section 5.1: the discriminators score the generation data, and only what passes is trained on."""

    adapter: str = Field(
        description="The adapter whose discriminators score: its name, or its folder. Of dialect judged or tuned."
    )
    tasks: tuple[str, ...] = Field(default=(), description="Tasks whose replies are scored; left out: all.")
    safe: float = Field(default=0.5, ge=0.0, le=1.0)
    quality: float = Field(default=2.5, ge=0.0, le=5.0, description="3 P(sensible) + P(specific) + P(interesting).")


class Config(Settings):
    """One run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    model: str = "smollm2-135m-instruct"
    data: str | None = Field(default=None, description="Folder that relative paths start from.")
    dialect: Literal["tuned", "judged", "chat"] = Field(
        default="tuned",
        description="What examples are written in: tuned teaches everything; judged and chat leave the model its own "
        "chat format, in which chat teaches replies and answers from evidence, judged to judge as well.",
    )
    method: Method = "ewc"
    start: tuple[str, ...] = Field(
        default=(),
        description="Adapters to go on from, by name or folder; of several, the changes are added.",
    )
    tasks: dict[str, Task] = Field(min_length=1)
    held_out: float = Field(default=0.1, ge=0.0, lt=1.0, description="Share of the contexts kept for evaluation.")
    evaluated: int = Field(
        default=300, ge=1, description="Held-out records of a source that the card's figures and threshold come from."
    )
    lora: LoraSettings = LoraSettings()
    ewc: EwcSettings = EwcSettings()
    replay: ReplaySettings = ReplaySettings()
    retention: RetentionSettings
    train: TrainSettings = TrainSettings()
    filter: FilterSettings | None = None
    max_false_positive_rate: float = Field(default=0.05, ge=0.0, lt=1.0, description="For calibrating the threshold.")

    @property
    def guarded(self) -> bool:
        """Whether the run needs Fisher information."""
        return self.method == "ewc" and self.ewc.weight > 0

    @field_validator("tasks")
    @classmethod
    def _own_names(cls, value: dict[str, Task]) -> dict[str, Task]:
        if REPLAY in value:
            raise ValueError(f"a task cannot be called {REPLAY!r}, the name of method replay's own. Rename it")
        return value

    @field_validator("filter")
    @classmethod
    def _filtered_tasks(cls, value: FilterSettings | None, info: ValidationInfo) -> FilterSettings | None:
        known = info.data.get("tasks", {})
        if unknown := [name for name in (value.tasks if value else ()) if name not in known]:
            raise ValueError(f"tasks names {unknown[0]!r}, which is no task; there are {', '.join(known)}")
        return value

    @field_validator("start", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or ()


def recipes() -> dict[str, Path]:
    """The recipes that ship with Groundling, by name."""
    folder = Path(str(files("dialog") / "finetune" / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> tuple[Config, Path]:
    """A recipe by name or a YAML file, with `key=value` changes (dots reach inside), and the folder of its data.

    Raises FinetuneError naming the key, or that a recipe was not told where its data is.
    """
    path = recipes().get(name_or_path) or Path(name_or_path).expanduser()
    if not path.is_file():
        raise FinetuneError(
            f"no recipe or file {name_or_path!r}. Use one of {', '.join(recipes())}, or the path of a YAML file."
        )
    read = read_yaml(path)
    value = copy.deepcopy(read)
    for override in overrides:
        apply(value, override)
    licensed = any(override.startswith(("retention=", "retention.licence=")) for override in overrides)
    without_others_licence(read, value, licensed)
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise FinetuneError(f"{path.name}: {key}: {fault['msg']}, got {fault.get('input')!r:.60}.") from None
    if config.data is None and path in recipes().values():
        raise FinetuneError(
            f"the recipe {name_or_path} does not know where its files are. Give their folder with data=FOLDER; "
            "docs/finetune.md says which files it reads, and how to train on your own."
        )
    folder = Path(os.path.expandvars(config.data)).expanduser() if config.data else path.parent
    return config, folder if folder.is_absolute() else Path.cwd() / folder


def read_yaml(path: Path, depth: int = 0) -> dict[str, Any]:
    """A configuration's keys, over those of the recipe that its key `extends` names. Raises FinetuneError."""
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FinetuneError(f"{path.name} is not readable YAML: {error}.") from None
    if not isinstance(value, dict):
        raise FinetuneError(f"{path.name} holds a {type(value).__name__}, not keys and values. See docs/finetune.md.")
    parent = value.pop("extends", None)
    if parent is None:
        return value
    known = recipes()
    if not isinstance(parent, str) or parent not in known or depth > 4:
        raise FinetuneError(f"{path.name}: extends {parent!r}, which is no recipe. Use one of {', '.join(known)}.")
    below = read_yaml(known[parent], depth + 1)
    both = merged(below, value)
    above = value.get("retention")
    without_others_licence(below, both, isinstance(above, dict) and "licence" in above)
    return both


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, dictionaries key by key, everything else whole."""
    both = dict(below)
    for key, value in above.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def without_others_licence(below: dict[str, Any], value: dict[str, Any], licensed: bool) -> None:
    """Take `retention.licence` from `value` where it names other texts than what it was laid over, and no licence with
    them: a card must not say of a person's own text what is true of a recipe's."""
    was, now = below.get("retention"), value.get("retention")
    if isinstance(was, dict) and isinstance(now, dict) and was.get("texts") != now.get("texts") and not licensed:
        now.pop("licence", None)


def apply(value: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in nested dictionaries; the value is read as YAML. Raises FinetuneError."""
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise FinetuneError(f"{override!r} is not key=value. Write for example train.steps=200.")
    inner = value
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise FinetuneError(f"{override!r}: {part!r} holds a value, not keys. Check the key's path.")
    try:
        # YAML 1.1 reads 2e-4 as text; a number is meant.
        inner[parts[-1]] = float(text) if _number(text) and not text.lstrip("+-").isdigit() else yaml.safe_load(text)
    except yaml.YAMLError:
        raise FinetuneError(f"{override!r}: the value is not YAML. Quote it.") from None


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
