"""Log-probability of whole answers, through a decoder that gives next-token log-probabilities.

An answer of k tokens is read at k places: after the prompt, and after the prompt and each of its own beginnings, in
one `score` call for all answers of a question; engines share the prefixes. Ids are never tokenised again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dialog.decoder import Decoder


async def answer_logprobs(
    decoder: Decoder, prompt: Sequence[int], answers: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """Per answer its tokens' log-probabilities, in nats, each given the prompt and the tokens before it.

    Raises what `decoder.score` raises, and ValueError for an empty answer.
    """
    if any(len(answer) == 0 for answer in answers):
        raise ValueError("an answer has no tokens. Leave empty choices out.")
    starts = sorted({tuple(answer[:i]) for answer in answers for i in range(len(answer))})
    labels = sorted({token for answer in answers for token in answer})
    row, column = {start: i for i, start in enumerate(starts)}, {token: i for i, token in enumerate(labels)}
    found = await decoder.score([[*prompt, *start] for start in starts], labels)
    return [
        np.array([found[row[tuple(answer[:i])], column[token]] for i, token in enumerate(answer)], dtype=np.float64)
        for answer in answers
    ]
