"""Tiny randomly initialised models of each family, saved as their real ones are: weights, configuration, tokenizer.

The tokenizers are trained with sentencepiece on a few sentences, so loading, tokenizing, generating and decoding
are the real code; only what the models say is noise.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import sentencepiece
import torch

SENTENCES = [
    "the house is red and the cat drinks milk",
    "good morning my friend how are you today",
    "la casa es roja y el gato bebe leche",
    "buenos días amigo mío cómo estás hoy",
    "where is the station please tell me now",
    "dónde está la estación por favor dime ahora",
    "bonjour mon ami comment vas tu aujourd hui",
    "das Haus ist rot und die Katze trinkt Milch",
] * 4  # fmt: skip


def _sentencepiece(folder: Path, name: str, **options: Any) -> Path:
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(SENTENCES), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.Train(
        input=str(corpus),
        model_prefix=str(folder / name),
        vocab_size=120,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    corpus.unlink()
    (folder / f"{name}.vocab").unlink()
    return folder / f"{name}.model"


def _pieces(model: Path) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return [processor.IdToPiece(i) for i in range(processor.GetPieceSize())]


def marian(folder: Path, *, targets: tuple[str, ...] = (), source: str = "en", target: str = "es") -> Path:
    """An OPUS-MT model: one pair, or several targets by `>>xxx<<` tokens."""
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    spm = _sentencepiece(folder, "spm")
    tokens = ["</s>", "<unk>", *(f">>{code}<<" for code in targets)]
    tokens += [piece for piece in _pieces(spm) if piece not in ("<s>", "</s>", "<unk>")] + ["<pad>"]
    vocab = folder / "vocab_source.json"
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        tokenizer = MarianTokenizer(str(spm), str(spm), str(vocab), source_lang=source, target_lang=target)
    torch.manual_seed(0)
    pad = len(tokens) - 1
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(tokens), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=512,
            pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad, forced_eos_token_id=0,
        )
    )  # fmt: skip
    return _save(folder / "saved", model, tokenizer)


def m2m100(folder: Path) -> Path:
    """An M2M100 model, with its hundred language tokens."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    spm = _sentencepiece(folder, "spm")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(p for p in _pieces(spm) if p not in ("<s>", "</s>", "<unk>"))]
    vocab = folder / "vocab_source.json"
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    tokenizer = M2M100Tokenizer(str(vocab), str(spm))
    torch.manual_seed(0)
    model = M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=len(tokens) + 100 + 8, d_model=32, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
            max_position_embeddings=512, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
        )
    )  # fmt: skip
    return _save(folder / "saved", model, tokenizer)


def madlad(folder: Path, *, language_tokens: bool = True) -> Path:
    """A T5 model, with MADLAD-400's target tokens or without any."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    folder.mkdir(parents=True)
    symbols = [f"<2{code}>" for code in ("en", "es", "fr", "de", "zh", "haw", "gu_Latn")] if language_tokens else []
    spm = _sentencepiece(
        folder, "spiece", user_defined_symbols=symbols, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>"
    )
    tokenizer = T5Tokenizer.from_pretrained(str(spm.parent), extra_ids=0)
    torch.manual_seed(0)
    options: dict[str, Any] = dict(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False)
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2,
            feed_forward_proj="gated-gelu", **options,
        )
    )  # fmt: skip
    with torch.no_grad():  # random T5 embeddings repeat their input; a padding of zeros lets other tokens win
        model.get_input_embeddings().weight[0] = 0
        model.lm_head.weight[0] = 0
    return _save(folder / "saved", model, tokenizer)


def _save(folder: Path, model, tokenizer) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


ROWS = [
    ("the house is red", "en", "es", "la casa es roja"),
    ("the house is red", "en", "fr", "la maison est rouge"),
    ("good morning my friend", "en", "es", "buenos días amigo mío"),
    ("good morning my friend", "en", "fr", "bonjour mon ami"),
]
"""(text, source, target, translation): what `memorise` teaches."""


def memorise(folder: Path, rows: list[tuple[str, str, str, str]], rate: float = 1e-2) -> Path:
    """Train a saved model until it knows `rows` by heart (about a second), and save it again."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from toolset.translator.schemes import scheme_for

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()  # no dropout: it is to memorise
    scheme = scheme_for(model.config.model_type, tokenizer, model.config, str(folder), None)
    inputs, labels, forced = [], [], False
    for text, source, target, translation in rows:
        if hasattr(tokenizer, "tgt_lang"):
            tokenizer.tgt_lang = target
        [prepared], options = scheme.prepare([text], source, target)
        forced |= "forced_bos_token_id" in options
        inputs.append(tokenizer(prepared).input_ids)
        labels.append(tokenizer(text_target=translation).input_ids)
    batch = tokenizer.pad({"input_ids": inputs}, return_tensors="pt")
    width = max(map(len, labels))
    padded = torch.tensor([ids + [-100] * (width - len(ids)) for ids in labels])  # [rows, width]
    start = torch.full((len(labels), 1), model.config.decoder_start_token_id)
    read = torch.cat([start, padded[:, :-1].clamp(min=0)], dim=1)  # what the decoder reads: one to the right
    if forced:
        padded[:, 0] = -100  # the language is given, not foretold
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(400):
        loss = model(**batch, decoder_input_ids=read, labels=padded).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.005:
            break
    model.save_pretrained(folder)
    return folder
