"""Which adapter an agent takes: one that ships with Groundling, one that was made here, one that is merged, or none.

Below this folder lie the adapters that ship, as `<name>/<version>/` with a card each, made by `groundling finetune` on
the recipe of the same name. What is made or installed on this machine lies in Groundling's own folder and comes after
them: the newest version of a name wins. Where no adapter is named, the newest `joint` that ships is taken, also where a
newer one was made here: what a default says of safety was measured on what ships.
"""

from __future__ import annotations

from pathlib import Path

from dialog.errors import AdapterError
from dialog.finetune.adapters import CARD, AdapterCard, AdapterStore, read_card
from serve.home import home
from serve.store import DEFAULT_MODEL

SHIPPED = Path(__file__).parent
DEFAULT_ADAPTER = "joint"
"""What the embedded default model is judged with where no adapter is named: its newest shipped version."""


def adapter_store() -> AdapterStore:
    """The adapters of this machine, and those that ship."""
    return AdapterStore(home() / "adapters", SHIPPED)


def find_adapter(
    name: str | None, model: str = DEFAULT_MODEL, engine: str = "transformers"
) -> tuple[Path | None, AdapterCard | None]:
    """An adapter's folder and card by name, `name@version` or path; "none" is none.

    None takes the default model's own adapter, the newest that ships. Other models have none, but the card of one that
    is merged into them (`merged_card`); a server serves what it was started with. A plain LoRA folder has no card.
    Raises AdapterError, which names the adapters that there are.
    """
    if name is None:
        if model != DEFAULT_MODEL:
            return None, merged_card(model)
        if engine.startswith("http"):
            return None, None
        shipped = AdapterStore(SHIPPED).newest(DEFAULT_ADAPTER)
        return (shipped.path, shipped.card) if shipped else (None, None)
    if name == "none":
        return None, None
    folder = Path(name).expanduser()
    if (folder / "adapter_config.json").is_file() and not (folder / CARD).is_file():
        return folder.resolve(), None
    stored = adapter_store().find(name)
    return stored.path, stored.card


def merged_card(model: str) -> AdapterCard | None:
    """The card that `groundling adapters merge` put into a model folder; None where there is none.

    Raises AdapterError where it cannot be read.
    """
    folder = Path(model).expanduser()
    if not ((folder / "config.json").is_file() and (folder / CARD).is_file()):
        return None
    try:
        return read_card(folder)
    except AdapterError as error:
        raise AdapterError(f"{error} Or merge again, or use {folder} without its card: --adapter none.") from None
