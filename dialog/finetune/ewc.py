"""Elastic weight consolidation on the adapted weights, priced like the low-rank update it restrains.

    penalty = λ · Σ_modules Σ_ij F_ij (ΔW_ij)²,   ΔW = s · B·A,   s = α/r       (E2WM, arXiv 2305.10626, section 3.3)

ΔW is as large as the frozen weight. Left to autograd, ΔW, F∘ΔW and their gradients would live through the step;
here the gradient is taken in closed form, in blocks of rows that stay in the processor's cache:

    G = 2λs² · F∘(B·A),   ∂/∂B = G·Aᵀ,   ∂/∂A = Bᵀ·G,   penalty = ½ Σ B∘(G·Aᵀ)

Boundary: tensors by module name. Which Fisher belongs to which model is `fisher`'s to check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dialog.errors import FinetuneError

BLOCK = {"cpu": 1 << 17}
"""Elements of ΔW at a time; 512 KiB in float32 stay in a core's second-level cache. Accelerators take 2^26."""


class LowRank(NamedTuple):
    """One adapted linear layer: ΔW = scale · up · down."""

    name: str
    down: nn.Parameter  # A, [rank, in]
    up: nn.Parameter  # B, [out, rank]
    scale: float


def adapted_layers(model: nn.Module, adapter: str = "default") -> Iterator[LowRank]:
    """The LoRA pairs of a peft model, by the name of the linear layer in the base model."""
    for path, module in model.named_modules():
        if hasattr(module, "lora_A") and adapter in (downs := getattr(module, "lora_A")):  # noqa: B009
            layer: Any = module
            yield LowRank(
                name=base_name(path),
                down=downs[adapter].weight,
                up=layer.lora_B[adapter].weight,
                scale=float(layer.scaling[adapter]),
            )


def base_name(path: str) -> str:
    """A module's name in the base model: without what peft and parallel wrappers put in front."""
    for prefix in ("module.", "base_model.model."):
        while path.startswith(prefix):
            path = path[len(prefix) :]
    return path.removesuffix(".base_layer")


@torch.no_grad()
def quadratic(fisher: Tensor, down: Tensor, up: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """(Σ F∘ΔW², its gradient to `down`, its gradient to `up`) for one layer.

    Args:
        fisher: [out, in], non-negative, any floating type.
        down: A, [rank, in].
        up: B, [out, rank].
        scale: α/r.
    """
    outs, ins = fisher.shape
    rows = min(outs, max(1, BLOCK.get(fisher.device.type, 1 << 26) // ins))
    work = torch.empty(rows, ins, device=down.device, dtype=torch.float32)
    a, b = down.detach().float(), up.detach().float()
    to_up, to_down = torch.empty_like(b), torch.zeros_like(a)
    transposed = a.t()
    for start in range(0, outs, rows):
        part = b[start : start + rows]
        block = work[: len(part)]
        torch.mm(part, a, out=block)
        block.mul_(fisher[start : start + rows])
        torch.mm(block, transposed, out=to_up[start : start + rows])
        to_down.addmm_(part.t(), block)
    square = scale * scale
    value = square * (b * to_up).sum()
    return value, to_down.mul_(2 * square), to_up.mul_(2 * square)


class _Penalty(torch.autograd.Function):
    """The sum over layers, for use inside a loss; keeps only gradients of the low-rank factors."""

    @staticmethod
    def forward(ctx: Any, fishers: list[Tensor], scales: list[float], *factors: Tensor) -> Tensor:
        total = factors[0].new_zeros((), dtype=torch.float32)
        gradients: list[Tensor] = []
        for i, (fisher, scale) in enumerate(zip(fishers, scales, strict=True)):
            value, to_down, to_up = quadratic(fisher, factors[2 * i], factors[2 * i + 1], scale)
            total += value
            gradients += [to_down, to_up]
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        return None, None, *(outer[0] * gradient for gradient in ctx.saved_tensors)


class EwcPenalty:
    """λ Σ F (ΔW)² over the adapted layers of a peft model."""

    def __init__(self, model: nn.Module, fisher: Mapping[str, Tensor], weight: float) -> None:
        """`weight` is λ. Raises FinetuneError where an adapted layer has no Fisher information of its shape."""
        self.weight = weight
        self.layers = list(adapted_layers(model))
        if not self.layers:
            raise FinetuneError("the model has no LoRA layers to hold. Add an adapter first, or set method to replay.")
        self.fishers: list[Tensor] = []
        for layer in self.layers:
            found, wanted = fisher.get(layer.name), (layer.up.shape[0], layer.down.shape[1])
            if found is None or tuple(found.shape) != wanted:
                has = "none" if found is None else f"shape {tuple(found.shape)}"
                raise FinetuneError(
                    f"the Fisher information has {has} for {layer.name}, whose weight is {wanted}. "
                    "Compute it on this model with the same target_modules."
                )
            self.fishers.append(found.to(layer.down.device))

    def loss(self) -> Tensor:
        """The penalty as a scalar that can be added to any loss."""
        factors = [factor for layer in self.layers for factor in (layer.down, layer.up)]
        penalty: Any = _Penalty.apply(self.fishers, [layer.scale for layer in self.layers], *factors)
        return self.weight * penalty

    @torch.no_grad()
    def add_gradients(self, factor: float = 1.0) -> Tensor:
        """Add the penalty's gradients, times `factor`, to the parameters' `.grad`; returns the penalty.

        Once an optimizer step, after accumulation and the exchange between processes: every process holds the same
        parameters and so adds the same gradient, and micro-batches do not repeat the work.
        """
        total = torch.zeros((), device=self.layers[0].down.device)
        for layer, fisher in zip(self.layers, self.fishers, strict=True):
            value, to_down, to_up = quadratic(fisher, layer.down, layer.up, layer.scale)
            total += value
            for parameter, gradient in ((layer.down, to_down), (layer.up, to_up)):
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad.add_(gradient.to(parameter.dtype), alpha=self.weight * factor)
        return self.weight * total
