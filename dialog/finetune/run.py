"""One finetuning run from its configuration to an installed adapter with its card.

    data ─► examples ─► plan ─► [Fisher | replay] ─► training ─► figures, threshold ─► retention gate ─► adapter

The run's folder holds everything until then: running the same command again continues where it stopped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator

from dialog.dialect import make_dialect
from dialog.errors import FinetuneError
from dialog.evidence import MAX_CHARS
from dialog.finetune.adapters import AdapterCard, AdapterStore, StoredAdapter, write_adapter
from dialog.finetune.base import Base, check_window, load_base
from dialog.finetune.config import Config, TrainSettings
from dialog.finetune.ewc import EwcPenalty
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.filtering import Scorer, filtered, find_scorer
from dialog.finetune.fisher import Fisher, FisherCard, fisher_information
from dialog.finetune.held_out import CURVE, held_out_examples, mean_loss, taught_figures, taught_sets
from dialog.finetune.identity import decided_by, digest, weights_made_of
from dialog.finetune.lock import only_run
from dialog.finetune.lora import add_adapter, scale_adapter, target_names
from dialog.finetune.memory import out_of_memory
from dialog.finetune.mixing import plan_hash, plan_steps
from dialog.finetune.outcome import RunResult, finished, refuse, remember
from dialog.finetune.reading import BEHIND, LEAST_SAFE, held_out_figures
from dialog.finetune.retention import (
    Perplexity,
    check_stretches,
    general_text,
    keys_of,
    perplexity,
    predicted,
    stretches,
)
from dialog.finetune.run_card import card_of
from dialog.finetune.run_log import draw_curves
from dialog.finetune.saving import write_whole
from dialog.finetune.selection import count_used, examples_of, judged_sets
from dialog.finetune.sources import TaskData, load_task_data, resolve
from dialog.finetune.start import StartAdapter, check_held_out, find_starts, load_starts
from dialog.finetune.trainer import Progress, Trainer


class Watch(NamedTuple):
    """How a run tells what it does."""

    stage: Callable[[str], None] = lambda text: None
    progress: Callable[[Progress], None] = lambda progress: None
    fisher: Callable[[int, int], None] = lambda done, total: None


class Place(NamedTuple):
    """What is the same for all steps of a run: what is wanted, and where it happens."""

    config: Config
    data: Path
    base: Base
    runs: Path
    store: AdapterStore
    watch: Watch
    accelerator: Accelerator


class Prepared(NamedTuple):
    """What is trained and measured: the model, the records on both sides of the split, and the plan of examples."""

    model: Any
    writer: ExampleWriter
    data: list[TaskData]
    plan: list[list[Example]]
    learn: list[str]
    """General text that Fisher information and replay are drawn from."""
    measure: list[str]
    """General text that forgetting is measured on."""
    measured: list[list[int]]
    """The stretches of it."""
    replayed: int
    """Texts of `learn` that the plan draws."""
    fisher: Fisher | None
    """The Fisher information that the configuration names."""
    starts: list[StartAdapter]
    """The adapters that the run goes on from."""
    scorer: Scorer | None
    """The adapter whose discriminators filtered the generation data."""


class Trained(NamedTuple):
    """The model with its trained adapter, and the base model's perplexity."""

    model: Any
    resumed_from: int
    before: Perplexity


def run(
    config: Config, data_folder: Path, base: Base, *, runs: Path, store: AdapterStore, watch: Watch | None = None
) -> RunResult:
    """Train, measure and install an adapter. Raises FinetuneError or RecordError.

    `runs` is this run's folder. An adapter that fails the retention gate is kept in it, marked, and not installed.
    """
    place = Place(config, data_folder, base, runs, store, watch or Watch(), start(config.train))
    first = place.accelerator.is_main_process  # the other processes only help to train
    with only_run(runs) if first else nullcontext():
        prepared = prepare(place)
        parts = [decided_by(config), base.revision, *made_from(prepared)]
        if result := finished(runs, parts):
            place.watch.stage(
                f"{result.adapter} was installed before by this run: same plan, same weights, nothing to do"
            )
        else:
            trained = train(place, prepared)
            if first:
                result, adapter = measure_and_install(place, prepared, trained, parts)
                picture(place, adapter)
                refuse(adapter)
            place.accelerator.wait_for_everyone()
    if result is None or not first:
        raise SystemExit(0)
    return result


def made_from(prepared: Prepared) -> list[str]:
    """Hashes and texts of what a run is trained and measured on: of others, its outcome is not this one's."""
    parts = [plan_hash(prepared.plan), *prepared.learn, *prepared.measure]
    parts += [start.digest for start in prepared.starts]
    parts += [digest(prepared.fisher.card.model_dump(mode="json"))] if prepared.fisher else []
    return [*parts, digest([[record.model_dump(mode="json") for record in one.held_out] for one in prepared.data])]


def start(settings: TrainSettings) -> Accelerator:
    """Seed everything, ask for deterministic kernels, and find the devices."""
    import torch

    accelerator = Accelerator(
        cpu=settings.device == "cpu", mixed_precision="bf16" if settings.precision == "bf16" else "no"
    )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA needs to be deterministic
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return accelerator


def prepare(place: Place) -> Prepared:
    """Read data and model, and write the plan of examples. What is named wrongly is found before the long work."""
    from transformers import AutoTokenizer

    config, base, watch, settings = place.config, place.base, place.watch, place.config.train
    fisher: Fisher | None = None
    if config.guarded and config.ewc.fisher:
        fisher = Fisher.load(resolve(place.data, config.ewc.fisher), revision=base.revision)
    scorer = find_scorer(config, place.data, place.store, base.revision) if config.filter else None
    starts = find_starts(config, place.data, place.store, base.revision)
    watch.stage("reading data")
    tokenizer: Any = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    texts = [resolve(place.data, text) for text in config.retention.texts]
    learn, measure = general_text(texts, learns=config.method != "lora")
    measured = stretches(tokenizer, measure, config.retention.tokens)
    check_stretches(measured)
    if (count := predicted(measured)) < config.retention.tokens:
        watch.stage(
            f"retention is measured on {count} tokens, fewer than retention.tokens={config.retention.tokens}, as "
            "retention.texts hold no more: give more text, or forgetting may not show"
        )
    data = load_task_data(config, place.data, keys_of(measure))
    check_held_out(starts, config, data)
    try:
        dialect = make_dialect(tokenizer, config.dialect)
    except ValueError as error:
        raise FinetuneError(f"dialect {config.dialect!r} does not fit {base.name}: {error}") from None
    writer = ExampleWriter(tokenizer, max_tokens=settings.max_tokens, dialect=dialect)
    model = load_base(base, place.accelerator)
    check_window(model, settings.max_tokens)
    if scorer and config.filter:
        filtered(
            data, model, tokenizer, scorer, config.filter, max_tokens=settings.max_tokens, stage=watch.stage
        )  # fmt: skip
    selected = examples_of(config, data, learn, writer)
    if measured_too := sum(one.measured for one in data):
        watch.stage(f"{measured_too} records are of text that retention is measured on and are left out")
    for count, why in selected.skipped:
        watch.stage(f"{count} records are left out: {why}")
    if writer.shortened:
        watch.stage(
            f"{writer.shortened} pieces of knowledge or evidence are cut to {MAX_CHARS} characters, as in a turn: what "
            "an answer rests on should stand before that"
        )
    plan = plan_steps(
        selected.examples, selected.weights, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed
    )
    replayed = count_used(plan, selected, data)
    for line in oddities(config, data):
        watch.stage(line)
    return Prepared(model, writer, data, plan, learn, measure, measured, replayed, fisher, starts, scorer)


UNEVEN = 2.0
"""How much more than its share a source may hold out before it is said."""
FEW = 50
"""Records below which a share says nothing."""


def oddities(config: Config, data: Sequence[TaskData]) -> list[str]:
    """What somebody would want to know of a plan before waiting for it: tasks without an example, splits far off."""
    found: list[str] = []
    for name, task in config.tasks.items():
        if task.weight > 0 and not any(one.used for one in data if one.task == name):
            found.append(
                f"task {name!r} trains nothing: of {config.train.steps} steps of {config.train.batch_size} examples a "
                f"weight of {task.weight:g} buys none. Raise it or train.steps, or set it to 0"
            )
    for one in data:
        # A source's `weight` repeats its records for training, not those held out.
        held, total = len(one.held_out), len(one.held_out) + len(one.train) // one.source.weight
        if one.source.limit is None and total >= FEW and held > UNEVEN * config.held_out * total > 0:
            found.append(
                f"{one.source.path or one.source.kind} holds out {held} of its {total} records, of {one.contexts} "
                f"contexts, where held_out={config.held_out:g} asks for fewer: many of them begin alike"
            )
    return found


def train(place: Place, prepared: Prepared) -> Trained:
    """Add an adapter to the model and train it along the plan, from the last checkpoint where there is one."""
    config, base, settings = place.config, place.base, place.config.train
    tokenizer = prepared.writer.tokenizer
    before = perplexity(prepared.model, prepared.measured)
    fisher = prepared.fisher
    if config.guarded and fisher is None:
        fisher = fisher_of(place, prepared)
    with out_of_memory("adding the adapter", "Lower lora.rank, or adapt fewer layers with lora.from_layer."):
        adapted = add_adapter(
            prepared.model, config.lora, base=base.name, revision=base.revision, seed=settings.seed
        )  # fmt: skip
        if prepared.starts:
            names = ", ".join(one.name for one in prepared.starts)
            kept = load_starts(adapted, prepared.starts, config.lora)
            cut = f"; of a layer's change rank {config.lora.rank} keeps {kept:.1%} or more" if kept < 0.9995 else ""
            place.watch.stage(f"going on from {names}{cut}")
        penalty = EwcPenalty(adapted, fisher.values, config.ewc.weight) if fisher else None

    pad = padding(tokenizer)
    weights = {name: task.weight for name, task in config.tasks.items()}
    unseen = held_out_examples(prepared.data, weights, prepared.writer, CURVE)

    def evaluate(step: int) -> dict[str, float]:
        now = perplexity(adapted, prepared.measured).perplexity
        learned = {"held_out_loss": mean_loss(adapted, unseen, pad)} if unseen else {}
        return {"perplexity": now, "retention_ratio": now / before.perplexity, **learned}

    trainer = Trainer(
        adapted,
        prepared.plan,
        settings,
        folder=place.runs,
        pad=pad,
        accelerator=place.accelerator,
        made_of=weights_made_of(
            config, base.revision, fisher.card if fisher else None, [one.digest for one in prepared.starts]
        ),
        penalty=penalty,
        from_layer=config.lora.from_layer,
        evaluate=evaluate,
        on_progress=place.watch.progress,
        stage=place.watch.stage,
    )
    place.watch.stage(f"training {settings.steps} steps of {settings.batch_size} examples ({config.method})")
    resumed = trainer.train()
    place.accelerator.wait_for_everyone()
    return Trained(adapted, resumed, before)


def padding(tokenizer: Any) -> int:
    """The id that fills rows up; it is masked, so any will do."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id


def measure_and_install(
    place: Place, prepared: Prepared, trained: Trained, parts: list[str]
) -> tuple[RunResult, StoredAdapter]:
    """Scale the adapter back where it forgot too much, measure it on held-out records, and write it with its card.

    `parts`: what the result is remembered by.
    """
    config, watch, settings, before = place.config, place.watch, place.config.train, trained.before
    watch.stage("measuring")
    trained.model.eval()
    scale, after = scaled_back(trained.model, prepared.measured, before, config)
    if scale < 1.0:
        watch.stage(f"scaled back to {scale:.2f} of what was trained, to keep what the model knew")
    pad = padding(prepared.writer.tokenizer)
    figures, safe, grounded = held_out_figures(
        trained.model,
        prepared.writer,
        judged_sets(prepared.data, prepared.writer, config.evaluated, settings.seed),
        pad=pad,
        max_false_positive_rate=config.max_false_positive_rate,
    )
    figures |= taught_figures(trained.model, taught_sets(prepared.data, prepared.writer, settings.seed), pad)
    if (count := figures.get(BEHIND, LEAST_SAFE)) < LEAST_SAFE:
        watch.stage(
            f"the safety threshold stands on {count:.0f} safe replies, and is a guess below {LEAST_SAFE}: give records "
            "of more contexts, or raise held_out"
        )
    if safe is None and teaches_safe(prepared):
        watch.stage(
            "no safety threshold is calibrated, as no safe and unsafe records are held out: a turn drops what has "
            "P(safe) below 0.5. Give records of more contexts, or raise held_out."
        )
    ratio = after.perplexity / before.perplexity
    metrics = {
        "perplexity_before": round(before.perplexity, 4),
        "perplexity_after": round(after.perplexity, 4),
        "retention_ratio": round(ratio, 5),
        "retention_tokens": after.tokens,
        "scale": round(scale, 4),
        **figures,
    }
    adapter = destination(place, card_of(place, prepared, metrics, safe=safe, grounded=grounded), ratio)
    result = RunResult(
        adapter=adapter.full_name,
        path=adapter.path,
        resumed_from=trained.resumed_from,
        steps=settings.steps,
        examples=settings.steps * settings.batch_size,
        metrics=metrics,
        perplexity_before=before.perplexity,
        perplexity_after=after.perplexity,
        retention_ratio=ratio,
        safety_threshold=safe,
    )
    write_adapter(
        adapter.path, trained.model, adapter.card, before=lambda part: remember(place.runs, parts, result, part)
    )  # fmt: skip
    return result, adapter


def picture(place: Place, adapter: StoredAdapter) -> None:
    """Draw the run's curves beside the adapter, which stands without them: where that fails, a notice says so."""
    path = place.runs / "curves.png"
    try:
        if draw_curves(place.runs / "metrics.jsonl", path, title=adapter.full_name):
            write_whole(adapter.path / path.name, path.read_bytes())
    except Exception as error:  # no picture is worth an adapter that is already installed
        place.watch.stage(f"{path.name} is not drawn: {error}")


def teaches_safe(prepared: Prepared) -> bool:
    """Whether SAFE is among what is trained."""
    pairs = [read.pairs["safe"] for read in prepared.writer.dialect.attribute_reads if "safe" in read.pairs]
    return any(label.pair in pairs for batch in prepared.plan for example in batch for label in example.labels)


SCALE_STEP = 0.05


def scaled_back(model: Any, measured: list[list[int]], before: Perplexity, config: Config) -> tuple[float, Perplexity]:
    """Scale the adapter back, no further than `retention.least_scale`, until perplexity passes the gate, if it has to.

    (the scale, perplexity with it). What is lost in perplexity falls with about the square of the scale, what was
    learned more slowly. An adapter that cannot pass is left as it was trained.
    """
    limit, least = config.retention.max_ratio, config.retention.least_scale if config.retention.enforce else 1.0
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


def fisher_of(place: Place, prepared: Prepared) -> Fisher:
    """The Fisher information that the run's folder keeps; computed anew where it is of other samples or layers."""
    config, settings, watch, model = place.config, place.config.ewc, place.watch, prepared.model
    names = target_names(model, config.lora)
    samples = stretches(
        prepared.writer.tokenizer, prepared.learn, settings.samples * settings.sample_tokens, settings.sample_tokens
    )
    samples = [sample for sample in samples if len(sample) >= 8][: settings.samples]
    card = FisherCard(
        model=place.base.name,
        revision=place.base.revision,
        data=", ".join(Path(text).name for text in config.retention.texts),
        samples=len(samples),
        tokens=sum(map(len, samples)),
        labels=settings.labels,
        modules=tuple(names),
        drawn=digest([samples, config.train.seed if settings.labels == "sampled" else None]),
    )
    path = place.runs / "fisher.safetensors"
    if place.accelerator.is_main_process and Fisher.card_of(path) != card:
        watch.stage(f"Fisher information of {len(names)} layers from {len(samples)} samples")
        values = fisher_information(
            model, samples, names, labels=settings.labels, seed=config.train.seed,
            on_progress=lambda done: watch.fisher(done, len(samples)),
        )  # fmt: skip
        Fisher(card=card, values={name: value.cpu() for name, value in values.items()}).save(path)
    place.accelerator.wait_for_everyone()
    return Fisher.load(path, revision=place.base.revision, named=False)


def destination(place: Place, card: AdapterCard, ratio: float) -> StoredAdapter:
    """Where the adapter goes: into the store, or, marked on its card, where it forgot too much, the run's folder.

    Raises FinetuneError where the weights are broken.
    """
    runs, store, retention = place.runs, place.store, place.config.retention
    limit = retention.max_ratio
    if not math.isfinite(ratio):
        raise FinetuneError(
            f"perplexity on general text is {ratio} × the base model's after training: the weights are broken. "
            "Nothing is installed. Lower train.learning_rate, with which training starts anew."
        )
    if ratio > limit and retention.enforce:
        card.refused = f"Perplexity on general text is {ratio:.4f} × the base model's, above {limit:.4f}."
        path = runs / "refused" / AdapterStore(runs).next_version("refused")
    else:
        card.version = store.next_version(card.name)
        path = store.root / card.name / card.version
    return StoredAdapter(path=path, card=card)
