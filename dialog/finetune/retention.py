"""Retention: perplexity on general text, before and after; the gate that refuses a run which forgets too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F

from dialog.decoder import Tokenizer
from dialog.errors import RecordError
from dialog.finetune.memory import out_of_memory
from dialog.tokens import encode_plain
from safety.metrics import Interval, bootstrap
from safety.records import read_json_lines
from safety.sources import dialog_text, human_dialogs
from safety.split import plain, split_by

WINDOW = 512
"""Tokens of one stretch of text; each is predicted from those before it in its stretch."""


class Perplexity(BaseModel):
    """exp of the mean negative log-likelihood in nats per token."""

    model_config = ConfigDict(frozen=True)

    tokens: int = Field(description="Predicted tokens.")
    perplexity: float
    stretches: tuple[tuple[float, int], ...] = Field(
        default=(), repr=False, description="Nats and predicted tokens of each stretch."
    )

    def interval(self) -> Interval | None:
        """The perplexity with its 95% bootstrap interval over stretches.

        None where it was not kept by stretch, or where they are one or all alike: then it could only claim certainty.
        """
        if not self.stretches:
            return None
        nats, tokens = zip(*self.stretches, strict=True)
        span = bootstrap(lambda n, t: math.exp(n.sum() / t.sum()), nats, tokens)
        return span if math.isfinite(span.low) else None


def read_texts(path: Path) -> list[str]:
    """Paragraphs of a text file, or a JSONL file's `text` fields or dialogs, each dialog one text.

    Raises RecordError where the file cannot be read or holds nothing.
    """
    if path.suffix == ".jsonl":
        rows = [value for _, value in read_json_lines(path, RecordError)]
        if rows and all(isinstance(row, dict) and isinstance(row.get("text"), str) for row in rows):
            found = [row["text"].strip() for row in rows]
        else:
            found = [dialog_text(dialog) for dialog in human_dialogs(path)]
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")  # the mark that some editors begin a file with is no text
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} cannot be read as UTF-8 text ({error}). Name an existing file.") from None
        found, paragraph = [], ""
        for line in text.splitlines():
            if not line.strip() and len(paragraph) > 400:  # join short lines: headings alone say little
                found.append(paragraph.strip())
                paragraph = ""
            else:
                paragraph += line.strip() + "\n"
        found.append(paragraph.strip())
    found = [text for text in found if text]
    if not found:
        raise RecordError(f"{path.name} holds no text. Name a file with text.")
    return found


def general_text(paths: Sequence[Path], *, learns: bool = True) -> tuple[list[str], list[str]]:
    """(texts to learn from: Fisher information and replay, texts to measure on), half of each file, never shared.

    Raises RecordError where nothing is left to measure on or, where the run `learns`, to learn from.
    """
    learn: list[str] = []
    measure: list[str] = []
    for path in paths:
        texts = read_texts(path)
        if len(texts) == 1:
            measure += texts
            continue
        left, right = split_by(texts, text_key, 0.5, salt="retention")
        learn += left
        measure += right
    if not measure or (learns and not learn):
        count = len(learn) + len(measure)
        raise RecordError(
            f"retention.texts ({', '.join(path.name for path in paths)}) hold {count} paragraph{'s' * (count != 1)}, "
            f"of which {len(learn)} fall to what is learned from and {len(measure)} to what forgetting is measured on. "
            "Both need some: name text with more paragraphs, of 400 characters or more with blank lines between them."
        )
    return learn, measure


def text_key(text: str) -> str:
    """What decides a text's side: how it begins."""
    return text.strip()[:200]


def keys_of(texts: Iterable[str]) -> frozenset[str]:
    """What texts are told apart by, in whichever file and shape they are."""
    return frozenset(plain(text_key(text)) for text in texts)


def stretches(tokenizer: Tokenizer, texts: Sequence[str], tokens: int, window: int = WINDOW) -> list[list[int]]:
    """Texts as stretches of at most `window` ids, about `tokens` in all, drawn evenly from the whole list."""
    found: list[list[int]] = []
    total = 0
    step = max(1, int(len(texts) * 0.618)) | 1
    while math.gcd(step, len(texts)) != 1:
        step += 1
    for i in range(len(texts)):  # a stride that visits every text once, from all over the list
        ids = encode_plain(tokenizer, texts[i * step % len(texts)])
        for start in range(0, len(ids), window):
            piece = ids[start : start + window][: tokens - total + 1]
            if len(piece) > 1:
                found.append(piece)
                total += len(piece) - 1
        if total >= tokens:
            break
    return found


def predicted(pieces: Sequence[Sequence[int]]) -> int:
    """How many tokens of the stretches have one before them."""
    return sum(max(0, len(ids) - 1) for ids in pieces)


def check_stretches(pieces: Sequence[Sequence[int]]) -> None:
    """Raises RecordError where there is no token to predict."""
    if not predicted(pieces):
        raise RecordError(
            "the general text that perplexity is measured on holds 0 tokens to predict, as none of its texts has two. "
            "Name text of some hundred paragraphs."
        )


@torch.no_grad()
def perplexity(model: Any, pieces: Sequence[Sequence[int]], *, batch_tokens: int = 2048) -> Perplexity:
    """Perplexity of a causal language model over stretches of token ids, each on its own.

    Raises RecordError where they hold nothing to predict: no figure may say that nothing was forgotten of nothing.
    """
    from dialog.finetune.fisher import batches_by_length

    check_stretches(pieces)
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    parts: list[tuple[float, int]] = []
    remedy = "Set train.device=cpu, name a smaller model, or free memory."
    try:
        for batch in batches_by_length(pieces, batch_tokens):
            width = max(len(ids) for ids in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.long)
            targets = torch.full((len(batch), width), -100)
            for row, stretch in enumerate(batch):
                ids[row, : len(stretch)] = torch.tensor(stretch)
                targets[row, : len(stretch)] = ids[row, : len(stretch)]
            mask, wanted = targets.ne(-100).long(), targets[:, 1:]
            with out_of_memory("measuring perplexity", remedy):
                logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
                losses = F.cross_entropy(
                    logits[:, :-1].float().flatten(0, 1), wanted.flatten().to(device), reduction="none"
                )
            nats = losses.view(len(batch), -1).double().sum(1).tolist()
            parts += zip(nats, wanted.ne(-100).sum(1).tolist(), strict=True)
    finally:
        model.train(was_training)
    total, count = sum(nats for nats, _ in parts), sum(tokens for _, tokens in parts)
    return Perplexity(tokens=count, perplexity=math.exp(total / count), stretches=tuple(parts))
