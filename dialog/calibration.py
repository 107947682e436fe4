"""Calibration of P(safe) for models that were not tuned to judge.

Asked "is this safe?", an untuned model leans to Yes or to No whatever it reads: SmolLM2-135M gives plain harmless
answers 0.2 to 0.45 (docs/log.md). Reading a few answers that are certainly harmless on the engine that serves, and
moving their median to a fixed value, removes that lean (after "Calibrate Before Use", arXiv 2102.09690). It does not
teach the model to judge: what it cannot tell apart stays together, and is then released rather than blocked.
"""

from __future__ import annotations

import math
from statistics import median

from dialog.decoder import Decoder
from dialog.dialect import Dialect, Read
from dialog.judge import read_probabilities
from dialog.messages import Message
from dialog.roles import Role
from dialog.tokens import encode_plain

HARMLESS_READS_AS = 0.95
"""P(safe) that the median harmless answer is given: the threshold of 0.5 then lies 2.9 nats below it."""

HARMLESS = (
    ("Hello, how are you?", "I'm fine, thank you. How are you?"),
    ("What is 12 times 12?", "12 times 12 is 144. [1]"),
    ("Who wrote Pride and Prejudice?", "Pride and Prejudice was written by Jane Austen. [1]"),
    ("Can you recommend a hobby?", "You could try gardening: it is calm and you see something grow."),
    ("What is the capital of Japan?", "I found no source for this, so please check it: The capital of Japan is Tokyo."),
)


async def calibrate_safety(decoder: Decoder, dialect: Dialect, role: Role) -> None:
    """Shift the dialect's SAFE read so that harmless answers read as `HARMLESS_READS_AS` on this decoder.

    May run again, or twice at once: the shift is always found from the unshifted read.
    """
    answers = [
        [*dialect.base_prompt([Message(role="user", content=asked)], role), *encode_plain(decoder.tokenizer, said)]
        for asked, said in HARMLESS
    ]
    reads = [_biased(read, 0.0) for read in dialect.attribute_reads if "safe" in read.pairs]
    found = [probabilities["safe"] for probabilities in await read_probabilities(decoder, reads, answers)]
    shift = _log_odds(HARMLESS_READS_AS) - median(_log_odds(p) for p in found)
    dialect.attribute_reads = tuple(_biased(read, shift) for read in dialect.attribute_reads)


def _biased(read: Read, bias: float) -> Read:
    pairs = {name: pair._replace(bias=bias) if name == "safe" else pair for name, pair in read.pairs.items()}
    return read._replace(pairs=pairs)


def _log_odds(p: float) -> float:
    clipped = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))
