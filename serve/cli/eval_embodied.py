"""`groundling eval embodied`: the 18 embodied task families, base model against an adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import save_option


@click.command()
@click.option("--model", default=None, help="Model by name or folder.  [default: the embedded one]")
@click.option("--adapter", default=None, help="Adapter by name or folder; it is compared with the model without it.")
@click.option("--engine", default="transformers", show_default=True, help="transformers, vllm, or a URL.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Items per family.")
@click.option("--family", "families", multiple=True, help="Only this family; may be repeated.")
@click.option(
    "--plans", type=click.IntRange(1, 64), default=1, show_default=True,
    help="Plans written per item; the first is the likeliest, the others are sampled.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 80), default=0, show_default=True, help="Draws other items.")
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    help="General text, the half that training leaves out: perplexity before and after, and their ratio.",
)
@click.option("--plot", "plot_to", type=click.Path(path_type=Path), help="Also draw the figures into this file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda …")
@save_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: str | None,
    adapter: str | None,
    engine: str,
    device: str,
    save: Path | None,
    limit: int,
    families: Sequence[str],
    plans: int,
    seed: int,
    texts: Path | None,
    plot_to: Path | None,
    as_json: bool,
) -> None:
    """Ask a model about simulated homes: stories, housework, activities, and plans that are run in the home.

    Choices are scored by the answer's log-probability, plans by ROUGE-L and by running them. All items are verified
    without the model; intervals are 95% bootstrap over what is asked about: a question that comes again with other
    choices is drawn with them. Plans: `executable` is the share whose every step can be done, `goal_success` the share
    that also brings about all that the recorded plan does (what was so from the start and stayed does not count);
    `mended_` the same, once the steps that were missing have been put in as the virtualhome tool does. With --plans
    above 1, `chosen_` is the same of the plan that the home chose: one that runs, else one that can be mended, with the
    fewest changes. The baseline needs no model: for choices the better of two blind answers (`majority`), for plans the
    better of two templates that do the same with each thing that is listed, in ROUGE-L (`template`) and when they are
    run (`_template`): walking to everything is executable and brings about little.

    \b
    Examples:
      groundling eval embodied --limit 20
      groundling eval embodied --adapter embodied --texts general.txt --plot embodied.svg
      groundling eval embodied --family counting --family lists --json
    """
    from embodied.evaluate import table
    from embodied.evaluate.report import check_plot, plot
    from embodied.tasks import FAMILIES, build_items
    from serve.adapters import find_adapter
    from serve.assemble import AgentOptions
    from serve.cli.eval_common import chosen
    from serve.cli.eval_saved import Saved, named, save_result, subject_of
    from serve.progress import progress
    from serve.store import DEFAULT_MODEL

    adapter = None if adapter == "none" else adapter
    families = list(dict.fromkeys(families))
    # What is named wrongly is found before the long work.
    find_adapter(adapter or "none", model or DEFAULT_MODEL)
    measured = measured_half(texts) if texts else []
    if plot_to is not None:
        check_plot(plot_to)
    with progress("building tasks"):
        items = build_items("eval", limit, families=families or FAMILIES, seed=seed)
    found = asyncio.run(measure(items, model, engine, device, adapter, plans))
    found |= perplexities(measured, model, adapter)
    click.echo(json.dumps(found) if as_json else table(found))
    try:  # what cannot be kept has at least been printed and drawn
        if save is not None:
            subject = subject_of(AgentOptions(model=model or DEFAULT_MODEL, engine=engine, adapter=adapter or "none"))
            how = chosen(
                limit=limit, family=" ".join(sorted(families)) or None, plans=plans,
                texts=named(texts) if texts else None,
            )  # fmt: skip
            save_result(save, Saved(eval="embodied", data=f"seed-{seed}", options=how, subject=subject, figures=found))
    finally:
        if plot_to is not None:
            plot(found, plot_to)


async def measure(
    items: Sequence[Any], model: str | None, engine: str, device: str, adapter: str | None, plans: int = 1
) -> dict[str, Any]:
    """Score the items with the model, and with the adapter where there is one."""
    from embodied.evaluate import compare, evaluate
    from serve.assemble import AgentOptions, open_named_decoder
    from serve.cli.eval_common import fitting_dialect
    from serve.progress import progress
    from serve.store import DEFAULT_MODEL

    scored = []
    for used in [None] if adapter is None else [None, adapter]:
        options = AgentOptions(engine=engine, device=device, adapter=used or "none", model=model or DEFAULT_MODEL)
        decoder = await open_named_decoder(options)
        try:
            with progress(f"asking {'the model' if used is None else used}", len(items)) as done:
                dialect = fitting_dialect(decoder, options)
                scored.append(await evaluate(decoder, dialect, items, plan_samples=plans, progress=done))
        finally:
            await decoder.aclose()
    return compare(items, *scored)


def measured_half(texts: Path) -> list[str]:
    """The paragraphs that a finetuning run with these `retention.texts` measures on, and never trains on."""
    from dialog.finetune.retention import general_text

    return general_text([texts], learns=False)[1]


def perplexities(texts: Sequence[str], model: str | None, adapter: str | None) -> dict[str, float | None]:
    """Perplexity without and with the adapter, and how many times the former the latter is; None where there are no
    texts or no adapter.
    """
    found: dict[str, float | None] = dict.fromkeys(("perplexity_base", "perplexity_tuned", "perplexity_ratio"))
    if texts:
        found |= (base := perplexity_of(texts, model, None, "perplexity_base"))
        if adapter:
            found |= (tuned := perplexity_of(texts, model, adapter, "perplexity_tuned"))
            found["perplexity_ratio"] = round(tuned["perplexity_tuned"] / base["perplexity_base"], 4)
    return found


def perplexity_of(texts: Sequence[str], model: str | None, adapter: str | None, key: str) -> dict[str, float]:
    """Perplexity of the model, or of the model with its adapter, as `key`, with its interval."""
    import torch

    from dialog.finetune.retention import perplexity, stretches
    from serve.adapters import find_adapter
    from serve.engines.loading import load_model, load_tokenizer, merge_adapter
    from serve.store import DEFAULT_MODEL, ModelStore

    stored = ModelStore().pull(model or DEFAULT_MODEL)
    loaded = load_model(stored.path, torch.device("cpu"), torch.float32)
    folder, _ = find_adapter(adapter or "none")
    if folder is not None:
        loaded = merge_adapter(loaded, folder, model_name=stored.name, revision=stored.revision)
    read = perplexity(loaded, stretches(load_tokenizer(stored.path), texts, 16_384))
    found = {key: round(read.perplexity, 4)}
    if span := read.interval():
        found |= {f"{key}_low": round(span.low, 4), f"{key}_high": round(span.high, 4)}
    return found
