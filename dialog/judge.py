"""The judge: reads the discriminators of candidates, filters the unsafe and ranks the rest.

LaMDA (arXiv 2201.08239), section 5.1: candidates whose P(safe) is below a threshold are dropped, the rest are ranked
by 3 P(sensible) + P(specific) + P(interesting). Probabilities are read from label tokens, never from parsed text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dialog.decoder import Decoder, Sample
from dialog.dialect import ATTRIBUTES, Dialect, Read
from dialog.messages import spoken
from dialog.turn import Candidate, Phase, Scores
from safety.policy import Policy

SENSIBLE_WEIGHT = 3.0
"""LaMDA section 5.1: sensibleness counts three times specificity and interestingness."""


def quality(sensible: float, specific: float, interesting: float) -> float:
    """What candidates are ranked by: 3 P(sensible) + P(specific) + P(interesting), between 0 and 5."""
    return SENSIBLE_WEIGHT * sensible + specific + interesting


async def read_probabilities(
    decoder: Decoder, reads: Sequence[Read], answers: Sequence[Sequence[int]]
) -> list[dict[str, float]]:
    """Each answer's probability of each attribute that `reads` cover.

    `answers` are whole prompts up to and with the answer's ids. One batched `score` call reads them all. Each
    probability is the softmax over the attribute's own pair of labels.
    """
    if not answers:
        return []
    labels = sorted({label for read in reads for pair in read.pairs.values() for label in (pair.yes, pair.no)})
    column = {label: i for i, label in enumerate(labels)}
    prompts = [[*answer, *read.suffix] for answer in answers for read in reads]
    logprobs = await decoder.score(prompts, labels)  # [answers * reads, labels]
    found: list[dict[str, float]] = []
    for i in range(len(answers)):
        probabilities: dict[str, float] = {}
        for j, read in enumerate(reads):
            row = logprobs[i * len(reads) + j]
            for attribute, pair in read.pairs.items():
                difference = float(row[column[pair.no]] - row[column[pair.yes]]) - pair.bias
                probabilities[attribute] = float(1.0 / (1.0 + np.exp(np.clip(difference, -60.0, 60.0))))
        found.append(probabilities)
    return found


def scores_of(probabilities: dict[str, float]) -> Scores:
    """`Scores` from one answer's four attribute probabilities."""
    values = {attribute: round(probabilities[attribute], 6) for attribute in ATTRIBUTES}
    ranked_by = quality(values["sensible"], values["specific"], values["interesting"])
    return Scores(**values, quality=round(ranked_by, 6))


async def judge(
    decoder: Decoder, dialect: Dialect, prompt_ids: Sequence[int], samples: Sequence[Sample], policy: Policy
) -> list[tuple[Candidate, Sample]]:
    """The samples as candidates, best first: the kept ranked by quality, then the dropped.

    Empty and repeated samples are dropped before they cost a read.
    """
    seen: set[str] = set()
    judged: list[tuple[Candidate, Sample]] = []
    unique: list[Sample] = []
    for sample in samples:
        text = spoken(sample.text).strip()
        if text and text not in seen:
            seen.add(text)
            unique.append(sample)
        else:
            judged.append((candidate_of(sample, kept=False, reason="repeats another" if text else "empty"), sample))
    probabilities = await read_probabilities(
        decoder, dialect.attribute_reads, [[*prompt_ids, *sample.token_ids] for sample in unique]
    )
    for sample, found in zip(unique, probabilities, strict=True):
        scores = scores_of(found)
        safe = policy.releases(scores.safe)
        reason = None if safe else f"P(safe) {scores.safe:.2f} is below {policy.threshold:.2f}"
        judged.append((candidate_of(sample, scores=scores, kept=safe, reason=reason), sample))
    judged.sort(key=lambda pair: (not pair[0].kept, -(pair[0].scores.quality if pair[0].scores else -1.0)))
    return judged


def candidate_of(
    sample: Sample, *, kept: bool, scores: Scores | None = None, reason: str | None = None, phase: Phase = "base",
    support: float | None = None,
) -> Candidate:  # fmt: skip
    """A sample as a candidate of the trace."""
    return Candidate(
        text=spoken(sample.text).strip(), scores=scores, kept=kept, reason=reason, phase=phase, support=support,
        logprob=round(sample.logprob, 4), tokens=len(sample.token_ids),
    )  # fmt: skip
