"""One finetuning run from its configuration to an installed adapter with its card.

    data ─► examples ─► plan ─► [Fisher | replay] ─► training ─► figures, threshold ─► retention gate ─► adapter

The run's folder holds everything until then: running the same command again continues where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator

from dialog.decoder import Tokenizer
from dialog.dialect import make_dialect
from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterCard, AdapterStore, DataUse, StoredAdapter, write_adapter
from dialog.finetune.config import Config
from dialog.finetune.ewc import EwcPenalty
from dialog.finetune.examples import ExampleWriter
from dialog.finetune.filtering import filtered, find_scorer
from dialog.finetune.fisher import Fisher, FisherCard, fisher_information
from dialog.finetune.lora import add_adapter, scale_adapter, target_names
from dialog.finetune.memory import SIGNS, out_of_memory
from dialog.finetune.metrics import draw_curves
from dialog.finetune.mixing import plan_hash, plan_steps
from dialog.finetune.outcome import RunResult, finished, refuse, remember
from dialog.finetune.reading import held_out_figures
from dialog.finetune.retention import Perplexity, general_text, measured_keys, perplexity, stretches
from dialog.finetune.saving import write_whole
from dialog.finetune.selection import examples_of, judged_sets
from dialog.finetune.sources import load_task_data, resolve
from dialog.finetune.trainer import Progress, Trainer


class Base(NamedTuple):
    """The base model on disk."""

    name: str
    folder: Path
    revision: str


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
    guarded = config.method == "ewc" and config.ewc.weight > 0
    fisher: Fisher | None = None
    if guarded and config.ewc.fisher:  # what is named is looked at before the long work
        fisher = Fisher.load(resolve(data_folder, config.ewc.fisher), revision=base.revision)
    scorer = find_scorer(config, data_folder, store, base.revision) if config.filter else None
    watch.stage("reading data")
    tokenizer: Any = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    texts = [resolve(data_folder, text) for text in config.retention.texts]
    learn, measure = general_text(texts, learns=config.method != "lora")
    data = load_task_data(config, data_folder, measured_keys(measure))
    try:
        dialect = make_dialect(tokenizer, config.dialect)
    except ValueError as error:
        raise FinetuneError(f"dialect {config.dialect!r} does not fit {base.name}: {error}") from None
    writer = ExampleWriter(tokenizer, max_tokens=settings.max_tokens, dialect=dialect)
    model = load_base(base, accelerator)
    check_window(model, settings.max_tokens)
    if scorer and config.filter:
        filtered(
            data, model, tokenizer, scorer, config.filter, max_tokens=settings.max_tokens, stage=watch.stage
        )  # fmt: skip
    tasks, weights, skipped = examples_of(config, data, learn, writer)
    if measured_too := sum(one.measured for one in data):
        watch.stage(f"{measured_too} records are of text that retention is measured on and are left out")
    if skipped:
        watch.stage(f"{skipped} records longer than train.max_tokens={settings.max_tokens} are left out")
    plan = plan_steps(tasks, weights, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed)
    parts = [config.model_dump_json(), base.revision, plan_hash(plan), *learn, *measure]
    if earlier := finished(runs, parts):
        if not accelerator.is_main_process:
            raise SystemExit(0)
        watch.stage(f"{earlier.adapter} was installed before by this run: same plan, same weights, nothing to do")
        return earlier

    measured = stretches(tokenizer, measure, config.retention.tokens)
    before = perplexity(model, measured)
    if guarded and fisher is None:
        fisher = fisher_of(config, base, model, tokenizer, learn, runs, watch, accelerator)
    with out_of_memory("adding the adapter", "Lower lora.rank, or adapt fewer layers with lora.from_layer."):
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
        sets = judged_sets(data, writer, config.evaluated, settings.seed)
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
        remember(runs, parts, result)
        refuse(adapter)
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

    with out_of_memory("loading the model", "Name a smaller model, set train.device=cpu, or free memory."):
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            if any(sign in str(error) for sign in SIGNS):
                raise
            text = " ".join(str(error).split())[:200]
            raise FinetuneError(f"{base.folder} holds no causal language model that loads: {text}") from None
        return model.to(accelerator.device).eval().requires_grad_(False)


def check_window(model: Any, max_tokens: int) -> None:
    """Raises FinetuneError where examples may be longer than the model's window."""
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if window is not None and max_tokens > window:
        raise FinetuneError(f"train.max_tokens is {max_tokens}, but the model reads at most {window} tokens. Lower it.")


def fisher_of(
    config: Config,
    base: Base,
    model: Any,
    tokenizer: Tokenizer,
    learn: list[str],
    runs: Path,
    watch: Watch,
    accelerator: Accelerator,
) -> Fisher:
    """The Fisher information that the run's folder keeps, computed now where it holds none."""
    settings = config.ewc
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
    return Fisher.load(path, revision=base.revision, named=False)


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
