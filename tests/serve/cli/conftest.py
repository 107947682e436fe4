"""A tiny model for the commands' tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.serve.engines.tiny import make_qwen2


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer has no chat template, as base models have."""
    folder = make_qwen2(tmp_path_factory.mktemp("models") / "plain")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(folder)
    return folder
