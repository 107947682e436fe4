"""Random Llamas: a tiny one of 101 tokens, large enough to learn, and one with the default model's tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog.finetune.run import Base

VOCABULARY = 101


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """Makes a random model of four layers, equal for equal seeds."""

    def make(seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, pad_token_id=0,
        )  # fmt: skip
        return LlamaForCausalLM(config).eval()

    return make


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Base:
    """A random model of four thin layers beside the default model's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(default_model / name, folder)
    return Base("small", folder, "revision-of-small")
