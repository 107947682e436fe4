"""`groundling eval retention`: perplexity on general text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from serve.cli import ADAPTER_HELP
from serve.cli.eval_common import intervals_of, save_option, show
from serve.cli.eval_saved import subject_of

NO_INTERVAL = "no interval: it draws stretches of text, and there is one alone or all are alike"


@click.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Text file, or JSONL with texts or dialogs."
)
@click.option("--tokens", type=click.IntRange(16), default=65_536, show_default=True, help="Tokens to measure on.")
@click.option("--held-out", is_flag=True, help="Only the half that finetuning with this text measures on.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N paragraphs or dialogs.")
@click.option("--model", metavar="M", help="A model's name, folder or Hugging Face id.")
@click.option("--adapter", metavar="A", help=ADAPTER_HELP)
@click.option("--engine", metavar="E", default="transformers", help="Only transformers reads whole texts.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda …")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@save_option
def command(
    data: Path, tokens: int, held_out: bool, limit: int | None, model: str | None, adapter: str | None, engine: str,
    device: str, as_json: bool, save: Path | None,
) -> None:  # fmt: skip
    """Measure what a model remembers of general text: perplexity, exp of nats per token, on stretches of 512 tokens.
    The interval is 95% bootstrap over the stretches. Where the text is one of an adapter's `retention.texts`, half of
    it was replayed or gave the Fisher information: --held-out leaves that half out.

    \b
    Examples:
      groundling eval retention --data wikitext.txt
      groundling eval retention --data wikitext.txt --adapter joint --json
      groundling eval retention --data general.txt --adapter mine --held-out
    """
    from dialog.finetune.retention import general_text, perplexity, read_texts, stretches
    from serve.adapters import find_adapter
    from serve.assemble import AgentOptions
    from serve.engines.loading import choose_device, choose_dtype, load_model, load_tokenizer, merge_adapter
    from serve.errors import SettingsError
    from serve.progress import progress
    from serve.store import DEFAULT_MODEL, ModelStore

    if engine != "transformers":
        raise SettingsError(f"eval retention reads whole texts, which engine {engine!r} does not. Use transformers.")
    texts = (general_text([data], learns=False)[1] if held_out else read_texts(data))[:limit]
    stored = ModelStore().pull(model or DEFAULT_MODEL)
    with progress("measuring perplexity"):
        on = choose_device(device)
        loaded: Any = load_model(stored.path, on, choose_dtype("auto" if on.type != "cpu" else "float32", on))
        folder, _ = find_adapter(adapter, model or DEFAULT_MODEL)
        if folder is not None:
            loaded = merge_adapter(loaded, folder, model_name=stored.name, revision=stored.revision)
        found = perplexity(loaded, stretches(load_tokenizer(stored.path), texts, tokens))
    subject = subject_of(AgentOptions(model=model or DEFAULT_MODEL, adapter=adapter))
    span = found.interval()
    result = {
        "tokens": found.tokens,
        "perplexity": round(found.perplexity, 4),
        "model": stored.name,
        "adapter": subject.adapter,
        **({} if span else {"note": NO_INTERVAL}),
        "intervals": intervals_of({"perplexity": span}),
    }
    how = {"limit": limit, "tokens": tokens, "held_out": held_out or None}
    show("retention", data, result, of=subject, how=how, as_json=as_json, save=save)
