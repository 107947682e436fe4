"""How each family of translation models is told the languages; one small class a family.

- `Marian` (OPUS-MT): one pair, or many targets chosen by a token such as `>>fra<<` before the text.
- `LanguageToken` (M2M100, NLLB, mBART-50): the source's token goes with the text, the target's is decoded first.
- `Prefix` (T5): MADLAD-400's `<2fr>` token before the text, or the original T5's "translate English to French: ".

Boundary: knows tokenizers and configurations, loads and generates nothing. `scheme_for` picks the family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Protocol

from toolset.errors import ToolConfigError
from toolset.translator.languages import code_of, languages, name_of


class Scheme(Protocol):
    """What a model can translate, and how it is asked to."""

    dropped: frozenset[int]
    """Ids of tokens that name languages; they are no part of a translation."""

    def supports(self, source: str, target: str) -> bool: ...

    def prepare(self, texts: list[str], source: str, target: str) -> tuple[list[str], dict[str, Any]]:
        """Set the tokenizer to the pair; return the texts as the model wants them and options for `generate`."""
        ...

    def describe(self) -> str: ...


def _codes(tokens: Iterable[tuple[str, str]]) -> dict[str, str]:
    """From (language tag of a model, token): our code to token; a plain tag before one with script or region."""
    found: dict[str, str] = {}
    for tag, token in sorted(tokens, key=lambda pair: (len(pair[0]), pair[0])):
        code = code_of(re.split(r"[_-]", tag, maxsplit=1)[0])
        if code:
            found.setdefault(code, token)
    if "zho_Hans" in {tag for tag, _ in tokens}:
        found["zh"] = dict(tokens)["zho_Hans"]
    return found


class Marian:
    """OPUS-MT. A source or target that is a group of languages ("mul", "roa") allows any language."""

    dropped: frozenset[int] = frozenset()

    def __init__(self, tokenizer: Any, model_name: str, pair: tuple[str, str] | None) -> None:
        tags = [(token[2:-2], token) for token in tokenizer.supported_language_codes]
        self.targets = _codes(tags)
        source, target = pair or (tokenizer.source_lang, tokenizer.target_lang)
        if not source or not target:
            named = re.search(r"opus-mt(?:-tc-big|-tc-base)?-([A-Za-z_]+)-([A-Za-z_]+)$", PurePath(model_name).name)
            if not named:
                raise ToolConfigError(
                    f"translation model {model_name!r} does not say its languages. Give pair=('en', 'es')."
                )
            source, target = named[1], named[2]
        self.source, self.target = code_of(str(source)), code_of(str(target))
        self.names = f"{source} to {target}"

    def supports(self, source: str, target: str) -> bool:
        if self.source not in (None, source) or source == target:
            return False
        return target in self.targets if self.targets else target == self.target

    def prepare(self, texts: list[str], source: str, target: str) -> tuple[list[str], dict[str, Any]]:
        # a text of the user must not choose the language by a token of its own
        texts = [text.replace(">>", "> >") for text in texts]
        if self.targets:
            texts = [f"{self.targets[target]} {text}" for text in texts]
        return texts, {}

    def describe(self) -> str:
        return f"{len(self.targets)} languages" if self.targets else self.names


class LanguageToken:
    """M2M100, NLLB and mBART: `src_lang` on the tokenizer, the target's token forced as the first one decoded."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        tags = list(getattr(tokenizer, "lang_code_to_id", None) or ())
        if not tags:  # NLLB keeps its tags among the vocabulary's tokens
            tags = [token for token in tokenizer.get_vocab() if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", token)]
        self.tags = _codes([(tag, tag) for tag in tags])
        self.dropped = frozenset(self._id(tag) for tag in tags)

    def _id(self, tag: str) -> int:
        get = getattr(self.tokenizer, "get_lang_id", None)
        return int(get(tag) if get else self.tokenizer.convert_tokens_to_ids(tag))

    def supports(self, source: str, target: str) -> bool:
        return source != target and source in self.tags and target in self.tags

    def prepare(self, texts: list[str], source: str, target: str) -> tuple[list[str], dict[str, Any]]:
        self.tokenizer.src_lang = self.tags[source]
        return texts, {"forced_bos_token_id": self._id(self.tags[target])}

    def describe(self) -> str:
        return f"{len(self.tags)} languages"


class Prefix:
    """T5: the target (MADLAD) or both languages (the original T5) are written before the text."""

    def __init__(self, tokenizer: Any, config: Any, model_name: str) -> None:
        tags = [
            (m[1], token) for token in tokenizer.get_vocab() if (m := re.fullmatch(r"<2([a-z]{2,3}(?:_\w+)?)>", token))
        ]
        self.targets = _codes(tags)
        self.dropped = frozenset(int(tokenizer.convert_tokens_to_ids(token)) for _, token in tags)
        self.sentences: dict[tuple[str, str], str] = {}
        if not self.targets:
            for task, options in (getattr(config, "task_specific_params", None) or {}).items():
                match = re.fullmatch(r"translation_([a-z]{2})_to_([a-z]{2})", task)
                if match and isinstance(options, dict):
                    default = f"translate {name_of(match[1])} to {name_of(match[2])}: "
                    self.sentences[match[1], match[2]] = options.get("prefix") or default
        if not self.targets and not self.sentences:
            raise ToolConfigError(
                f"{model_name!r} is a T5 model without language tokens (<2fr>) or translation tasks. "
                "Use one that was trained to translate, such as MADLAD-400."
            )

    def supports(self, source: str, target: str) -> bool:
        if self.targets:
            return source != target and target in self.targets and source in languages()
        return (source, target) in self.sentences

    def prepare(self, texts: list[str], source: str, target: str) -> tuple[list[str], dict[str, Any]]:
        if self.targets:
            return [f"{self.targets[target]} {text.replace('<2', '< 2')}" for text in texts], {}
        return [self.sentences[source, target] + text for text in texts], {}

    def describe(self) -> str:
        return f"into {len(self.targets)} languages" if self.targets else f"{len(self.sentences)} pairs"


def scheme_for(model_type: str, tokenizer: Any, config: Any, model_name: str, pair: tuple[str, str] | None) -> Scheme:
    """The scheme of a model's family. Raises ToolConfigError for a family that is not known."""
    if model_type == "marian":
        return Marian(tokenizer, model_name, pair)
    if model_type in ("m2m_100", "nllb-moe", "mbart"):
        return LanguageToken(tokenizer)
    if model_type in ("t5", "mt5", "umt5"):
        return Prefix(tokenizer, config, model_name)
    raise ToolConfigError(
        f"translation model {model_name!r} is of type {model_type!r}. Use a MarianMT, M2M100, NLLB, mBART-50 or "
        "T5/MADLAD-400 model."
    )
