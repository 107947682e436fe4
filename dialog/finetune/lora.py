"""The adapter on the model: which layers are adapted, lower layers computed once, what is trained.

Freezing the lower layers lets their output be computed once for all epochs: `upper_only` then runs the model from the
first adapted layer on. The states that a layer hands on do not depend on the layers above it, so for a decoder that
does nothing but run alike layers on its embeddings this is exact. Some decoders scale what they are given (Granite) or
number their layers for kinds of attention (Gemma): `check_split` finds out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dialog.errors import FinetuneError
from dialog.finetune.config import LoraSettings
from dialog.finetune.memory import SIGNS
from dialog.finetune.shared_prefix import hidden_states


def decoder_layers(model: Any) -> tuple[Any, nn.ModuleList]:
    """(the decoder that owns the layers, its layers). Raises FinetuneError for an unknown architecture."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = base.base_model
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise FinetuneError(
            f"{type(base).__name__} keeps its layers where they cannot be split. Set lora.from_layer to 0."
        )
    return decoder, layers


def target_names(model: nn.Module, settings: LoraSettings) -> list[str]:
    """Full names of the linear layers to adapt. Raises FinetuneError where a target matches none."""
    head = getattr(model, "get_output_embeddings")()  # noqa: B009
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head]
    if settings.target_modules == "all-linear":
        found = linear
    else:
        wanted = settings.target_modules
        suffixes = (wanted,) if isinstance(wanted, str) else wanted
        missing = [suffix for suffix in suffixes if not any(matches(name, suffix) for name in linear)]
        if missing:
            known = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise FinetuneError(
                f"target module {missing[0]!r} is not in the model. Use all-linear, or some of {', '.join(known)}."
            )
        found = [name for name in linear if any(matches(name, suffix) for suffix in suffixes)]
    if settings.from_layer:
        count = len(decoder_layers(model)[1])
        if settings.from_layer >= count:
            raise FinetuneError(
                f"lora.from_layer is {settings.from_layer}, but the model has layers 0 to {count - 1}. Lower it."
            )
        found = [name for name in found if (number := layer_number(name)) is None or number >= settings.from_layer]
    if not found:
        raise FinetuneError("the model has no linear layer to adapt. Name some with lora.target_modules.")
    return found


def matches(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def layer_number(name: str) -> int | None:
    """The number of the layer that a module is in."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def add_adapter(model: nn.Module, settings: LoraSettings, *, base: str, revision: str, seed: int = 0) -> Any:
    """The model with a fresh adapter; only the adapter requires gradients and it is kept in float32.

    The base's name and revision go into the adapter's own configuration, where engines check them.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # A's random start; B starts at zero, so training starts at the base model
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=target_names(model, settings),
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        revision=revision,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted: Any = get_peft_model(model, config, autocast_adapter_dtype=True)  # type: ignore[arg-type]
    adapted.peft_config["default"].base_model_name_or_path = base  # peft puts the folder's path there
    return adapted


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def scale_adapter(model: nn.Module, factor: float) -> None:
    """Multiply every ΔW = (α/r)·B·A by `factor`, by way of B."""
    for name, parameter in trained(model).items():
        if "lora_B" in name:
            parameter.mul_(factor)


@contextmanager
def upper_only(model: Any, first: int) -> Iterator[None]:
    """While active, the decoder runs from layer `first` on; it is then given states instead of embeddings."""
    decoder, layers = decoder_layers(model)
    upper = list(layers)[first:]
    decoder.layers = nn.ModuleList(upper)
    _number(upper, 0)
    try:
        yield
    finally:
        decoder.layers = layers
        _number(upper, first)


def _number(layers: Sequence[nn.Module], start: int) -> None:
    """Number layers from `start` on: a cache must find its first layer at 0."""
    for i, layer in enumerate(layers, start):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = i  # type: ignore[assignment]


@torch.no_grad()
def lower_states(model: Any, ids: torch.Tensor, mask: torch.Tensor, first: int, shared: int = 0) -> torch.Tensor:
    """What layer `first` is given, [rows, time, width]: the output of the frozen layers below it."""
    decoder, layers = decoder_layers(model)
    norm = decoder.norm
    decoder.layers, decoder.norm = nn.ModuleList(list(layers)[:first]), nn.Identity()
    try:
        return hidden_states(decoder, ids, mask, shared)
    finally:
        decoder.layers, decoder.norm = layers, norm


SPLIT_ERROR = 1e-3
"""Largest difference of split and whole output that passes for rounding, relative to the largest output."""


@torch.no_grad()
def check_split(model: Any, ids: Sequence[int], first: int, shared: int = 0) -> None:
    """Raises FinetuneError where layers from `first` on, given `lower_states`, do not say what the whole model says.

    `ids` should be as long as what is trained on: a window of attention shows only in longer sequences.
    """
    batch = torch.tensor([ids], device=next(model.parameters()).device)
    mask, decoder, was_training = torch.ones_like(batch), decoder_layers(model)[0], model.training
    model.eval()
    try:
        whole = hidden_states(decoder, batch, mask)
        states = lower_states(model, batch, mask, first, shared)
        with upper_only(model, first):
            split = hidden_states(decoder, states, mask, shared)
        exact = bool((split - whole).abs().max() <= SPLIT_ERROR * whole.abs().max())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if any(sign in str(error) for sign in SIGNS):
            raise
        exact = False  # a decoder that is not built this way
    finally:
        model.train(was_training)
    if not exact:
        raise FinetuneError(
            f"{type(decoder).__name__} cannot be split at lora.from_layer={first}: its upper layers alone, on what the "
            "lower ones hand on, do not say what the whole model says. Set lora.from_layer to 0; lora.target_modules "
            "can name fewer layers."
        )
