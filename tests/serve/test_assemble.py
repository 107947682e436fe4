"""What an agent is assembled from: a folder of merged weights says itself how it is spoken to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from dialog.finetune.adapters import AdapterCard
from serve.assemble import AgentOptions, assemble
from tests.dialog.scripted import ScriptedDecoder
from toolset import Toolset
from toolset.plugins import Loaded


@pytest.fixture
def merged(default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `groundling adapters merge` leaves it, but for the weights, which are scripted."""

    async def open_decoder(options: AgentOptions) -> ScriptedDecoder:
        return ScriptedDecoder(AutoTokenizer.from_pretrained(default_model), lambda prompt: ["Hello."])

    monkeypatch.setattr("serve.assemble.open_named_decoder", open_decoder)
    monkeypatch.setattr("serve.tools.load_tools", lambda *args, **options: Loaded(Toolset([]), (), {}))
    card = AdapterCard(
        name="judge", version="v0007", base_model="small", base_revision="r", dialect="judged", method="ewc",
        safety_threshold=0.31,
    )  # fmt: skip
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "card.json").write_text(card.model_dump_json())
    return tmp_path


@pytest.mark.parametrize(
    ("options", "dialect", "threshold", "says"),
    [
        ({}, "judged", 0.31, r"judge@v0007 merged in: dialect judged, replies with P\(safe\) < 0\.31 are dropped"),
        ({"dialect": "chat"}, "chat", 0.5, r"dialect judged, so in chat its thresholds are not used; .* < 0\.5 are"),
        ({"adapter": "none"}, "chat", 0.5, None),
    ],
)
async def test_merged_weights_take_dialect_and_threshold_from_their_card_and_say_so(
    merged: Path, options: dict[str, str], dialect: str, threshold: float, says: str | None
):
    agent, notices = await assemble(AgentOptions(model=str(merged), corpus="none", **options))
    assert (agent.dialect.name, agent.policy.threshold) == (dialect, threshold)
    told = [notice for notice in notices if "merged in" in notice]
    assert len(told) == (says is not None)
    assert all(re.search(says or "", notice) for notice in told)
    await agent.aclose()
