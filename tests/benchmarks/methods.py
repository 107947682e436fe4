"""What `groundling bench methods` measures: EWC at several weights, replay and plain LoRA on one recipe, equal budget.

Each run draws as many examples from the same records. What it learned is its loss on held-out records; what it forgot
is perplexity on general text. Both are read at several scales of the adapter, so that the methods can be compared
where they have learned the same: a run that learned more may be scaled back to what another one learned.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

SCALES = (1.0, 0.7, 0.4)
WEIGHTS = "1e4,1e5,1e6"


class Point(NamedTuple):
    """An adapter at one scale; scale 0 is the base model."""

    scale: float
    loss: float
    """Mean joint loss of held-out examples, nats."""
    ratio: float
    """Perplexity on general text over the base model's."""


def ratio_at(points: Sequence[Point], loss: float) -> float | None:
    """The perplexity ratio where the held-out loss falls to `loss`, linear between scales; None where it never does."""
    ordered = sorted(points)
    for below, above in itertools.pairwise(ordered):
        if above.loss <= loss <= below.loss and above.loss < below.loss:
            share = (below.loss - loss) / (below.loss - above.loss)
            return below.ratio + share * (above.ratio - below.ratio)
    return None


def variants(weights: Sequence[float]) -> dict[str, list[str]]:
    """The runs by name, each as changes of the recipe."""
    return {
        "lora": ["method=lora"],
        "replay": ["method=replay"],
        **{f"ewc {weight:g}": ["method=ewc", f"ewc.weight={weight!r}"] for weight in weights},
    }


def points_of(place: Any, records: int) -> tuple[list[Point], int]:
    """(an adapter trained on one variant, at every scale; the tokens it was trained on).

    What was measured before, of this very data, is read from the variant's folder, and training goes on from its last
    checkpoint.
    """
    from dialog.finetune.held_out import held_out_examples, mean_loss
    from dialog.finetune.identity import digest, run_identity
    from dialog.finetune.lora import scale_adapter
    from dialog.finetune.mixing import plan_hash
    from dialog.finetune.retention import perplexity
    from dialog.finetune.run import made_from, padding, prepare, train
    from dialog.finetune.saving import write_whole

    kept = place.runs / "points.json"
    prepared = prepare(place)
    pad = padding(prepared.writer.tokenizer)
    weights = {name: task.weight for name, task in place.config.tasks.items()}
    examples = held_out_examples(prepared.data, weights, prepared.writer, records)
    if not examples:
        raise click.ClickException("no record is held out. Give more records, or a larger held_out.")
    of = digest([run_identity(place.config), place.base.revision, *made_from(prepared), plan_hash([examples])])
    if kept.is_file() and (found := json.loads(kept.read_text(encoding="utf-8")))["of"] == of:
        return [Point(*values) for values in found["points"]], found["tokens"]
    place.watch.stage(f"{len(examples)} held-out examples")
    points = [Point(0.0, mean_loss(prepared.model, examples, pad), 1.0)]
    trained = train(place, prepared)
    now = 1.0
    for scale in SCALES:
        scale_adapter(trained.model, scale / now)
        now = scale
        ratio = perplexity(trained.model, prepared.measured).perplexity / trained.before.perplexity
        points.append(Point(scale, mean_loss(trained.model, examples, pad), ratio))
        place.watch.stage(f"scale {scale:g}: held-out loss {points[-1].loss:.4f}, perplexity x {ratio:.4f}")
    tokens = sum(example.length for batch in prepared.plan for example in batch)
    write_whole(kept, json.dumps({"of": of, "points": points, "tokens": tokens}).encode())
    return points, tokens


def compare(
    recipe: str, changes: Sequence[str], out: Path, *, weights: Sequence[float], records: int, watch: Any
) -> dict[str, Any]:
    """Train and measure every variant below `out`; the figures."""
    from dialog.finetune.base import Base
    from dialog.finetune.config import load_config
    from dialog.finetune.lock import only_run
    from dialog.finetune.run import Place, start
    from serve.adapters import adapter_store
    from serve.store import ModelStore

    found: dict[str, tuple[list[Point], int]] = {}
    fisher: Path | None = None
    for name, ours in variants(weights).items():
        runs = out / name.replace(" ", "-")
        config, data = load_config(recipe, [*changes, *ours])
        if not config.held_out:
            config = config.model_copy(update={"held_out": 0.1})
        stored = ModelStore().pull(config.model)
        base = Base(stored.name, stored.path, stored.revision)
        runs.mkdir(parents=True, exist_ok=True)
        own = runs / "fisher.safetensors"
        if fisher and not own.is_file():
            shutil.copyfile(fisher, own)  # of the same samples; a run checks that, and computes its own otherwise
        watch.stage(f"{name}: {config.train.steps} steps of {config.train.batch_size}")
        place = Place(config, data, base, runs, adapter_store(), watch, start(config.train))
        with only_run(runs):
            found[name] = points_of(place, records)
        fisher = own if own.is_file() else fisher
    return summary(found)


def summary(found: dict[str, tuple[list[Point], int]]) -> dict[str, Any]:
    """Figures by variant. The common loss is that of the variant that learned least at full scale."""
    common = max(max(points).loss for points, _ in found.values())
    return {
        "base_loss": next(iter(found.values()))[0][0].loss,
        "common_loss": common,
        "variants": {
            name: {
                "tokens": tokens,
                "loss": max(points).loss,
                "ratio": max(points).ratio,
                "ratio_at_common_loss": ratio_at(points, common),
                "points": [point._asdict() for point in sorted(points)],
            }
            for name, (points, tokens) in found.items()
        },
    }


def table(found: dict[str, Any]) -> str:
    lines = [
        f"held-out loss of the base model {found['base_loss']:.4f}; all have fallen to {found['common_loss']:.4f}",
        f"{'method':12} {'tokens':>9} {'loss':>8} {'perplexity':>11} {'where loss is equal':>20}",
    ]
    for name, one in found["variants"].items():
        equal = one["ratio_at_common_loss"]
        lines.append(
            f"{name:12} {one['tokens']:9,} {one['loss']:8.4f} {'x ' + format(one['ratio'], '.4f'):>11} "
            f"{'-' if equal is None else 'x ' + format(equal, '.4f'):>20}"
        )
    return "\n".join(lines)


def numbers(ctx: click.Context, option: click.Parameter, value: str) -> list[float]:
    try:
        found = [float(part) for part in value.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < weight < float("inf") for weight in found):
        raise click.BadParameter(f"{value!r} is not a list of positive numbers. Write for example {WEIGHTS}.")
    return found


@click.command()
@click.argument("recipe")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--weights", default=WEIGHTS, show_default=True, callback=numbers, help="EWC's weights λ to try.")
@click.option("--records", type=click.IntRange(8), default=96, show_default=True, help="Held-out examples.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder; resumes there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    recipe: str, changes: tuple[str, ...], weights: list[float], records: int, out: Path, as_json: bool
) -> None:
    """Train RECIPE with plain LoRA, replay, and EWC at several weights, and compare what each learned and forgot.

    Nothing is installed. Every run has the same number of steps and examples; replay spends a share of them on general
    text.

    \b
    loss                 of held-out records, nats; lower is more learned
    perplexity           on general text, over the base model's
    where loss is equal  perplexity where every method is scaled back to what the weakest one learned

    \b
    Example:
      groundling bench methods embodied data=data train.steps=60 train.batch_size=8 --out methods
    """
    from serve.cli.finetune import watched

    with watched() as watch:
        found = compare(recipe, changes, out.resolve(), weights=weights, records=records, watch=watch)
    click.echo(json.dumps(found) if as_json else table(found))
