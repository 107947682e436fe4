"""GGUF to safetensors, once: bf16 weights, tokenizer and chat template in the form that every engine loads."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path

from dialog.finetune.saving import disk_is_full
from serve.errors import ModelStoreError
from serve.progress import progress


def convert_gguf(file: Path, into: Path) -> None:
    """Dequantize `file` to bf16 safetensors below `into`, and remove it with what else was unpacked.

    The architecture must be one that `transformers` reads from GGUF. Raises ModelStoreError.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from serve.engines.loading import quiet

    try:
        with progress(f"converting {file.name} (once)"), quiet(), _no_bars_in_logs():
            model = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                quantization_config=GgufConfig(gguf_file=file.name, dequantize=True),
                dtype=torch.bfloat16,
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            # The GGUF header carries no length for the tokenizer; without one it would never warn of long input.
            tokenizer.model_max_length = model.config.max_position_embeddings
            model.save_pretrained(into)
            tokenizer.save_pretrained(into)
    except Exception as error:
        if isinstance(error, OSError) or disk_is_full(error):
            raise  # reported by whoever owns the folder
        raise ModelStoreError(
            f"cannot convert {file.name}: {error}. Give a folder in safetensors format instead."
        ) from error
    for path in sorted((path for path in into.rglob("*") if path != into), reverse=True):
        if path == file:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _no_bars_in_logs() -> AbstractContextManager[object]:
    """The GGUF reader draws its own bar whatever it is told; without a terminal it would fill a log."""
    return nullcontext() if sys.stderr.isatty() else redirect_stderr(StringIO())
