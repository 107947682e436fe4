"""The embedded engine's work on the model, with one prompt shared by all rows.

Boundary: synchronous, token ids in, samples and log-probabilities out; called from one thread at a time.
`serve.engines.transformers` is the asynchronous face; `serve.engines.plain` serves models that this cannot.

A prompt is always read in the same blocks from its start, and another prompt's cache is reused only at block ends, so
what is sampled after a prompt, to the last bit, does not depend on what was computed before: seeds repeat exactly.
A candidate's scores go on from the cache of its sampling, which is held until then as far as the memory set for it goes
(`prefixes`). Past that they are read anew, in other batches, and may differ in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from dialog.decoder import FinishReason, Sampling
from serve.engines.kv import RowCache
from serve.engines.prefixes import PrefixStore, Prompt, Samples, common_prefix
from serve.engines.sampler import Sampler

BLOCK = 128
"""Tokens of a prompt read in one pass, and the grain of reuse between prompts."""

BATCH_TOKENS = 2048
"""Tokens scored in one pass: bounds memory and the wait for a cancellation."""

Drawn = tuple[list[int], float, FinishReason]
"""A sample's ids without the stop token, its log-probability in nats, and why it ended."""

Check = Callable[[], None]
"""Raises where the call was cancelled."""


class SharedPromptModel:
    """A causal language model whose attention is `kv.attend`."""

    def __init__(self, model: torch.nn.Module, device: torch.device, cache_bytes: int) -> None:
        self.model = model
        self.device = device
        self.store = PrefixStore(cache_bytes)

    def generate(self, prompt_ids: Sequence[int], sampling: Sampling, check: Check) -> list[Drawn]:
        """`sampling.n` samples from one reading of the prompt; finished rows leave the batch."""
        prompt = self.read(prompt_ids, check)
        sampler = Sampler(sampling)
        cache = RowCache(prompt.layers, sampling.n, self.device)
        logits = prompt.logits.expand(sampling.n, -1)
        slots = list(range(sampling.n))  # slots[i] is the row in the cache's place i; the first `active` still run
        ids: list[list[int]] = [[] for _ in slots]
        total, reasons = [0.0] * sampling.n, ["length"] * sampling.n
        stops, active = set(sampling.stop_token_ids), sampling.n
        for step in range(sampling.max_tokens):
            check()
            tokens, logprobs = sampler.choose(logits, slots[:active], step)
            chosen = dict(zip(slots[:active], tokens, strict=True))
            for row, logprob in zip(slots[:active], logprobs, strict=True):
                total[row] += logprob
            for place in reversed(range(active)):
                row = slots[place]
                if chosen[row] in stops:
                    reasons[row] = "stop"
                    active -= 1
                    cache.swap(place, active)
                    slots[place], slots[active] = slots[active], slots[place]
                else:
                    ids[row].append(chosen[row])
            if not active or step + 1 == sampling.max_tokens:
                break
            fed = torch.tensor([[chosen[row]] for row in slots[:active]], device=self.device)
            positions = torch.full_like(fed, len(prompt.ids) + step)
            with _step_threads(logits):
                logits = self._forward(fed, positions, cache)[:, -1]
        # A row's last token was sampled but never fed, so it has no keys yet.
        fed_rows = [tuple(ids[row][: cache.filled]) for row in slots]
        self.store.add(Samples(prompt, fed_rows, cache))
        return [(ids[row], total[row], _reason(reasons[row])) for row in range(sampling.n)]

    def score(self, prompts: Sequence[Sequence[int]], labels: Sequence[int], check: Check) -> torch.Tensor:
        """[len(prompts), len(labels)] log-probabilities, float32 on the CPU."""
        out = torch.empty((len(prompts), len(labels)))
        columns = torch.tensor(list(labels), device=self.device)
        for prompt, members in self._families(prompts, check):
            for batch in _batches(members):
                check()
                logits = self._continue(prompt, batch).float()
                picked = logits.index_select(1, columns) - logits.logsumexp(-1, keepdim=True)
                out[[index for index, _, _ in batch]] = picked.cpu()
        return out

    def read(self, ids: Sequence[int], check: Check) -> Prompt:
        """The prompt's cache and next-token logits, computed from the longest usable cached beginning."""
        ids = tuple(ids)
        known, start = self.store.best_prompt(ids, BLOCK)
        if known is not None and start == len(ids):
            return known
        cache = RowCache([], 1, self.device)
        if known is not None:
            positions = torch.arange(start, device=self.device)[None]
            cache.preload([(k[:, :, :start], v[:, :, :start]) for k, v in known.layers], positions, len(ids) - start)
        logits = torch.empty(0)
        while start < len(ids):
            check()
            end = min(start - start % BLOCK + BLOCK, len(ids))
            tokens = torch.tensor([ids[start:end]], device=self.device)
            logits = self._forward(tokens, torch.arange(start, end, device=self.device)[None], cache)[:, -1]
            start = end
        layers = [(keys[:, :, : len(ids)], values[:, :, : len(ids)]) for keys, values in cache.own]
        prompt = Prompt(ids, layers, logits.clone())
        self.store.add(prompt)
        return prompt

    def _forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        cache: RowCache,
        valid: torch.Tensor | None = None,
        keep: torch.Tensor | int = 1,
    ) -> torch.Tensor:
        """Logits [rows, kept positions, vocabulary]."""
        cache.begin(positions, valid)
        return self.model(
            input_ids=tokens, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=keep,
            row_cache=cache,
        ).logits  # fmt: skip

    def _families(
        self, prompts: Sequence[Sequence[int]], check: Check
    ) -> list[tuple[Prompt, list[tuple[int, Sequence[int], tuple[Samples, int, int] | None]]]]:
        """Prompts grouped by the cached prompt that they continue; each member is (index, ids after that prompt,
        the sample that it goes on from)."""
        groups: dict[int, tuple[Prompt, list]] = {}
        fresh: list[int] = []
        for index, ids in enumerate(prompts):
            found = self.store.best_samples(ids)
            if found is None:
                fresh.append(index)
                continue
            prompt = found[0].prompt
            groups.setdefault(id(found[0]), (prompt, []))[1].append((index, ids[len(prompt.ids) :], found))
        families = list(groups.values())
        for shared, indices in _by_common_prefix(prompts, fresh):
            prompt = self.read(prompts[indices[0]][:shared], check) if shared else Prompt((), [], torch.empty(0))
            families.append((prompt, [(index, prompts[index][shared:], None) for index in indices]))
        return families

    def _continue(
        self, prompt: Prompt, batch: Sequence[tuple[int, Sequence[int], tuple[Samples, int, int] | None]]
    ) -> torch.Tensor:
        """Next-token logits [len(batch), vocabulary] after `prompt` plus each member's ids."""
        matched = [found[2] if found else 0 for _, _, found in batch]
        rest = [list(ids[known:]) for (_, ids, _), known in zip(batch, matched, strict=True)]
        longest = max(map(len, rest))
        cache = RowCache(prompt.layers, len(batch), self.device)
        if own := max(matched):
            samples = next(found[0] for _, _, found in batch if found)
            rows = torch.tensor([found[1] if found else 0 for _, _, found in batch], device=self.device)
            places = torch.arange(own, device=self.device)
            known = torch.tensor(matched, device=self.device)[:, None]
            positions = torch.where(places < known, places + len(prompt.ids), -1)
            layers = [(keys[rows, :, :own], values[rows, :, :own]) for keys, values in samples.cache.own]
            cache.preload(layers, positions, longest)
        lengths = torch.tensor([len(ids) for ids in rest], device=self.device)
        columns = torch.arange(longest, device=self.device)
        valid = columns < lengths[:, None]
        tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in rest], device=self.device)
        first = torch.tensor(matched, device=self.device)[:, None] + len(prompt.ids)
        # Padding repeats the last position: it sees what the last token sees, so no row of weights is empty.
        positions = first + columns.minimum(lengths[:, None] - 1)
        ends, place = (lengths - 1).unique(return_inverse=True)
        logits = self._forward(tokens, positions, cache, valid, keep=ends)
        return logits[torch.arange(len(batch), device=self.device), place]


@contextmanager
def _step_threads(logits: torch.Tensor) -> Iterator[None]:
    """One thread for a generation step on two cores.

    A step in float32 waits for memory, and splitting some 200 small products between two threads cost more than the
    second one gave: 131 ms against 159 ms a step of 4 rows, 161 against 247 of 16 (docs/log.md). The result is the
    same to the last bit. With more cores, or narrower numbers, nothing is changed.
    """
    if torch.get_num_threads() != 2 or logits.device.type != "cpu" or logits.dtype != torch.float32:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(2)


def _batches(members: list, limit: int = BATCH_TOKENS) -> list[list]:
    """Members of similar length together, each batch within `limit` tokens, padding included."""
    batches: list[list] = []
    for member in sorted(members, key=lambda member: len(member[1]) - (member[2][2] if member[2] else 0)):
        length = len(member[1]) - (member[2][2] if member[2] else 0)
        if not batches or (len(batches[-1]) + 1) * length > limit:
            batches.append([])
        batches[-1].append(member)
    return batches


def _by_common_prefix(prompts: Sequence[Sequence[int]], indices: list[int]) -> list[tuple[int, list[int]]]:
    """Group prompts that share at least half of the shorter one; yields (length shared, members).

    At least one token of each prompt stays outside the shared part, to be read for its logits.
    """
    groups: list[tuple[int, list[int]]] = []
    for index in sorted(indices, key=lambda index: list(prompts[index])):
        if groups:
            shared, members = groups[-1]
            common = min(common_prefix(prompts[members[0]], prompts[index]), len(prompts[index]) - 1)
            common = min(common, shared) if len(members) > 1 else min(common, len(prompts[members[0]]) - 1)
            if 2 * common >= min(len(prompts[members[0]]), len(prompts[index])):
                groups[-1] = (common, [*members, index])
                continue
        groups.append((len(prompts[index]) - 1, [index]))
    return groups


def _reason(reason: str) -> FinishReason:
    return "stop" if reason == "stop" else "length"
