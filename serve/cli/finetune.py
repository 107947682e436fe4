"""`groundling finetune`: tune a model on your data, or on a recipe's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dialog.finetune.config import Config
    from dialog.finetune.run import Watch


@click.command()
@click.argument("recipe")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="The run's folder; it resumes from there."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def finetune(recipe: str, changes: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Train an adapter by RECIPE: a shipped recipe's name (judge, judge-more, joint, joint-cpu, embodied,
    embodied-more) or a YAML file.

    KEY=VALUE changes the recipe; dots reach inside. A run that stopped goes on where its last checkpoint is when the
    same command is given again. The adapter is installed as a new version unless it forgot too much of general text.

    \b
    Examples:
      groundling finetune judge data=DIR
      groundling finetune my.yaml method=lora train.steps=200
      groundling finetune joint data=DIR train.precision=bf16
      torchrun --nproc-per-node 4 -m serve.cli.main finetune joint data=DIR

    \b
    Compare the three guards against forgetting:
      groundling finetune my.yaml method=ewc      (elastic weight consolidation)
      groundling finetune my.yaml method=replay   (general text mixed in)
      groundling finetune my.yaml method=lora     (none)
    """
    from dialog.finetune.config import load_config
    from dialog.finetune.run import Base, run
    from serve.adapters import adapter_store
    from serve.store import ModelStore

    config, data = load_config(recipe, changes)
    stored = ModelStore().pull(config.model)
    runs, former = (out, None) if out else own_folder(config, data, stored.revision)
    with watched() as watch:
        if former:
            watch.stage(f"the data changed since {former}: a new run starts in {runs}")
        result = run(
            config,
            data,
            Base(stored.name, stored.path, stored.revision),
            runs=runs,
            store=adapter_store(),
            watch=watch,
        )
    if as_json:
        click.echo(result.model_dump_json(indent=1))
        return
    before = ", installed before by the same run: nothing was trained" if result.installed_before else ""
    click.echo(f"{result.adapter} in {result.path}{before}")
    for name, value in result.metrics.items():
        click.echo(f"  {name:42} {value:.4f}")


def own_folder(config: Config, data: Path, revision: str) -> tuple[Path, Path | None]:
    """Where a run trains whose folder nobody named: the same for the same configuration, model and data.

    What the data files hold counts, so that a corrected file does not meet the checkpoints of what it held before.
    (the folder; where it is new, the newest one of the same configuration on other data.)
    """
    from dialog.finetune.identity import data_digest, digest, run_identity
    from serve.home import home

    made_of = digest([run_identity(config), revision, str(data)])
    below, name = home() / "runs", f"{config.name}-{made_of[:10]}"
    folder = below / f"{name}-{data_digest(config, data)[:10]}"
    others = [] if folder.exists() else [path for path in below.glob(f"{name}-*") if path.is_dir()]
    return folder, max(others, key=lambda path: path.stat().st_mtime, default=None)


@contextmanager
def watched() -> Iterator[Watch]:
    """A progress bar on a terminal (loss, tokens per second, time left), a line now and then elsewhere; on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from dialog.finetune.run import Watch
    from dialog.finetune.trainer import Progress as Step

    main = os.environ.get("RANK", "0") == "0"
    live = sys.stderr.isatty() and main
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        console=Console(stderr=True), transient=True, disable=not live,
    )  # fmt: skip
    tasks: dict[str, Any] = {}

    def update(name: str, done: int, total: int, note: str) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total, note="")
        bar.update(tasks[name], completed=done, note=note)
        if not live and main and (done == total or done % max(1, total // 20) == 0):
            print(f"{name} {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)

    def stage(text: str) -> None:
        if main:
            bar.console.print(f"[dim]{text}[/]", highlight=False) if live else print(text, file=sys.stderr, flush=True)

    def step(now: Step) -> None:
        minutes, seconds = divmod(int(now.seconds_left), 60)
        note = f"loss {now.loss:.3f}, {now.tokens_per_second:,.0f} tokens/s, {minutes}:{seconds:02d} left"
        update("training", now.step, now.steps, note)

    with bar:
        yield Watch(stage=stage, progress=step, fisher=lambda done, total: update("Fisher", done, total, ""))
