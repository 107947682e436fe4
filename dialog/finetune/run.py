"""One finetuning run from its configuration to an installed adapter with its card.

    data ─► examples ─► plan ─► [Fisher | replay] ─► training ─► figures, threshold ─► retention gate ─► adapter

The run's folder holds everything until then: running the same command again continues where it stopped.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator
from pydantic import BaseModel

from dialog.decoder import Tokenizer
from dialog.dialect import make_dialect
from dialog.errors import FinetuneError, RecordError
from dialog.finetune.adapters import AdapterCard, AdapterStore, DataUse, StoredAdapter, write_adapter
from dialog.finetune.config import Config
from dialog.finetune.ewc import EwcPenalty
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.fisher import Fisher, FisherCard, fisher_information
from dialog.finetune.lora import add_adapter, scale_adapter, target_names
from dialog.finetune.metrics import draw_curves
from dialog.finetune.mixing import plan_steps
from dialog.finetune.reading import held_out_figures
from dialog.finetune.records import Generation, Groundedness, Judged, PlainText, TrainingRecord
from dialog.finetune.retention import Perplexity, general_text, perplexity, stretches
from dialog.finetune.saving import write_whole
from dialog.finetune.sources import TaskData, load_task_data, resolve
from dialog.finetune.trainer import Progress, Trainer

REPLAY = "replay"


class Base(NamedTuple):
    """The base model on disk."""

    name: str
    folder: Path
    revision: str


class RunResult(BaseModel):
    """What a run came to."""

    adapter: str
    path: Path
    resumed_from: int
    steps: int
    examples: int
    metrics: dict[str, float]
    perplexity_before: float
    perplexity_after: float
    retention_ratio: float
    safety_threshold: float | None


class Watch(NamedTuple):
    """How a run tells what it does."""

    stage: Callable[[str], None] = lambda text: None
    progress: Callable[[Progress], None] = lambda progress: None
    fisher: Callable[[int, int], None] = lambda done, total: None


def run(
    config: Config, data_folder: Path, base: Base, *, runs: Path, store: AdapterStore, watch: Watch | None = None
) -> RunResult:
    """Train, measure and install an adapter. Raises FinetuneError or RecordError.

    `runs` is this run's folder. An adapter that fails the retention gate is kept in it, marked, and not installed.
    """
    import torch
    from transformers import AutoTokenizer

    settings = config.train
    accelerator = Accelerator(
        cpu=settings.device == "cpu", mixed_precision="bf16" if settings.precision == "bf16" else "no"
    )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA needs to be deterministic
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    watch = watch or Watch()
    watch.stage("reading data")
    tokenizer: Any = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    data = load_task_data(config, data_folder)
    learn, measure = general_text([resolve(data_folder, text) for text in config.retention.texts])
    try:
        dialect = make_dialect(tokenizer, config.dialect)
    except ValueError as error:
        raise FinetuneError(f"dialect {config.dialect!r} does not fit {base.name}: {error}") from None
    writer = ExampleWriter(tokenizer, max_tokens=settings.max_tokens, dialect=dialect)
    model = load_base(base, accelerator)
    check_window(model, settings.max_tokens)
    data = filtered(config, data_folder, data, model, writer, watch)
    tasks, weights, skipped = examples_of(config, data, learn, writer)
    if skipped:
        watch.stage(f"{skipped} records longer than train.max_tokens={settings.max_tokens} are left out")
    plan = plan_steps(tasks, weights, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed)

    measured = stretches(tokenizer, measure, config.retention.tokens)
    before = perplexity(model, measured)
    fisher = None
    if config.method == "ewc" and config.ewc.weight > 0:
        fisher = fisher_of(config, base, model, tokenizer, learn, data_folder, runs, watch, accelerator)
    adapted = add_adapter(model, config.lora, base=base.name, revision=base.revision, seed=settings.seed)
    penalty = EwcPenalty(adapted, fisher.values, config.ewc.weight) if fisher else None
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def evaluate(step: int) -> dict[str, float]:
        now = perplexity(adapted, measured).perplexity
        return {"perplexity": now, "retention_ratio": now / before.perplexity}

    trainer = Trainer(
        adapted,
        plan,
        settings,
        folder=runs,
        pad=pad,
        accelerator=accelerator,
        penalty=penalty,
        from_layer=config.lora.from_layer,
        evaluate=evaluate,
        on_progress=watch.progress,
    )
    watch.stage(f"training {settings.steps} steps of {settings.batch_size} examples ({config.method})")
    resumed = trainer.train()
    accelerator.wait_for_everyone()
    result: RunResult | None = None
    if accelerator.is_main_process:
        watch.stage("measuring")
        adapted.eval()
        scale, after = scaled_back(adapted, measured, before, config)
        if scale < 1.0:
            watch.stage(f"scaled back to {scale:.2f} of what was trained, to keep what the model knew")
        sets = judged_sets(data, writer, config.evaluated)
        figures, threshold, grounded = held_out_figures(
            adapted, writer, sets, pad=pad, max_false_positive_rate=config.max_false_positive_rate
        )
        ratio = after.perplexity / before.perplexity
        card = AdapterCard(
            name=config.name,
            base_model=base.name,
            base_revision=base.revision,
            dialect=config.dialect,
            method=config.method,
            recipe=without_folders(config.model_dump(mode="json", exclude={"data"})),
            data=[
                DataUse(
                    task=one.task,
                    kind=one.source.kind,
                    file=Path(one.source.path).name if one.source.path else None,
                    licence=one.source.licence,
                    records=len(one.train) // one.source.weight,
                    held_out=len(one.held_out),
                )
                for one in data
            ],
            metrics={
                "perplexity_before": round(before.perplexity, 4),
                "perplexity_after": round(after.perplexity, 4),
                "retention_ratio": round(ratio, 5),
                "scale": round(scale, 4),
                **figures,
            },
            safety_threshold=threshold,
            grounded_threshold=grounded,
        )
        adapter = install(config, card, adapted, ratio, runs, store)
        if draw_curves(runs / "metrics.jsonl", runs / "curves.png", title=adapter.full_name):
            write_whole(adapter.path / "curves.png", (runs / "curves.png").read_bytes())
        result = RunResult(
            adapter=adapter.full_name,
            path=adapter.path,
            resumed_from=resumed,
            steps=settings.steps,
            examples=settings.steps * settings.batch_size,
            metrics=card.metrics,
            perplexity_before=before.perplexity,
            perplexity_after=after.perplexity,
            retention_ratio=ratio,
            safety_threshold=threshold,
        )
        if adapter.card.refused:
            raise FinetuneError(
                f"{adapter.card.refused} The adapter is kept in {adapter.path} and not installed. Raise ewc.weight, "
                "train fewer steps, or set retention.enforce=false."
            )
    accelerator.wait_for_everyone()
    if result is None:  # another process than the first
        raise SystemExit(0)
    return result


def without_folders(value: Any) -> Any:
    """A configuration with absolute paths cut to their names: a card travels, a machine's folders do not."""
    match value:
        case dict():
            return {key: without_folders(inner) for key, inner in value.items()}
        case list():
            return [without_folders(inner) for inner in value]
        case str() if Path(value).is_absolute():
            return Path(value).name
        case _:
            return value


SCALE_STEP = 0.05


def scaled_back(model: Any, measured: list[list[int]], before: Perplexity, config: Config) -> tuple[float, Perplexity]:
    """Scale the adapter back, no further than `retention.least_scale`, until perplexity passes the gate.

    (the scale, perplexity with it). What is lost in perplexity falls with about the square of the scale, what was
    learned more slowly. An adapter that cannot pass is left as it was trained.
    """
    limit, least = config.retention.max_ratio, config.retention.least_scale
    whole = found = perplexity(model, measured)
    scale = 1.0
    while found.perplexity > limit * before.perplexity and round(scale - SCALE_STEP, 4) >= least:
        scale_adapter(model, (scale - SCALE_STEP) / scale)
        scale = round(scale - SCALE_STEP, 4)
        found = perplexity(model, measured)
    if found.perplexity > limit * before.perplexity and scale < 1.0:
        scale_adapter(model, 1.0 / scale)
        return 1.0, whole
    return scale, found


def load_base(base: Base, accelerator: Accelerator) -> Any:
    """The base model in float32 on this process's device. Raises FinetuneError."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        text = " ".join(str(error).split())[:200]
        raise FinetuneError(f"{base.folder} holds no causal language model that loads: {text}") from None
    return model.to(accelerator.device).eval().requires_grad_(False)


def check_window(model: Any, max_tokens: int) -> None:
    """Raises FinetuneError where examples may be longer than the model's window."""
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if window is not None and max_tokens > window:
        raise FinetuneError(f"train.max_tokens is {max_tokens}, but the model reads at most {window} tokens. Lower it.")


def examples_of(
    config: Config, data: list[TaskData], learn: list[str], writer: ExampleWriter
) -> tuple[dict[str, list[Example]], dict[str, float], int]:
    """(examples by task, weights by task, records skipped as too long). Raises RecordError where none may be."""
    weights = {name: task.weight for name, task in config.tasks.items()}
    records: dict[str, list[TrainingRecord]] = {}
    for one in data:
        records.setdefault(one.task, []).extend(one.train)
    if config.method == "replay":
        records[REPLAY] = [PlainText(text=text) for text in learn]
        weights[REPLAY] = config.replay.weight
    drawn, scale = config.train.steps * config.train.batch_size, sum(weights.values())
    tasks: dict[str, list[Example]] = {}
    skipped = 0
    for name, rows in records.items():
        random.Random(f"{config.train.seed} {name}").shuffle(rows)
        examples = tasks.setdefault(name, [])
        for record in rows:
            if len(examples) > drawn * weights[name] / scale + 1:
                break  # a short run does not tokenise what it will not draw
            try:
                examples += writer.write(record)
            except RecordError:
                if config.train.too_long == "error":
                    raise
                skipped += 1
    return tasks, weights, skipped


def fisher_of(
    config: Config,
    base: Base,
    model: Any,
    tokenizer: Tokenizer,
    learn: list[str],
    data_folder: Path,
    runs: Path,
    watch: Watch,
    accelerator: Accelerator,
) -> Fisher:
    """The named or kept Fisher information, or one computed now and kept in the run's folder."""
    settings = config.ewc
    if settings.fisher:
        return Fisher.load(resolve(data_folder, settings.fisher), revision=base.revision)
    path = runs / "fisher.safetensors"
    if not path.is_file() and accelerator.is_main_process:
        names = target_names(model, config.lora)
        samples = stretches(tokenizer, learn, settings.samples * settings.sample_tokens, settings.sample_tokens)
        samples = [sample for sample in samples if len(sample) >= 8][: settings.samples]
        watch.stage(f"Fisher information of {len(names)} layers from {len(samples)} samples")
        values = fisher_information(
            model, samples, names, labels=settings.labels, seed=config.train.seed,
            on_progress=lambda done: watch.fisher(done, len(samples)),
        )  # fmt: skip
        card = FisherCard(
            model=base.name,
            revision=base.revision,
            data=", ".join(Path(text).name for text in config.retention.texts),
            samples=len(samples),
            tokens=sum(map(len, samples)),
            labels=settings.labels,
            modules=tuple(names),
        )
        Fisher(card=card, values={name: value.cpu() for name, value in values.items()}).save(path)
    accelerator.wait_for_everyone()
    return Fisher.load(path, revision=base.revision)


def judged_sets(data: list[TaskData], writer: ExampleWriter, limit: int) -> dict[str, list[Judged | Groundedness]]:
    """Held-out judged records by source, those that fit, at most `limit` each."""
    found: dict[str, list[Judged | Groundedness]] = {}
    for one in data:
        for record in one.held_out:
            kept = found.setdefault(one.source.kind, [])
            if isinstance(record, Judged | Groundedness) and len(kept) < limit:
                try:
                    writer.write(record)
                except RecordError:
                    continue
                kept.append(record)
    return {kind: records for kind, records in found.items() if records}


def install(
    config: Config, card: AdapterCard, model: Any, ratio: float, runs: Path, store: AdapterStore
) -> StoredAdapter:
    """Write the adapter: into the store, or, where it forgot too much, into the run's folder."""
    limit = config.retention.max_ratio
    if ratio > limit and config.retention.enforce:
        card.refused = f"Perplexity on general text is {ratio:.4f} × the base model's, above {limit:.4f}."
        path = runs / "refused" / AdapterStore(runs).next_version("refused")
    else:
        card.version = store.next_version(card.name)
        path = store.root / card.name / card.version
    path.parent.mkdir(parents=True, exist_ok=True)
    write_adapter(path, model, card)
    return StoredAdapter(path=path, card=card)


def filtered(
    config: Config, folder: Path, data: list[TaskData], model: Any, writer: ExampleWriter, watch: Watch
) -> list[TaskData]:
    """Generation data without what the discriminators of `config.filter.adapter` score too low (LaMDA, section 5.1).

    Raises FinetuneError where the adapter cannot be used.
    """
    if config.filter is None:
        return data
    from peft import PeftModel

    from dialog.finetune.reading import label_probabilities
    from dialog.judge import quality

    watch.stage("scoring the generation data with the discriminators")
    adapter = resolve(folder, config.filter.adapter)
    if not (adapter / "adapter_config.json").is_file():
        raise FinetuneError(f"filter.adapter {adapter} holds no adapter. Name an adapter's folder.")
    try:
        scorer: Any = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise FinetuneError(f"filter.adapter {adapter} does not fit {config.model}: {text}") from None
    pad = writer.end
    for one in data:
        kept: list[TrainingRecord] = []
        chosen = [record for record in one.train if isinstance(record, Generation)]
        if not chosen:
            continue
        ratings = {"sensible": 1.0, "specific": 1.0, "interesting": 1.0, "safe": 1.0}
        examples: list[Example] = []
        fitting: list[Generation] = []
        for record in chosen:
            try:
                judged = Judged(context=record.context, response=record.response, ratings=ratings)  # type: ignore[arg-type]
                examples += writer.write(judged)
                fitting.append(record)
            except RecordError:
                continue
        for record, (sensible, specific, interesting, safe) in zip(
            fitting, label_probabilities(scorer, examples, pad=pad), strict=True
        ):
            if safe >= config.filter.safe and quality(sensible, specific, interesting) >= config.filter.quality:
                kept.append(record)
        one.train = [record for record in one.train if not isinstance(record, Generation)] + kept
    scorer.unload()
    return data
