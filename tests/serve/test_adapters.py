"""The adapters that ship: which agent takes which, and that they fit what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog.errors import AdapterError
from dialog.finetune.adapters import AdapterCard, AdapterStore
from dialog.finetune.config import Config, load_config
from serve.adapters import DEFAULT_ADAPTER, SHIPPED, find_adapter
from serve.store import DEFAULT_MODEL, ModelStore

SHIPPED_BYTES = 12 * 2**20


def test_the_default_model_takes_its_own_adapter_and_others_none() -> None:
    path, card = find_adapter(None)
    assert path is not None
    assert card is not None
    assert (card.name, path.is_relative_to(SHIPPED)) == (DEFAULT_ADAPTER, True)
    assert find_adapter("none") == (None, None)
    assert find_adapter(None, "Qwen/Qwen3-0.6B") == (None, None)
    assert find_adapter(None, DEFAULT_MODEL, "http://127.0.0.1:8000") == (None, None)  # the server decides
    assert find_adapter(DEFAULT_ADAPTER)[1] == card
    with pytest.raises(AdapterError, match=rf"no adapter 'jugde'. Installed: .*{DEFAULT_ADAPTER}@v0001"):
        find_adapter("jugde")


def test_a_folder_of_merged_weights_brings_its_card(tmp_path: Path) -> None:
    card = AdapterCard(name="mine", base_model="small", base_revision="r", method="lora", safety_threshold=0.3)
    (tmp_path / "card.json").write_text(card.model_dump_json())
    folder = str(tmp_path)
    assert find_adapter(None, folder) == (None, None)  # no model: an adapter's own folder, which the store refuses
    (tmp_path / "config.json").write_text("{}")
    assert find_adapter(None, folder) == (None, card)
    assert find_adapter(None, folder, "http://127.0.0.1:8000") == (None, card)
    assert find_adapter("none", folder) == (None, None)
    named = find_adapter(DEFAULT_ADAPTER, folder)[1]
    assert named is not None
    assert named.name == DEFAULT_ADAPTER
    (tmp_path / "card.json").write_text('{"name": "mine"}')
    with pytest.raises(AdapterError, match=r"card\.json.*merge again, or use .* without its card: --adapter none"):
        find_adapter(None, folder)


def test_an_agent_is_not_given_an_older_adapter_than_the_one_that_cannot_be_read(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path))
    folder = tmp_path / "adapters" / DEFAULT_ADAPTER / "v0099"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    newest = AdapterStore(SHIPPED).newest(DEFAULT_ADAPTER)
    assert newest is not None
    with pytest.raises(AdapterError, match=rf"v0099/card\.json.*name an older version: {newest.full_name}\.$"):
        find_adapter(DEFAULT_ADAPTER)
    assert find_adapter(newest.full_name) == (newest.path, newest.card)
    assert find_adapter(None) == (newest.path, newest.card), "the default is what ships"


@pytest.mark.parametrize("name", [DEFAULT_ADAPTER, "judge", "embodied"])
def test_a_shipped_adapter_is_small_and_says_where_it_comes_from(default_model: Path, name: str) -> None:
    shipped = AdapterStore(SHIPPED).newest(name)
    assert shipped is not None
    card = shipped.card
    assert sum(path.stat().st_size for path in shipped.path.iterdir()) <= SHIPPED_BYTES
    assert card.base_model == DEFAULT_MODEL
    assert card.base_revision == ModelStore().pull(DEFAULT_MODEL).revision
    assert card.refused is None
    assert card.metrics["retention_ratio"] <= 1.01
    assert all(use.licence != "unknown" for use in card.data)
    recipe_of = {DEFAULT_ADAPTER: "joint-cpu", "judge": "judge-more", "embodied": "embodied-more"}
    config, _ = load_config(recipe_of.get(name, name), ["data=data"])
    assert card.recipe["method"] == "ewc"
    # An option younger than the card has its default there; replay's, which has changed since, made nothing of these.
    written = Config.model_validate(card.recipe | {"replay": {}})
    made, recipe = (one.model_dump(mode="json", exclude={"data"}) for one in (written, config))
    if name == "embodied":  # its general text is the user's own
        made["retention"], recipe["retention"] = ({**one["retention"], "texts": []} for one in (made, recipe))
    for one in (made, recipe):
        del one["retention"]["licence"]  # said on cards since
    assert made == recipe  # one command makes it again
