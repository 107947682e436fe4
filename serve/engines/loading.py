"""Load a model folder for the embedded engine: device, number type, adapter, tokenizer, attention.

Boundary: from folders to a model that runs; names and downloads are `serve.store`. Never asks the network.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from serve.engines.checks import reason
from serve.engines.imports import without

# Imported for losses and a kind of assisted generation that are not used here: a third of a start's import time.
with without("sklearn", "scipy"):
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from dialog.errors import AdapterError
from dialog.finetune.adapters import adapter_label
from serve.engines.kv import ATTENTION, RowCache
from serve.engines.plain import PlainModel
from serve.engines.shared import SharedPromptModel
from serve.errors import ModelStoreError, SettingsError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CACHE_BYTES = {"cpu": 768 << 20, "cuda": 4 << 30}


def choose_device(device: str) -> torch.device:
    """`auto`: the GPU where there is one. Raises SettingsError."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device!r} cannot be used here. Use auto, cpu or cuda.") from error
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 where the device computes in it, else float32. Raises SettingsError.

    A CPU without AVX512 emulates bfloat16: a batch of 16 ran at less than half of float32's speed.
    """
    if dtype == "auto":
        if device.type == "cpu":
            fast = "AVX512" in torch.backends.cpu.get_cpu_capability()
        else:
            fast = device.type != "cuda" or torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if dtype not in DTYPES:
        raise SettingsError(f"unknown dtype {dtype!r}. Use auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer. Raises ModelStoreError."""
    with quiet():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelStoreError(f"{folder} holds no tokenizer that loads: {reason(error)}") from error


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """The causal language model in `folder`, ready to run. Raises ModelStoreError."""
    if not (folder / "config.json").is_file():
        raise ModelStoreError(f"{folder} holds no config.json, so it is not a model. Name a folder with weights.")
    with quiet():
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelStoreError(f"{folder} holds no causal language model that loads: {reason(error)}") from error
    return model.to(device).eval().requires_grad_(False)


def merge_adapter(model: Any, adapter: Path, *, model_name: str, revision: str) -> Any:
    """`model` with the LoRA adapter in folder `adapter` merged into its weights.

    Raises AdapterError where the adapter cannot be read, was trained on another revision (peft's own `revision` key
    of `adapter_config.json`), or has other shapes.
    """
    from peft import PeftModel

    label = adapter_label(adapter)
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{adapter} holds no readable adapter_config.json. Name a folder saved by peft.") from error
    if (trained_on := config.get("revision")) and trained_on != revision:
        raise AdapterError(
            f"adapter {label!r} was trained on {config.get('base_model_name_or_path') or 'a base'} revision "
            f"{trained_on[:12]}, but {model_name} is {revision[:12]}. Use the adapter's own base model."
        )
    named = str(config.get("base_model_name_or_path") or "")
    is_id = named.count("/") == 1 and not Path(named).exists()
    if not trained_on and is_id and _last_part(named) != _last_part(model_name):  # shapes may be equal all the same
        raise AdapterError(
            f"adapter {label!r} was trained on {named}, not on {model_name}. Use --model {named}; or, if it is "
            "the same model, write this one's name into its adapter_config.json."
        )
    with quiet():
        try:
            merged = PeftModel.from_pretrained(
                model, str(adapter), local_files_only=True, low_cpu_mem_usage=True
            ).merge_and_unload()
        except (RuntimeError, ValueError, KeyError, OSError, TypeError, SafetensorError) as error:
            raise AdapterError(
                f"adapter {label!r} does not fit {model_name}: {reason(error)} Use the adapter's own base model."
            ) from error
    return merged.eval().requires_grad_(False)


def _last_part(name: str) -> str:
    """`qwen3-0.6b` of `Qwen/Qwen3-0.6B@main`."""
    return name.partition("@")[0].rstrip("/").rpartition("/")[2].casefold()


def fast_or_plain(model: Any, device: torch.device) -> SharedPromptModel | PlainModel:
    """The model behind shared-prompt attention where that gives the model's own logits, else behind its own cache.

    Raises ModelStoreError where neither does.
    """
    plain = PlainModel(model, device)
    own_attention = model.config._attn_implementation
    tokens = torch.arange(12, device=device)[None] % model.config.get_text_config().vocab_size
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.25
    with torch.inference_mode():
        expected = model(input_ids=tokens, use_cache=False).logits.float().log_softmax(-1)
        try:
            model.set_attn_implementation(ATTENTION)
            cache = RowCache([], 1, device)
            parts = []
            for start, end in ((0, 5), (5, 12)):
                positions = torch.arange(start, end, device=device)[None]
                cache.begin(positions)
                parts.append(
                    model(
                        input_ids=tokens[:, start:end], position_ids=positions, past_key_values=cache, use_cache=True,
                        row_cache=cache, logits_to_keep=end - start,
                    ).logits.float()
                )  # fmt: skip
            found = torch.cat(parts, 1).log_softmax(-1)
            fits = bool((found - expected).abs().max() < tolerance)
        except (NotImplementedError, ValueError, RuntimeError, TypeError, AttributeError, IndexError, KeyError):
            fits = False
    if fits and set(getattr(model.config.get_text_config(), "layer_types", None) or ()) <= {
        "full_attention",
        "sliding_attention",
    }:
        return SharedPromptModel(model, device, CACHE_BYTES.get(device.type, CACHE_BYTES["cpu"]))
    if own_attention is not None:
        model.set_attn_implementation(own_attention)
    with torch.inference_mode():
        if not plain.fits(tokens, expected[0, -1], tolerance):
            raise ModelStoreError(
                f"the transformers engine cannot step {type(model).__name__} token by token. Use the vllm engine."
            )
    return plain


def context_length(config: Any) -> int:
    """Longest sequence that the model was made for, in tokens."""
    text = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        if isinstance(found := getattr(text, name, None), int):
            return found
    return 4096  # a recurrent model names no limit


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off a person's terminal."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def vocab_size(folder: Path, tokenizer: Any) -> int:
    """How many ids the model in `folder` knows; the tokenizer's where the folder holds no configuration."""
    if not (folder / "config.json").is_file():
        return len(tokenizer)
    with quiet():
        return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config().vocab_size
