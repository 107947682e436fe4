"""Citations: which snippet supports which sentence, and what is dropped because none does.

A sentence is supported by a snippet where its names and numbers stand in the snippet (or in the question), most of
its other words do, and it says something that the question did not. That is a test of words, not of meaning: it
cannot see a negation. It errs towards dropping, costs no model call, and is as strict with a large model as with a
small one; the model's own GROUNDED discriminator is read beside it.
Terms: groundedness and citation accuracy, LaMDA (arXiv 2201.08239) section 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dialog.evidence import Evidence
from dialog.turn import Citation

LEAST_SUPPORT = 0.6
"""Least share of a sentence's content words that its snippet must hold; measured in docs/log.md."""

_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_WORD = re.compile(r"\d[\d,]*(?:\.\d+)?%?|[^\W\d_][\w'’]*", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|c|ca|approx|e\.g|i\.e|etc)\.$")
_STOP = frozenset(
    "a an the and or but if of in on at to from by for with as is are was were be been being am do does did done has "
    "have had having it its it's he she they them his her their this that these those there here which who whom whose "
    "what when where why how not no nor so than then too very can could will would shall should may might must also "
    "just about into over under between during after before such only own same more most other some any each both all "
    "i you we me my your our us him known called named one first".split()
)


_EXPECTED = (
    (
        re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|century)\b", re.I),
        re.compile(r"\b\d{3,4}\b|\b\d+\b.*century"),
    ),
    (re.compile(r"\bhow (?:many|much|tall|high|long|old|far|big|large|deep|fast|heavy)\b", re.I), re.compile(r"\d")),
    (re.compile(r"\b(?:who|whose|whom|where)\b", re.I), re.compile(r"\b[A-Z]\w+")),
)
"""What kind of words answers a kind of question: a year, a number, a name."""
EXPECTED_KIND = 1.5
"""Words shared with the question that such a kind is worth when a sentence is quoted."""


class Support(NamedTuple):
    """How far a snippet holds a sentence."""

    share: float
    """Of the sentence's content words, those found in the snippet or the question."""
    informative: bool
    """Some content word is the snippet's and not the question's."""
    foreign: tuple[str, ...]
    """Names and numbers found in neither."""

    @property
    def supported(self) -> bool:
        return self.informative and not self.foreign and self.share >= LEAST_SUPPORT


class Cited(NamedTuple):
    """A reply with its markers."""

    text: str
    citations: list[Citation]
    grounded: bool


def sentences(text: str) -> list[str]:
    """Split a text into sentences; an abbreviation or an initial does not end one."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text.strip()):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += f" {part}"
        elif part:
            found.append(part)
    return found


def support(sentence: str, snippet: str, question: str) -> Support:
    """How far `snippet` supports `sentence`, given `question`."""
    held, asked = _stems(snippet), _stems(question)
    words = _WORD.findall(_MARKER.sub("", sentence))
    content = [word for word in words if word.lower() not in _STOP]
    if not content:
        return Support(0.0, False, ())
    stems = [_stem(word) for word in content]
    found = [stem in held or stem in asked for stem in stems]
    first = words[0]
    foreign = tuple(
        word
        for word, there in zip(content, found, strict=True)
        if not there and (word[0].isdigit() or (word[0].isupper() and word is not first))
    )
    return Support(
        share=sum(found) / len(found),
        informative=any(stem in held and stem not in asked for stem in stems),
        foreign=foreign,
    )


def cite(text: str, evidence: Sequence[Evidence], question: str) -> Cited:
    """Attach to each sentence the snippet that supports it best, as `[n]`, numbered in order of use.

    Markers that the model wrote are kept where they hold, and else dropped. Where some sentences are supported the
    others are left out; where none is, the text stays without a citation and is not grounded.
    """
    chosen: list[tuple[str, Evidence]] = []
    for sentence in sentences(text):
        wanted = {int(number) for number in _MARKER.findall(sentence)}
        bare = _MARKER.sub("", sentence).strip()
        rated = [(item, support(bare, f"{item.title}. {item.text}", question)) for item in evidence]
        holding = [(item, rating) for item, rating in rated if rating.supported]
        if holding:
            best = max(holding, key=lambda pair: (pair[0].number in wanted, pair[1].share, -pair[0].number))
            chosen.append((bare, best[0]))
    if not chosen:
        return Cited(_MARKER.sub("", text).strip(), [], False)
    return number([(sentence, item) for sentence, item in chosen])


def number(pairs: Sequence[tuple[str, Evidence]]) -> Cited:
    """Sentences with their snippets as a reply with numbered citations."""
    order: list[int] = []
    parts: list[str] = []
    for i, (sentence, item) in enumerate(pairs):
        if item.number not in order:
            order.append(item.number)
        # One marker at the end of a run of sentences from one source reads better than one after each.
        last_of_run = i + 1 == len(pairs) or pairs[i + 1][1].number != item.number
        parts.append(f"{sentence} [{order.index(item.number) + 1}]" if last_of_run else sentence)
    by_number = {item.number: item for _, item in pairs}
    citations = [
        Citation(number=i + 1, title=item.title, url=item.url, text=item.text, id=item.id, tool=item.tool)
        for i, item in enumerate(by_number[n] for n in order)
    ]
    return Cited(" ".join(parts), citations, True)


def quote(evidence: Sequence[Evidence], question: str) -> Cited | None:
    """The sentence of the evidence that shares most with the question, quoted and cited; None without evidence.

    What the agent falls back on where no sampled answer is supported: a quotation is always grounded.
    """
    asked = _stems(question)
    kind = next((pattern for asks, pattern in _EXPECTED if asks.search(question)), None)
    best: tuple[float, str, Evidence] | None = None
    for rank, item in enumerate(evidence):
        title = _stems(item.title)
        for position, sentence in enumerate(sentences(item.text)):
            stems = _stems(sentence)
            # A summary's first sentence says what its subject is, and its title is understood in all of them.
            score = len(asked & (stems | title)) - 0.35 * rank - 0.1 * min(position, 5)
            score += EXPECTED_KIND * bool(kind and kind.search(_without(sentence, question)))
            if stems and (best is None or score > best[0]):
                best = (score, sentence, item)
    return number([(best[1], best[2])]) if best else None


def _without(sentence: str, question: str) -> str:
    """The sentence's words that the question does not have, and that do not open the sentence."""
    asked = _stems(question)
    return " ".join(word for word in _WORD.findall(sentence)[1:] if _stem(word) not in asked)


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text) if word.lower() not in _STOP}


def _stem(word: str) -> str:
    """A word without the endings that inflection changes: enough to match "planets" with "planet"."""
    lower = word.lower().replace("’", "'").removesuffix("'s").replace(",", "")
    if lower[0].isdigit():
        return lower.rstrip(".")
    for ending in ("ing", "ed", "es", "s"):
        if lower.endswith(ending) and len(lower) - len(ending) >= 3 and not lower.endswith("ss"):
            return lower[: -len(ending)].rstrip("e")
    return lower.rstrip("e") if len(lower) > 3 else lower
