"""Fisher information of the base weights: how much each one matters to what the model already knows.

    F_ij = mean over samples of (∂ log p(x) / ∂W_ij)²,   log p(x) the mean token log-likelihood of one sample

The square is of each sample's own gradient, in float32; the square of a batch's gradient would be something else.
A linear layer's per-sample gradient is Σ_t g_t x_tᵀ, from its inputs x and the gradients g of its outputs, so one
batched forward and backward pass gives all samples' gradients, and no dense gradient is ever stored: each block is
squared and added while it is in cache. Source: E2WM (arXiv 2305.10626), section 3.3, after Kirkpatrick et al. 2017.
Boundary: token ids in, tensors by module name out; the file carries the model's hash and refuses another model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from dialog.errors import FinetuneError
from dialog.finetune.memory import out_of_memory
from dialog.finetune.saving import write_whole

BLOCK = {"cpu": 1 << 19}
"""Elements of a batch's per-sample gradients at a time: on a CPU what stays in cache, on accelerators 2^28."""

MEMORY = "Lower ewc.sample_tokens, or adapt fewer layers with lora.from_layer or lora.target_modules."


class FisherCard(BaseModel):
    """What a Fisher file is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    revision: str = Field(description="The base model's hash; another model is refused.")
    data: str = Field(description="What the samples were, in words.")
    samples: int
    tokens: int
    labels: Literal["data", "sampled"]
    modules: tuple[str, ...]
    drawn: str = Field(default="", description="Hash of the samples' token ids and of the seed of drawn labels.")


class Fisher(BaseModel):
    """Fisher information of some linear layers, with its card."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    card: FisherCard
    values: dict[str, Tensor]

    def save(self, path: Path) -> None:
        """One safetensors file. Raises FinetuneError where it cannot be written."""
        from safetensors.torch import save

        write_whole(path, save(self.values, metadata={"card": self.card.model_dump_json()}))

    @classmethod
    def card_of(cls, path: Path) -> FisherCard | None:
        """The card of a file, None where there is no readable one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                return FisherCard.model_validate_json(file.metadata()["card"])
        except (SafetensorError, OSError, KeyError, TypeError, ValidationError):
            return None

    @classmethod
    def load(cls, path: Path, *, revision: str, named: bool = True) -> Fisher:
        """Raises FinetuneError for a missing or unreadable file, or one of another model.

        `named`: whether the configuration names it; else the run keeps it for itself.
        """
        from safetensors import SafetensorError, safe_open

        remedy = "Correct ewc.fisher, or leave it out to compute one." if named else "Delete it to compute it anew."
        if not path.is_file():
            raise FinetuneError(f"the Fisher file {path} does not exist. {remedy}")
        try:
            with safe_open(path, framework="pt") as file:
                card = FisherCard.model_validate_json(file.metadata()["card"])
                if card.revision != revision:
                    raise FinetuneError(
                        f"{path.name} is the Fisher information of {card.model} ({card.revision[:12]}), but the base "
                        f"model is {revision[:12]}. {remedy}"
                    )
                return cls(card=card, values={name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValidationError, json.JSONDecodeError) as error:
            raise FinetuneError(f"{path} is not a readable Fisher file ({error}). {remedy}") from None


def linear_layers(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Linear]:
    """The linear layers called `names`. Raises FinetuneError for one that is missing or not linear."""
    modules = dict(model.named_modules())
    found: dict[str, nn.Linear] = {}
    for name in names:
        module = modules.get(name)
        if not isinstance(module, nn.Linear):
            kind = "missing" if module is None else f"a {type(module).__name__}"
            raise FinetuneError(f"module {name!r} is {kind}, not a linear layer. Correct target_modules.")
        found[name] = module
    return found


def fisher_information(
    model: nn.Module,
    samples: Sequence[Sequence[int]],
    modules: Sequence[str],
    *,
    batch_tokens: int = 1024,
    labels: Literal["data", "sampled"] = "data",
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Tensor]:
    """Diagonal Fisher information of the linear layers `modules` of a causal language model.

    Args:
        model: takes `input_ids` [batch, time] and `attention_mask`, returns `.logits`; its parameters stay untouched.
        samples: token ids, at least two each.
        batch_tokens: padded tokens a batch; samples of similar length share one.
        labels: `data` takes the samples' own next tokens (the empirical Fisher, as in E2WM), `sampled` draws them
            from the model (the Fisher by its definition).
        on_progress: told how many samples are done.

    Returns:
        name -> [out, in] float32 on the model's device, the mean over samples.

    Raises:
        FinetuneError: no sample, one shorter than two tokens, or an unknown module.
    """
    if not samples or min(len(sample) for sample in samples) < 2:
        raise FinetuneError("the Fisher information needs samples of at least two tokens each, got too few.")
    layers = linear_layers(model, modules)
    device = next(model.parameters()).device
    with out_of_memory("computing the Fisher information", MEMORY):
        totals = {name: torch.zeros_like(layer.weight, dtype=torch.float32) for name, layer in layers.items()}
    generator = torch.Generator(device=device).manual_seed(seed)
    was_training, frozen = model.training, [(p, p.requires_grad) for p in model.parameters()]
    model.eval().requires_grad_(False)
    done = 0
    try:
        with out_of_memory("computing the Fisher information", MEMORY):
            for batch in batches_by_length(samples, batch_tokens):
                lengths = [len(sample) for sample in batch]
                ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
                for row, sample in enumerate(batch):
                    ids[row, : len(sample)] = torch.tensor(sample)
                mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
                ids, mask = ids.to(device), mask.to(device)
                with recorded_gradients(layers, totals):
                    logits = model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits[:, :-1].float()
                    targets = ids[:, 1:] if labels == "data" else draw(logits, generator)
                    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
                    # Every sample's own mean; samples do not meet in a causal model, so one backward pass serves all.
                    steps = mask[:, 1:]
                    ((losses * steps).sum(1) / steps.sum(1)).sum().backward()
                done += len(batch)
                on_progress(done)
    finally:
        for parameter, needed in frozen:
            parameter.requires_grad_(needed)
        model.train(was_training)
    return {name: total.div_(len(samples)) for name, total in totals.items()}


def draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One next token for every position: [batch, time] from [batch, time, vocabulary]."""
    flat = torch.multinomial(logits.detach().softmax(-1).flatten(0, 1), 1, generator=generator)
    return flat.view(logits.shape[:2])


def batches_by_length(samples: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[Sequence[int]]]:
    """Samples in order of length, as many a batch as fit `batch_tokens` with padding."""
    batch: list[Sequence[int]] = []
    for sample in sorted(samples, key=len):
        if batch and len(sample) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


@contextmanager
def recorded_gradients(layers: dict[str, nn.Linear], totals: dict[str, Tensor]) -> Iterator[None]:
    """While active, a backward pass adds every sample's squared gradient of each layer's weight to `totals`."""

    def watch(name: str) -> Callable[..., None]:
        def forward_hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = inputs[0].detach()
            if not output.requires_grad:
                # All weights are frozen: the graph begins at the lowest of these layers, and nothing below is walked.
                output.requires_grad_()
            output.register_hook(lambda g: add_squares(totals[name], x, g))

        return forward_hook

    handles = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        with torch.enable_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def add_squares(total: Tensor, x: Tensor, g: Tensor) -> None:
    """total += Σ_b (Σ_t g_bt x_btᵀ)², with x [batch, time, in], g [batch, time, out], total [out, in].

    Padding needs no mask: positions behind a sample's end have no loss, so their gradient is zero.
    """
    outs, ins = total.shape
    x, g = x.float(), g.float().transpose(1, 2)
    rows = min(outs, max(1, BLOCK.get(total.device.type, 1 << 28) // (len(x) * ins)))
    work = torch.empty(len(x), rows, ins, device=total.device)
    for start in range(0, outs, rows):
        part = g[:, start : start + rows]
        squares = torch.bmm(part, x, out=work) if part.shape[1] == rows else torch.bmm(part, x)
        total[start : start + rows] += squares.square_().sum(0)
