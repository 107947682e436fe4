"""The embedded engine's work for models that shared-prompt attention cannot serve: recurrent or hybrid layers,
attention sinks, position biases.

Boundary: the same calls as `serve.engines.shared`, through the model's own cache and attention. The prompt is read
once and its cache repeated for every sample; scoring reads each prompt anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from transformers import DynamicCache

from dialog.decoder import Sampling
from serve.engines.sampler import Sampler
from serve.engines.shared import BATCH_TOKENS, Check, Drawn


class PlainModel:
    """Any causal language model of `transformers`."""

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self.model = model
        self.device = device
        takes = inspect.signature(model.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in takes else "past_key_values"

    def fits(self, tokens: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
        """Whether reading `tokens` [1, tokens] through a cache gives the log-probabilities `expected` [vocabulary]."""
        cache = DynamicCache(config=self.model.config)  # type: ignore[arg-type]
        self._forward(tokens[:, :-1], cache)
        found = self._forward(tokens[:, -1:], cache)[0].float().log_softmax(-1)
        return bool((found - expected).abs().max() < tolerance)

    def generate(self, prompt_ids: Sequence[int], sampling: Sampling, check: Check) -> list[Drawn]:
        """`sampling.n` samples from one reading of the prompt; finished rows leave the batch."""
        check()
        cache = DynamicCache(config=self.model.config)  # type: ignore[arg-type]
        tokens = torch.tensor([list(prompt_ids)], device=self.device)
        logits = self._forward(tokens, cache).expand(sampling.n, -1)
        cache.reorder_cache(torch.zeros(sampling.n, dtype=torch.long, device=self.device))  # type: ignore[arg-type]
        sampler, stops = Sampler(sampling), set(sampling.stop_token_ids)
        running = list(range(sampling.n))
        drawn: list[Drawn] = [([], 0.0, "length") for _ in running]
        for step in range(sampling.max_tokens):
            check()
            chosen, logprobs = sampler.choose(logits, running, step)
            going = []
            for place, (row, token, logprob) in enumerate(zip(running, chosen, logprobs, strict=True)):
                ids, total, _ = drawn[row]
                if token in stops:
                    drawn[row] = (ids, total + logprob, "stop")
                else:
                    drawn[row] = ([*ids, token], total + logprob, "length")
                    going.append(place)
            if not going or step + 1 == sampling.max_tokens:
                break
            if len(going) < len(running):
                cache.reorder_cache(torch.tensor(going, device=self.device))  # type: ignore[arg-type]
            running = [running[place] for place in going]
            fed = torch.tensor([[chosen[place]] for place in going], device=self.device)
            logits = self._forward(fed, cache)
        return drawn

    def score(self, prompts: Sequence[Sequence[int]], labels: Sequence[int], check: Check) -> torch.Tensor:
        """[len(prompts), len(labels)] log-probabilities, float32 on the CPU."""
        out = torch.empty((len(prompts), len(labels)))
        columns = torch.tensor(list(labels), device=self.device)
        # Prompts of equal length share a pass, so that there is no padding for a recurrent layer to read.
        for length in sorted({len(ids) for ids in prompts}):
            members = [index for index, ids in enumerate(prompts) if len(ids) == length]
            size = max(1, BATCH_TOKENS // length)
            for start in range(0, len(members), size):
                check()
                batch = members[start : start + size]
                tokens = torch.tensor([list(prompts[index]) for index in batch], device=self.device)
                logits = self._forward(tokens, None).float()
                picked = logits.index_select(1, columns) - logits.logsumexp(-1, keepdim=True)
                out[batch] = picked.cpu()
        return out

    def _forward(self, tokens: torch.Tensor, cache: DynamicCache | None) -> torch.Tensor:
        cached = {self._cache_name: cache, "use_cache": True} if cache is not None else {"use_cache": False}
        return self.model(input_ids=tokens, logits_to_keep=1, **cached).logits[:, -1]
