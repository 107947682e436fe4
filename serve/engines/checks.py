"""What all engines do alike: refuse what cannot be run, in one wording, and put samples into one form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dialog.decoder import DecoderInfo, Sample, Sampling, Tokenizer
from dialog.errors import ContextLengthError, EngineUnavailable
from serve.errors import ServeError
from toolset.clean import MAX_ERROR, one_line

LABELS_AT_ONCE = 128
"""vLLM reads at most so many labels in one request (`MAX_LOGPROB_TOKEN_IDS`)."""


class DecoderInputError(ServeError, ValueError):
    """Token ids or labels that no engine can use (for who writes a dialect)."""


def check_generate(info: DecoderInfo, prompt_ids: Sequence[int], sampling: Sampling) -> None:
    """Raises DecoderInputError or ContextLengthError."""
    _check_ids("prompt_ids", prompt_ids, info.vocab_size)
    if sampling.stop_token_ids:
        _check_ids("stop_token_ids", sampling.stop_token_ids, info.vocab_size)
    if len(prompt_ids) + sampling.max_tokens > info.context_length:
        raise ContextLengthError(len(prompt_ids) + sampling.max_tokens, info.context_length)


def check_score(info: DecoderInfo, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> None:
    """Raises DecoderInputError or ContextLengthError; the label itself counts as one token of the context."""
    _check_ids("label_ids", label_ids, info.vocab_size)
    if len(set(label_ids)) != len(label_ids):
        raise DecoderInputError(f"label_ids must differ, got {list(label_ids)}. Name each label once.")
    for index, prompt_ids in enumerate(prompts_ids):
        _check_ids(f"prompts_ids[{index}]", prompt_ids, info.vocab_size)
        if len(prompt_ids) + 1 > info.context_length:
            raise ContextLengthError(len(prompt_ids) + 1, info.context_length)


def reason(error: object) -> str:
    """A library's or a server's own words as a part of a message of ours."""
    return one_line(str(error), MAX_ERROR)


def shown_name(model_name: str) -> str:
    """A model's name as clients may see it: of a folder its last part, since where it lies is the operator's affair."""
    folder = Path(model_name).expanduser()
    return folder.resolve().name if folder.is_dir() else model_name


def closed(info: DecoderInfo) -> EngineUnavailable:
    """The error of a call after `aclose`."""
    return EngineUnavailable(f"the {info.engine} engine of {info.model!r} was closed. Open a new decoder.")


def label_reads(label_ids: Sequence[int]) -> Iterator[tuple[slice, dict[str, Any]]]:
    """The labels in portions that vLLM reads in one request: the columns of the scores, and the request's settings."""
    for start in range(0, len(label_ids), LABELS_AT_ONCE):
        labels = list(label_ids[start : start + LABELS_AT_ONCE])
        asked = {"n": 1, "max_tokens": 1, "temperature": 0.0, "logprobs": len(labels), "logprob_token_ids": labels}
        yield slice(start, start + len(labels)), asked


def sample_of(tokenizer: Tokenizer, token_ids: Sequence[int], logprob: float | None, reason: str | None) -> Sample:
    """A sample of vLLM, whose ids include the stop token where one ended it."""
    stopped = reason == "stop"
    ids = tuple(token_ids[:-1] if stopped else token_ids)
    return Sample(
        token_ids=ids,
        text=tokenizer.decode(ids, skip_special_tokens=True),
        logprob=float(logprob or 0.0),
        finish_reason="stop" if stopped else "length",
    )


def spread_seed(seed: int | None) -> int | None:
    """A seed for vLLM, which gives row i the seed + i: spread out, so that neighbouring seeds share no rows."""
    if seed is None:
        return None
    return int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "big") >> 2


def _check_ids(name: str, ids: Sequence[int], vocab_size: int) -> None:
    if not len(ids):
        raise DecoderInputError(f"{name} must hold at least one token id, got none.")
    low, high = min(ids), max(ids)
    if low < 0 or high >= vocab_size:
        wrong = low if low < 0 else high
        raise DecoderInputError(
            f"{name} holds {wrong}, outside the model's vocabulary of {vocab_size}. Use this decoder's own tokenizer."
        )
