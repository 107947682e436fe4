"""Sentence embeddings from a local model folder: mean-pooled, normalised, as all-MiniLM-L6-v2 is trained.

One forward pass over a passage gives the passage's vector (mean of all its tokens) and a vector for each of its
sentences (mean of the sentence's tokens, read in the context of title and neighbours: "late chunking",
arXiv 2409.04701), so sentence-level search costs no second pass.

Boundary: knows nothing of corpora; takes text and offsets, gives float32 vectors of unit length.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from toolset.english.sentences import Span
from toolset.retrieval import onnx_bert
from toolset.retrieval.errors import EmbedderError

MAX_TOKENS = 512
BATCH_TOKENS = 1024
"""Tokens in one forward pass: small batches stay in the processor's cache."""


class Embedding(NamedTuple):
    """`passage` [dimension], `sentences` [n, dimension]; float32, unit length."""

    passage: np.ndarray
    sentences: np.ndarray


class Embedder:
    """An encoder from a folder with `config.json`, `model.safetensors` and `tokenizer.json`.

    The weights load on the first use. Thread-safe. Raises EmbedderError for a folder that lacks a file.
    """

    def __init__(self, model_folder: Path | str) -> None:
        self.folder = Path(model_folder)
        self.lock = threading.Lock()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            if not (self.folder / name).is_file():
                raise EmbedderError(
                    f"embedding model folder {self.folder} has no {name}. "
                    "Give the folder of a sentence-transformers model."
                )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration, tokenizer and precision: vectors of different fingerprints never mix."""
        digest = hashlib.sha256()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            with (self.folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        if onnx_bert.is_bert(self.config):
            digest.update(onnx_bert.VERSION.encode())
        return digest.hexdigest()

    @cached_property
    def config(self) -> dict:
        try:
            return json.loads((self.folder / "config.json").read_text("utf-8"))
        except ValueError as error:
            raise EmbedderError(
                f"{self.folder / 'config.json'} is not JSON: {error}. Fetch the model again."
            ) from error

    @cached_property
    def tokenizer(self):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return tokenizer

    @cached_property
    def encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """(input_ids, attention_mask), int64 [batch, tokens] -> hidden states, float32 [batch, tokens, dimension]."""
        return self.int8_encoder() if onnx_bert.is_bert(self.config) else self.float_encoder()

    def int8_encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The model through ONNX Runtime; converted on the first use and kept beside its weights where possible."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        options.intra_op_num_threads = min(len(os.sched_getaffinity(0)), 8)
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory(prefix="groundling-") as elsewhere:
            home = self.folder if os.access(self.folder, os.W_OK) else Path(elsewhere)
            graph = home / f"model.{onnx_bert.VERSION}.{self.fingerprint[:8]}.onnx"

            def session_of() -> onnxruntime.InferenceSession:
                if not graph.is_file():
                    onnx_bert.quantised(self.folder, graph)
                return onnxruntime.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])

            try:
                session = session_of()
            except Exception:  # its own kinds of error: a damaged graph is made again, once
                graph.unlink(missing_ok=True)
                session = session_of()
        return lambda ids, mask: np.asarray(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])

    def float_encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Any other encoder, in float32 through transformers."""
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(self.folder, local_files_only=True, dtype=torch.float32).eval()
        except Exception as error:
            raise EmbedderError(
                f"cannot load the embedding model in {self.folder}: {error}. Fetch it again."
            ) from error
        finally:
            if shown:
                logging.enable_progress_bar()

        def encode(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
                return model(**inputs).last_hidden_state.numpy()

        return encode

    @property
    def dimension(self) -> int:
        """The vectors' length."""
        return int(self.config["hidden_size"])

    def load(self) -> Embedder:
        """Load the weights now rather than on the first use."""
        with self.lock:
            assert self.encoder, "loads when looked at"
            assert self.tokenizer
        return self

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of whole texts: [len(texts), dimension]."""
        found = self.passages([("", text, ()) for text in texts])
        return np.stack([item.passage for item in found])

    def passages(
        self, items: Sequence[tuple[str, str, Sequence[Span]]], max_tokens: int = MAX_TOKENS
    ) -> list[Embedding]:
        """Embed `(prefix, text, sentences)`: the text is read after its prefix (a title), sentences are spans of it.

        A sentence past `max_tokens` gets the passage's vector.
        """
        self.load()
        encoded = self.tokenizer.encode_batch([prefix + text for prefix, text, _ in items])
        ids = [each.ids[:max_tokens] for each in encoded]
        ready: dict[int, Embedding] = {}
        for batch in batches(sorted(range(len(items)), key=lambda i: len(ids[i])), [len(each) for each in ids]):
            for i, hidden in zip(batch, self.forward([ids[i] for i in batch]), strict=True):
                prefix, _, spans = items[i]
                ready[i] = pool(hidden, np.array(encoded[i].offsets[: len(hidden)]), len(prefix), spans)
        return [ready[i] for i in range(len(items))]

    def forward(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Last hidden states, one array [tokens, dimension] for each sequence of token ids."""
        padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
        mask = np.zeros_like(padded)
        for row, sequence in enumerate(ids):
            padded[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        hidden = self.encoder(padded, mask)
        return [hidden[row, : len(sequence)] for row, sequence in enumerate(ids)]


def batches(order: Sequence[int], lengths: Sequence[int], budget: int = BATCH_TOKENS):
    """Cut `order` (by rising length) into runs whose padded size stays within `budget` tokens."""
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and lengths[order[end]] * (end + 1 - start) <= budget:
            end += 1
        yield order[start:end]
        start = end


def pool(hidden: np.ndarray, offsets: np.ndarray, shift: int, spans: Sequence[Span]) -> Embedding:
    """Mean-pool hidden states [tokens, d] over all tokens, and over each span's (offsets [tokens, 2], characters)."""
    whole = unit(hidden.mean(0))
    starts, ends = offsets[:, 0] - shift, offsets[:, 1] - shift
    rows = [hidden[(ends > starts) & (starts >= span.start) & (ends <= span.end)] for span in spans]
    each = [unit(row.mean(0)) if len(row) else whole for row in rows]
    return Embedding(whole, np.stack(each) if each else np.zeros((0, len(whole)), np.float32))


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
