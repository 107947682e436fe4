"""A decoder that says what a test tells it to, over the default model's real tokenizer. For edge cases only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dialog.decoder import DecoderInfo, Sample, Sampling, Tokenizer


class ScriptedDecoder:
    """`says(prompt_text)` gives the texts to sample; `yes(prompt_text)` the probability of an odd-indexed label pair.

    `labels` maps each label id to whether it means yes; it is learnt from the dialect's reads by `for_dialect`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        says: Callable[[str], Sequence[str]],
        probability: Callable[[str], float] = lambda prompt: 0.9,
        context_length: int = 4096,
    ) -> None:
        self._tokenizer = tokenizer
        self._says = says
        self._probability = probability
        self.info = DecoderInfo(
            engine="scripted", model="scripted", revision="0", context_length=context_length, vocab_size=49152
        )
        self.prompts: list[str] = []
        self.samplings: list[Sampling] = []
        self.read: list[tuple[int, ...]] = []
        self.yes_ids: set[int] = set()

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        prompt = self._tokenizer.decode(prompt_ids)
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        texts = self._says(prompt)
        return [
            Sample(
                token_ids=tuple(self._tokenizer.encode(text, add_special_tokens=False)),
                text=text,
                logprob=-1.0,
                finish_reason="stop",
            )
            for text in (texts[i % len(texts)] for i in range(sampling.n))
        ]

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        rows = []
        for ids in prompts_ids:
            self.read.append(tuple(ids))
            p = self._probability(self._tokenizer.decode(ids))
            rows.append([np.log(p if label in self.yes_ids else 1 - p) for label in label_ids])
        return np.array(rows, dtype=np.float32)

    async def aclose(self) -> None:
        return None
