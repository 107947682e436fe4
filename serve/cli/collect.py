"""`groundling collect plans|explore`: embodied experience into a JSONL file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import click

SHARED = [
    click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file, .jsonl."),
    click.option("-n", "--count", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Experiences."),
    click.option("--split", type=click.Choice(["train", "eval"]), default="train", show_default=True, help="Homes of."),
    click.option("--seed", type=click.IntRange(0, 899_999), default=0, show_default=True, help="First seed."),
    click.option(
        "--recorded", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Recorded homes' share."
    ),
    click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes.  [default: one per core]"),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
]


def shared(command: Any) -> Any:
    """Add the options that both kinds have."""
    for option in reversed(SHARED):
        command = option(command)
    return command


@click.group()
def collect() -> None:
    """Collect embodied experience in simulated homes.

    Run the same command again to go on after an interruption, or with a larger -n for more: nothing is lost or
    collected twice.

    \b
      groundling collect plans -n 500 --out plans.jsonl
      groundling collect explore -n 500 --steps 30 --out explore.jsonl
      groundling collect tasks -n 500 --plans plans.jsonl --out data/experience.jsonl
    """


@collect.command()
@shared
@click.option("--facts", type=click.IntRange(1, 20), default=4, show_default=True, help="Most facts in a goal.")
@click.option("--simulations", type=click.IntRange(1), default=2000, show_default=True, help="Search budget per goal.")
def plans(**options: Any) -> None:
    """Goal-oriented planning: sample goals, and search for plans that reach them.

    \b
      groundling collect plans -n 1000 --seed 0 --out plans.jsonl
      groundling collect plans -n 200 --split eval --json --out held-out.jsonl
    """
    run("plans", **options)


@collect.command()
@shared
@click.option("--steps", type=click.IntRange(1, 1000), default=20, show_default=True, help="Steps per exploration.")
def explore(**options: Any) -> None:
    """Random exploration: act at random, and record actions, moves and contents.

    \b
      groundling collect explore -n 1000 --steps 30 --out explore.jsonl
    """
    run("explore", **options)


@collect.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file, .jsonl.")
@click.option("-n", "--count", type=click.IntRange(1, 20_000), default=500, show_default=True, help="Per family.")
@click.option("--seed", type=click.IntRange(0, 80), default=0, show_default=True, help="Draws other examples.")
@click.option("--plans", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Add collected plans.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def tasks(out: Path, count: int, seed: int, plans: Path | None, as_json: bool) -> None:
    """Training examples of the four families, for `groundling finetune embodied`: plan generation, activity
    recognition, counting and object path tracking. None is of a held-out activity, and stories are of other homes than
    the evaluation's.

    \b
      groundling collect tasks -n 2600 --out data/experience.jsonl
      cp SOME_TEXT.txt data/general.txt        (text of the kind that must not be forgotten)
      groundling finetune embodied data=data
    """
    from dialog.finetune.saving import explained, write_whole
    from embodied.collect import is_experience
    from embodied.tasks import plan_records, training_records
    from serve.progress import progress

    if plans and out.exists() and out.samefile(plans):
        raise click.UsageError("--out is the file of --plans, which would be lost. Give them different files.")
    if is_experience(out):
        raise click.UsageError(f"{out} holds collected experience, which would be lost. Use another --out.")
    collected = plan_records(plans, seed=seed) if plans else []  # a bad file is told of before the building
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with progress("building training examples"):
        records = training_records(count, seed=seed) + collected
    write_whole(out, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    families = Counter(record["source"].removeprefix("embodied:") for record in records)
    found = {"file": str(out), "n": len(records), "families": dict(sorted(families.items()))}
    told = ", ".join(f"{number} {family.replace('_', ' ')}" for family, number in families.items())
    click.echo(json.dumps(found) if as_json else f"{out}: {len(records)} examples: {told}")


def run(
    kind: Literal["plans", "explore"], *, out: Path, count: int, workers: int | None, as_json: bool, **settings: Any
) -> None:
    """Collect with a progress bar and print the summary."""
    from dialog.finetune.saving import explained
    from embodied.collect import CollectSettings
    from embodied.collect import collect as collect_into
    from serve.progress import progress

    with progress(f"collecting {kind}", count) as done, explained(out):
        found = collect_into(CollectSettings(kind=kind, **settings), out, count, workers=workers, progress=done)
    if as_json:
        click.echo(json.dumps(found))
        return
    extra = (
        f"{found['found']} goals reached, {found['mean_steps']} steps each"
        if kind == "plans"
        else f"{found['steps']} steps, {found['moves']} moves"
    )
    click.echo(f"{found['file']}: {found['n']} experiences ({found['collected']} new): {extra}")
