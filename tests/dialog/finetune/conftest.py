"""A tiny random Llama with the default model's tokenizer-independent shape: large enough to learn, fast to train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

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
