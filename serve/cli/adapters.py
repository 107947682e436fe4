"""`groundling adapters`: list, show, install and merge finetuned adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dialog.finetune.adapters import AdapterStore, Stored


def store() -> AdapterStore:
    from serve.adapters import adapter_store

    return adapter_store()


@click.group()
def adapters() -> None:
    """See, install and merge adapters, which `groundling finetune` makes.

    An adapter is called by its name (the newest version), by name@version, or by its folder.
    """


@adapters.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """List the installed adapters, and those whose card cannot be read, with what is wrong."""
    from dialog.finetune.adapters import StoredAdapter, UnreadableAdapter

    found = store().all()
    if as_json:
        about = [(one, {"adapter": one.full_name, "path": str(one.path)}) for one in found]
        rows = [row | one.card.model_dump(mode="json") for one, row in about if isinstance(one, StoredAdapter)]
        faults = [row | {"fault": one.fault} for one, row in about if isinstance(one, UnreadableAdapter)]
        click.echo(json.dumps({"adapters": rows, "unreadable": faults}))
        return
    if not found:
        click.echo("no adapter yet; make one with `groundling finetune`", err=True)
    for one in found:
        if isinstance(one, UnreadableAdapter):
            click.echo(f"{one.full_name:24} unreadable: {one.fault}")
            continue
        ratio = one.card.metrics.get("retention_ratio")
        kept = "" if ratio is None else f"  perplexity × {ratio:.4f}"
        despite = "  refused, installed all the same" if one.card.installed_despite else ""
        click.echo(f"{one.full_name:24} {one.card.base_model:28} {one.card.method:7}{kept}{despite}")


@adapters.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the card as one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show an adapter's card: base model, data with licences, figures, thresholds."""
    from dialog.finetune.adapters import card_text

    found = store().find(name)
    click.echo(found.card.model_dump_json(indent=1) if as_json else card_text(found.card).rstrip())


@adapters.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def install(folder: Path, as_json: bool) -> None:
    """Install an adapter from FOLDER as a new version; a refused one is installed on your word and its card says so."""
    made = store().install(folder)
    line = {"adapter": made.full_name, "path": str(made.path)}
    click.echo(json.dumps(line) if as_json else f"{made.full_name} in {made.path}")


@adapters.command()
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", metavar="M", help="The base model.  [default: the one on the card]")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="How OUT keeps its numbers. bfloat16 halves it and rounds off a part of what the adapter changed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def merge(name: str, out: Path, model: str | None, dtype: Stored, as_json: bool) -> None:
    """Write the base model with adapter NAME merged into its weights to the new folder OUT.

    The engines in this process merge by themselves; this is for a server. The adapter's card goes along: where --model
    is OUT and no adapter is named, `groundling chat` and `serve` take dialect and threshold from it.
    """
    from dialog.finetune.adapters import merge_into
    from serve.engines.loading import quiet
    from serve.store import ModelStore

    found = store().find(name)
    base = ModelStore().pull(model or found.card.base_model)
    with quiet():
        made = merge_into(found, base.path, base.revision, out, dtype)
    click.echo(
        json.dumps({"adapter": found.full_name, "path": str(made)}) if as_json else f"{found.full_name} in {made}"
    )
