"""Neural translation with any seq2seq translation model of transformers, from a local folder or a Hugging Face id.

The model is loaded on first use (or by `load`), on the CPU unless told otherwise. Long texts are cut into sentences
and translated as batches, sentences of similar length together. The confidence is the geometric mean of the
probabilities of the words generated. Boundary: how languages are named to a model is in `schemes`.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolset.errors import ToolConfigError
from toolset.translator.backend import BackendError, Translation
from toolset.translator.languages import code_of
from toolset.translator.schemes import Scheme, scheme_for

logger = logging.getLogger(__name__)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=\S)|(?<=[。！？])")
MAX_SENTENCE_TOKENS = 400


class Neural:
    """A translation model as a backend.

    Args:
        model: local folder or Hugging Face id.
        pair: (source, target) of a model for one pair that does not say its languages itself.
        beams: beams of the search; 1 is greedy.
        batch_size: sentences translated at once.
        max_new_tokens: longest translation of a sentence.
        device: where it runs, such as "cpu" or "cuda".

    Raises:
        ToolConfigError: for a folder that is not there, or a setting out of range.
    """

    name = "neural"
    knows_words = False

    def __init__(
        self,
        model: str | Path,
        *,
        pair: Sequence[str] | None = None,
        beams: int = 4,
        batch_size: int = 8,
        max_new_tokens: int = 256,
        device: str = "cpu",
    ) -> None:
        for setting, value in (("beams", beams), ("batch_size", batch_size), ("max_new_tokens", max_new_tokens)):
            if value < 1:
                raise ToolConfigError(f"{setting} must be >= 1, got {value}.")
        if pair is not None and (len(pair) != 2 or not all(map(code_of, pair))):
            raise ToolConfigError(f"pair must be two language codes such as ['en', 'es'], got {list(pair)!r}.")
        self.model_name = str(model)
        if not Path(model).is_dir() and (isinstance(model, Path) or not HUB_ID.fullmatch(model)):
            raise ToolConfigError(f"no translation model at {self.model_name!r}. Give a folder or a Hugging Face id.")
        if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
            raise ToolConfigError(f"{self.model_name!r} holds no config.json. Give the folder of a saved model.")
        self.pair = (pair[0], pair[1]) if pair else None
        self.beams, self.batch_size = beams, batch_size
        self.max_new_tokens, self.device = max_new_tokens, device
        self._lock = threading.RLock()  # the tokenizer's source language is a state
        self._model: Any = None
        self._tokenizer: Any = None
        self._scheme: Scheme | None = None
        self._failure: str | None = None

    def load(self) -> Scheme:
        """Load the model, once. Raises ToolConfigError for one that is no translation model or cannot be loaded."""
        with self._lock:
            if self._scheme is not None:
                return self._scheme
            if self._failure:
                raise ToolConfigError(self._failure)
            try:
                from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
                    self._tokenizer = AutoTokenizer.from_pretrained(self.model_name)
                model = AutoModelForSeq2SeqLM.from_pretrained(self.model_name).to(self.device)  # pyright: ignore
                self._model = model.eval()
                self._scheme = scheme_for(
                    model.config.model_type, self._tokenizer, model.config, self.model_name, self.pair
                )
            except ToolConfigError as error:
                self._failure = str(error)
                raise
            except Exception as error:  # transformers raises many kinds; the remedy is the same
                first = (str(error).splitlines() or [type(error).__name__])[0]
                self._failure = f"translation model {self.model_name!r} cannot be loaded: {first[:200]}"
                raise ToolConfigError(self._failure) from error
            return self._scheme

    def _ready(self) -> Scheme:
        try:
            return self.load()
        except ToolConfigError as error:
            raise BackendError(str(error)) from error

    def supports(self, source: str, target: str) -> bool:
        """Whether the model translates this pair; False for a model that cannot be loaded (see `status`)."""
        try:
            return self.load().supports(source, target)
        except ToolConfigError:
            return False

    def sources(self, target: str) -> list[str]:
        """None of its own: a model would make something of any text in any language."""
        return []

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        """Translate `text`, sentence by sentence. None where nothing came of it. Raises BackendError."""
        return self.translate_batch([text], source, target)[0]

    def translate_batch(self, texts: Sequence[str], source: str, target: str) -> list[Translation | None]:
        """Translate several texts at once; their sentences share batches. Raises BackendError."""
        scheme = self._ready()
        if not scheme.supports(source, target):
            return [None] * len(texts)
        pieces = [(i, part) for i, text in enumerate(texts) for part in SENTENCE_END.split(text) if part.strip()]
        translated = self._generate([part for _, part in pieces], source, target, scheme)
        results: list[Translation | None] = []
        for i in range(len(texts)):
            mine = [result for (owner, _), result in zip(pieces, translated, strict=True) if owner == i]
            joined = ("" if target in ("zh", "ja") else " ").join(text for text, _, _ in mine if text)
            tokens = sum(count for _, _, count in mine)
            if not joined or not tokens:
                results.append(None)
                continue
            results.append(
                Translation(
                    text=joined,
                    source=source,
                    target=target,
                    backend=f"{Path(self.model_name).name}",
                    kind="neural machine translation",
                    confidence=math.exp(sum(logprob for _, logprob, _ in mine) / tokens),
                )
            )
        return results

    def _generate(self, parts: list[str], source: str, target: str, scheme: Scheme) -> list[tuple[str, float, int]]:
        """(translation, its log-probability in nats, its number of tokens) of each part."""
        import torch

        results: list[tuple[str, float, int]] = [("", 0.0, 0)] * len(parts)
        order = sorted(range(len(parts)), key=lambda i: -len(parts[i]))
        with self._lock, torch.inference_mode():
            texts, options = scheme.prepare(parts, source, target)
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                inputs = self._tokenizer(
                    [texts[i] for i in chosen],
                    return_tensors="pt",
                    padding=True,
                    truncation=True,
                    max_length=self._max_tokens(),
                ).to(self.device)
                try:
                    output = self._model.generate(
                        **inputs,
                        **options,
                        num_beams=self.beams,
                        do_sample=False,
                        max_new_tokens=min(self.max_new_tokens, 3 * inputs["input_ids"].shape[1] + 16),
                        output_scores=True,
                        return_dict_in_generate=True,
                    )
                except (RuntimeError, ValueError, IndexError) as error:
                    raise BackendError(f"{self.model_name!r} failed to translate: {str(error)[:200]}") from error
                steps = self._model.compute_transition_scores(  # [sequences, new tokens], log-probabilities
                    output.sequences,
                    output.scores,
                    getattr(output, "beam_indices", None),
                    normalize_logits=self.beams == 1,
                )
                kept_ids = [[i for i in ids if i not in scheme.dropped] for ids in output.sequences.tolist()]
                decoded = self._tokenizer.batch_decode(kept_ids, skip_special_tokens=True)
                pad = self._tokenizer.pad_token_id
                for row, i in enumerate(chosen):
                    new = output.sequences[row, -steps.shape[1] :]
                    kept = steps[row][(new != pad) & torch.isfinite(steps[row])]
                    results[i] = (" ".join(decoded[row].split()), float(kept.sum()), int(kept.numel()))
        return results

    def _max_tokens(self) -> int:
        positions = getattr(self._model.config, "max_position_embeddings", None) or MAX_SENTENCE_TOKENS
        return min(int(positions), MAX_SENTENCE_TOKENS)

    def status(self) -> str:
        if self._failure:
            return self._failure
        loaded = f", {self._scheme.describe()}" if self._scheme else ", not loaded yet"
        return f"Neural: {self.model_name} on {self.device}{loaded}"

    def close(self) -> None:
        with self._lock:
            self._model = self._tokenizer = self._scheme = None
