"""The base model that a run adapts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator

from dialog.errors import FinetuneError
from dialog.finetune.memory import SIGNS, out_of_memory


class Base(NamedTuple):
    """The base model on disk."""

    name: str
    folder: Path
    revision: str


def load_base(base: Base, accelerator: Accelerator) -> Any:
    """The base model in float32 on this process's device. Raises FinetuneError."""
    import torch
    from transformers import AutoModelForCausalLM

    with out_of_memory("loading the model", "Name a smaller model, set train.device=cpu, or free memory."):
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            if any(sign in str(error) for sign in SIGNS):
                raise
            text = " ".join(str(error).split())[:200]
            raise FinetuneError(f"{base.folder} holds no causal language model that loads: {text}") from None
        return model.to(accelerator.device).eval().requires_grad_(False)


def check_window(model: Any, max_tokens: int) -> None:
    """Raises FinetuneError where examples may be longer than the model's window."""
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if window is not None and max_tokens > window:
        raise FinetuneError(f"train.max_tokens is {max_tokens}, but the model reads at most {window} tokens. Lower it.")
