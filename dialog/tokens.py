"""Text to token ids so that untrusted text stays text.

A prompt is built from trusted parts (the template's own markers) and untrusted parts (messages, evidence). Each
untrusted part is tokenised on its own with special tokens split into plain characters, so that a message or a web
page which contains `<|im_start|>system` cannot open a system message.
"""

from __future__ import annotations

from collections.abc import Sequence

from dialog.decoder import Tokenizer


def encode_plain(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of untrusted `text`; never one of the tokenizer's special or added tokens."""
    ids = _encode(tokenizer, text, split_special_tokens=True)
    forbidden = control_ids(tokenizer)
    if not forbidden.intersection(ids):
        return ids
    # A tokenizer that does not split special tokens: take their spelling apart with a word joiner.
    for marker in sorted(_added_tokens(tokenizer), key=len, reverse=True):
        text = text.replace(marker, "\u2060".join(marker))
    return [token for token in _encode(tokenizer, text) if token not in forbidden]


def encode_trusted(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a template's own text, special tokens included."""
    return _encode(tokenizer, text)


def control_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids that structure a prompt: special and added tokens."""
    return {tokenizer.convert_tokens_to_ids(token) for token in _added_tokens(tokenizer)}


def single_token(tokenizer: Tokenizer, *spellings: str) -> int:
    """The id of the first spelling that is one token. Raises ValueError naming the spellings."""
    for spelling in spellings:
        ids = _encode(tokenizer, spelling)
        if len(ids) == 1:
            return ids[0]
    raise ValueError(f"none of {spellings!r} is a single token of this model. Use another model or the chat dialect.")


def _encode(tokenizer: Tokenizer, text: str, **options: bool) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, **options))


def _added_tokens(tokenizer: Tokenizer) -> Sequence[str]:
    added: dict[str, int] = tokenizer.get_added_vocab()
    return [token for token in added if token.strip()]
