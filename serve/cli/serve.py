"""`groundling serve`: the REST API and the web page. `groundling keys`: who may use them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from serve.cli import ADAPTER_HELP

T = TypeVar("T")


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="TOML file of settings.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 takes a free one.  [default: 8000]")
@click.option("--workers", type=int, help="API processes; more than one needs an engine that they share.")
@click.option("--model", help="Model: a folder, a Hugging Face id, or a name from `groundling models list`.")
@click.option("--engine", help="transformers, vllm, or the URL of a `vllm serve`.")
@click.option("--adapter", help=ADAPTER_HELP)
@click.option("--corpus", help="Corpus that the retrieval tool searches.")
@click.option("--role", help="Role where a request names none.")
@click.option("--candidates", type=int, help="Candidates a turn.")
@click.option("--max-tokens", type=int, help="Longest candidate, in tokens.")
@click.option("--agent", help="`module:function` that makes an agent of your own.")
@click.option("--database", help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME.")
@click.option("--retention-days", type=float, help="Delete turns that are older.")
@click.option("--auth/--no-auth", default=None, help="Ask for API keys; off only on a loopback address.")
@click.option("--page/--no-page", default=None, help="Serve the web page at /.")
@click.option("--max-running", type=int, help="Turns at once.")
@click.option("--max-queue", type=int, help="Turns that may wait.")
@click.option("--deadline-seconds", type=float, help="Longest turn.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--log-format", help="json or text.  [default: text on a terminal, else json]")
@click.option("--traces/--no-traces", default=None, help="Send OpenTelemetry spans.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output once it listens.")
@click.option("--show-settings", is_flag=True, help="Print the settings without secrets, and end.")
def serve(config: Path | None, as_json: bool, show_settings: bool, **flags: Any) -> None:
    """Serve the OpenAI-compatible API and the web page.

    On the first start an API key is made and shown once. Every setting can also be given by the environment
    (GROUNDLING_PORT=9000) or by a TOML file; docs/api.md lists them all.

    \b
    Examples:
      groundling serve
      groundling serve --port 9000 --candidates 8
      groundling serve --workers 4 --engine http://127.0.0.1:8001 --database postgresql://me@db/groundling
      groundling serve --config serve.toml --show-settings
    """
    from serve.settings import load_settings

    settings = load_settings(config, **flags)
    if show_settings:
        click.echo(json.dumps(settings.shown(), indent=None if as_json else 2))
        _warn(settings)
        return
    from serve.api.server import check, listen
    from serve.api.server import serve as run

    click.echo(f"settings {json.dumps(settings.shown())}", err=True)
    _warn(settings)
    check(settings)  # before a first key is made, which is shown only once
    listener = listen(settings)
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    key = asyncio.run(_first_key(settings)) if settings.auth else None

    def on_listening() -> None:
        if as_json:
            shown = {"url": url, "key": key, "settings": settings.shown(), "warnings": settings.warnings()}
            click.echo(json.dumps(shown))
            sys.stdout.flush()
            return
        click.echo(f"Groundling listens on {url}", err=True)
        if key:
            click.echo(f"First API key, shown only now: {key}", err=True)
        if settings.page:
            click.echo(f"Web page: {url}/{f'#key={key}' if key else ''}", err=True)

    run(settings, listener, on_listening)


def _warn(settings: Any) -> None:
    for warning in settings.warnings():
        click.echo(f"warning: {warning}", err=True)


async def _first_key(settings: Any) -> str | None:
    """A first key where there is none yet; None otherwise, and while the database cannot be reached."""
    from serve.api.errors import ApiError
    from serve.api.keys import create_key
    from serve.api.storage import Store

    try:
        store = await Store.open(settings.database)
    except ApiError:
        click.echo(
            "warning: the database cannot be used now, so it is not known whether there is an API key yet. Where there "
            "is none, `groundling keys create --name first --admin` makes one once the database is there; give it the "
            "same --database or --config.",
            err=True,
        )
        return None
    try:
        if await store.keys():
            return None
        return (await create_key(store, "first", admin=True))[1]
    finally:
        await store.aclose()


@click.group()
@click.option("--database", help="The service's database.  [default: as `groundling serve`]")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file of the service's settings.")
@click.pass_context
def keys(ctx: click.Context, database: str | None, config: Path | None) -> None:
    """Create, list and revoke API keys, and delete what is stored of one.

    \b
    Examples:
      groundling keys create --name "web shop" --requests-per-minute 60
      groundling keys list
      groundling keys revoke 3f0c9a1be27d4455
      groundling keys delete-data 3f0c9a1be27d4455
    """
    ctx.obj = {"database": database, "config": config}


@keys.command()
@click.option("--name", required=True, help="Whom the key is for.")
@click.option("--admin", is_flag=True, help="May also read /metrics and everybody's feedback.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="Most requests for turns a minute.")
@click.option("--tokens-per-minute", type=click.IntRange(1), help="Most tokens a minute, prompts and replies.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def create(obj: dict, name: str, as_json: bool, **limits: Any) -> None:
    """Make a key. It is shown only now; what is kept is its hash."""
    from serve.api.keys import create_key

    key, text = _with_store(obj, lambda store: create_key(store, name, **limits))
    click.echo(json.dumps({**vars(key), "key": text}) if as_json else text)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def list_keys(obj: dict, as_json: bool) -> None:
    """List the keys, without their secrets."""
    from datetime import datetime

    found = _with_store(obj, lambda store: store.keys())
    if as_json:
        click.echo(json.dumps({"keys": [vars(key) for key in found]}))
        return
    for key in found:
        state = f"revoked {datetime.fromtimestamp(key.revoked):%Y-%m-%d}" if key.revoked else "valid"
        what = "admin" if key.admin else "user"
        click.echo(f"{key.id}  {what:5}  {state:18}  {datetime.fromtimestamp(key.created):%Y-%m-%d}  {key.name}")


@keys.command()
@click.argument("key_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def revoke(obj: dict, key_id: str, as_json: bool) -> None:
    """Revoke a key by its id; it stops working at once, in every process."""
    from serve.errors import SettingsError

    done = _with_store(obj, lambda store: store.revoke_key(key_id))
    if not done:
        raise SettingsError(f"there is no valid key {key_id!r}. `groundling keys list` shows them.")
    click.echo(json.dumps({"revoked": key_id}) if as_json else f"revoked {key_id}")


@keys.command("delete-data")
@click.argument("key_id")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def delete_data(obj: dict, key_id: str, yes: bool, as_json: bool) -> None:
    """Delete for good all that is stored of a key: turns, conversations, feedback.

    The key may be valid or revoked, and stays as it is. Whoever has a valid key can do the same by DELETE /v1/data;
    of a revoked key this is the only way. KEY_ID `local` is what was stored with --no-auth.

    \b
    Examples:
      groundling keys revoke 3f0c9a1be27d4455
      groundling keys delete-data 3f0c9a1be27d4455
    """
    from serve.api.keys import LOCAL
    from serve.errors import SettingsError

    async def name_of(store: Any) -> str | None:
        found = await store.key(key_id)
        return found[0].name if found else None

    name = "what was stored with --no-auth" if key_id == LOCAL else _with_store(obj, name_of)
    if name is None:
        raise SettingsError(f"there is no key {key_id!r}. `groundling keys list` shows them, revoked ones too.")
    if not yes:
        click.confirm(f"Delete all data of {key_id} ({name}) for good?", abort=True, err=True)
    deleted = _with_store(obj, lambda store: store.delete_everything_of(key_id))
    click.echo(json.dumps({"key": key_id, "deleted_turns": deleted}) if as_json else f"deleted {deleted} turns")


def _with_store(obj: dict, use: Callable[[Any], Awaitable[T]]) -> T:
    from serve.api.storage import Store
    from serve.settings import load_settings

    settings = load_settings(obj["config"], database=obj["database"])

    async def run() -> T:
        store = await Store.open(settings.database)
        try:
            return await use(store)
        finally:
            await store.aclose()

    return asyncio.run(run())
