from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dialog.chat_dialect import ChatDialect
from dialog.decoder import Tokenizer
from dialog.dialect import DIALECTS, Dialect, make_dialect
from dialog.tuned_dialect import TunedDialect
from tests.dialog.scripted import ScriptedDecoder


@pytest.fixture(scope="session")
def tokenizer(default_model: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(default_model)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Dialect:
    return make_dialect(tokenizer, request.param)


@pytest.fixture
def chat(tokenizer: Tokenizer) -> ChatDialect:
    return ChatDialect(tokenizer)


@pytest.fixture
def tuned(tokenizer: Tokenizer) -> TunedDialect:
    return TunedDialect(tokenizer)


@pytest.fixture
def scripted(tokenizer: Tokenizer) -> Callable[..., ScriptedDecoder]:
    """Makes a scripted decoder whose yes labels are those of both dialects."""

    def make(
        says: Sequence[str] | Callable[[str], Sequence[str]],
        probability: Callable[[str], float] = lambda _: 0.9,
        **more,
    ) -> ScriptedDecoder:
        answer = says if callable(says) else (lambda prompt: says)
        decoder = ScriptedDecoder(tokenizer, answer, probability, **more)
        for dialect in (ChatDialect(tokenizer), TunedDialect(tokenizer)):
            for read in (*dialect.attribute_reads, dialect.grounded_read):
                decoder.yes_ids.update(pair.yes for pair in read.pairs.values())
        return decoder

    return make
