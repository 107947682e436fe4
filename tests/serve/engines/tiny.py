"""Tiny, randomly initialised models of other architectures and tokenizers, so that nothing is tied to one model."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

TEXT = [
    "The river runs from the mountains to the sea, past old towns and quiet fields.",
    "A teacher asked the class which planet is the largest, and everyone answered at once.",
    "Bread is made from flour, water, salt and yeast; it needs time more than work.",
    "When the lamp went out they told stories until the morning came.",
]
TEMPLATE = (
    "{% for message in messages %}<start>{{ message['role'] }}\n{{ message['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>assistant\n{% endif %}"
)


def make_qwen2(folder: Path) -> Path:
    """Qwen2 (full attention, biases in q/k/v) with a byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT * 8,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<end>", "<start>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=_save(tokenizer, folder), hidden_size=128, intermediate_size=192, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, eos_token_id=0,
        pad_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def make_gemma3(folder: Path) -> Path:
    """Gemma 3 (every other layer sees a window of 16 tokens) with a Unigram tokenizer."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXT * 8,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=["<end>", "<start>", "<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    torch.manual_seed(2)
    config = Gemma3TextConfig(
        vocab_size=_save(tokenizer, folder), hidden_size=128, intermediate_size=192, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=1, head_dim=32, max_position_embeddings=512, sliding_window=16,
        layer_types=["sliding_attention", "full_attention"] * 2, query_pre_attn_scalar=32, bos_token_id=1,
        eos_token_id=0, pad_token_id=0, initializer_range=0.06,
    )  # fmt: skip
    Gemma3ForCausalLM(config).save_pretrained(folder)
    return folder


def _save(tokenizer: Tokenizer, folder: Path) -> int:
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", chat_template=TEMPLATE)
    wrapped.save_pretrained(folder)
    return len(wrapped)
