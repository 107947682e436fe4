"""Citations: which snippet supports which sentence, and what is dropped because none does.

A sentence is supported by a snippet where its names and numbers stand in the snippet (or in the question), most of
its other words do, and what it adds to the question stands in a sentence of the snippet that is about the question.
"The largest dwarf planet" is not about "which planet is the largest". That is a test of words, not of meaning: it
cannot see a negation. It errs towards dropping, costs no model call, and is as strict with a large model as with a
small one; the model's own GROUNDED discriminator is read beside it.
Terms: groundedness and citation accuracy, LaMDA (arXiv 2201.08239) section 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dialog.decoder import FinishReason
from dialog.evidence import Evidence
from dialog.turn import Citation
from toolset.retrieval.superlative import claims, wanted
from toolset.retrieval.text import terms

LEAST_SUPPORT = 0.7
"""Least share of a sentence's content words that its snippet must hold; at 0.6 embellishments pass (docs/log.md)."""

_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_WORD = re.compile(r"\d[\d,]*(?:\.\d+)?%?|[^\W\d_][\w'’]*(?:-[^\W\d_][\w'’]*)*", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|Gen|Col|Capt|Rev|St|Mt|Ft|Jr|Sr|vs|No|Op|Vol|Fig|c|ca|approx|e\.g|i\.e|etc)\.$"
)
_STOP = frozenset(
    "a an the and or but if of in on at to from by for with as is are was were be been being am do does did done has "
    "have had having it its it's he she they them his her their this that these those there here which who whom whose "
    "what when where why how not no nor so than then too very can could will would shall should may might must also "
    "just about into over under between during after before such only own same more most other some any each both all "
    "i you we me my your our us him known called named one many much tell".split()
)


LEAST_OF_QUESTION = 0.5
"""Least share of the question's content words in a sentence that is about it."""

_SUPERLATIVE = re.compile(
    r"\b(?:first|last|most|least|(?!(?:forest|west|east|rest|test|interest|harvest|request|honest|modest|guest|quest|budapest|everest)\b)[a-z]{3,}est)\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th)")
_RANKABLE = frozenset({"known", "ever", "single", "and"})
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


LEAST_PREFIX = 6
"""Letters of a stem from which a longer word that begins with it counts as the same."""
_PRONOUN = re.compile(r"(?:he|she|they|his|her|their)\b", re.I)


class Support(NamedTuple):
    """How far a snippet holds a sentence."""

    share: float
    """Of the sentence's content words, those found in the snippet or the question."""
    informative: bool
    """Some content word is not the question's, and stands in a sentence of the snippet that is about the question."""
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


def whole_sentences(text: str, finish_reason: FinishReason) -> str:
    """A sample's text; one that ran into its length ends at its last whole sentence, where it has one."""
    text = text.strip()
    if finish_reason == "stop":
        return text
    whole = [part for part in sentences(text) if part.rstrip("\"')]").endswith((".", "!", "?"))]
    return " ".join(whole) or text


def support(sentence: str, snippet: str, question: str, title: str = "") -> Support:
    """How far `snippet` with its `title` supports `sentence`, given `question`."""
    held, asked = _stems(snippet) | _stems(title), _stems(question)
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
    added = {stem for stem in stems if stem in held and stem not in asked}
    informative = any(added & about for about in _about(snippet, title, question))
    return Support(share=sum(found) / len(found), informative=informative, foreign=foreign)


def _about(snippet: str, title: str, question: str) -> Iterator[set[str]]:
    """The stems of each sentence of the snippet that is about the question; its title is understood in all of them."""
    superlatives = {match.group().lower() for match in _SUPERLATIVE.finditer(question)}
    asked = _stems(question) - {_stem(word) for word in superlatives}
    titled, ranks_alike = _stems(title), _ranking(question, title, snippet)
    for sentence in sentences(snippet):
        stems = _stems(sentence) | titled
        if len(asked & stems) >= LEAST_OF_QUESTION * len(asked) and ranks_alike(sentence):
            yield stems


def _ranking(question: str, title: str, snippet: str) -> Callable[[str], bool]:
    """Whether a sentence of the snippet ranks what the question ranks; see `_ranks_alike`.

    A superlative that is read as a claim ("the largest planet") must be claimed; first, last and the like must stand
    by the same kind of word.
    """
    asked = wanted(question)
    if asked is None:
        return lambda sentence: _ranks_alike(sentence, question)
    titled = terms(title)
    about = [*titled, *terms(next(iter(sentences(snippet)), ""))]
    return lambda sentence: max(claims(sentence, asked, title=titled, about=about), default=0) > 0


def _ranks_alike(sentence: str, question: str) -> bool:
    """Whether a question's superlative, if it has one, is also the sentence's, for the same rank and kind.

    "Second-largest" and "largest dwarf planet" do not answer "which planet is the largest", nor does "the nation's
    first secretary of state" answer "who was the first president". Another superlative may say the same ("tallest",
    "highest"); first, last, most and least have no such likeness.
    """
    superlatives = {match.group().lower() for match in _SUPERLATIVE.finditer(question)}
    if not superlatives:
        return True
    asked = _stems(question)
    words = [word.lower() for word in _WORD.findall(sentence)]
    for i, word in enumerate(words):
        alike = word.endswith("est") and _SUPERLATIVE.fullmatch(word) and any(s.endswith("est") for s in superlatives)
        if word not in superlatives and not (alike and not superlatives & {"least"}):
            continue
        ranked = i > 0 and bool(_ORDINAL.fullmatch(words[i - 1]))
        following = next((word for word in words[i + 1 :] if word not in _RANKABLE), "")
        narrowed = bool(following) and following not in _STOP and _stem(following) not in asked
        if not ranked and not narrowed:
            return True
    return False


def cite(text: str, evidence: Sequence[Evidence], question: str) -> Cited:
    """Attach to each sentence the snippet that supports it best, as `[n]`, numbered in order of use.

    Markers that the model wrote are kept where they hold, and else dropped. Where some sentences are supported the
    others are left out; where none is, the text stays without a citation and is not grounded.
    """
    chosen: list[tuple[str, Evidence]] = []
    for sentence in dict.fromkeys(sentences(text)):  # a small model repeats itself
        wanted = {int(number) for number in _MARKER.findall(sentence)}
        bare = _MARKER.sub("", sentence).strip()
        rated = [(item, support(bare, item.text, question, item.title)) for item in evidence]
        holding = [(item, rating) for item, rating in rated if rating.supported]
        if holding:
            asked = _stems(question)
            best = max(
                holding,
                key=lambda pair: (
                    pair[0].number in wanted,
                    _stems(pair[0].title) <= asked,  # the article that the question names
                    pair[1].share,
                    -pair[0].number,
                ),
            )
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
    """The sentence of the evidence that shares most with the question, quoted and cited; None without one that answers.

    What the agent falls back on where no sampled answer is supported: a quotation is always grounded.
    """
    superlatives = {_stem(match.group()) for match in _SUPERLATIVE.finditer(question)}
    asked = _stems(question) - superlatives
    kind = next((pattern for asks, pattern in _EXPECTED if asks.search(question)), None)
    best: tuple[tuple[bool, float], str, Evidence] | None = None
    for rank, item in enumerate(evidence):
        title, ranks_alike = _stems(item.title), _ranking(question, item.title, item.text)
        for position, sentence in enumerate(sentences(item.text)):
            stems = _stems(sentence)
            # A summary's first sentence says what its subject is, and its title is understood in all of them; what
            # the title adds to the question ("Post-War economy") leads away from it.
            score = _shared(asked, stems | title) - 0.25 * len(title - asked) - 0.35 * rank - 0.1 * min(position, 5)
            score += EXPECTED_KIND * bool(kind and kind.search(_without(sentence, question)))
            fit = (ranks_alike(sentence), score)
            if stems and (best is None or fit > best[0]):
                unnamed = _PRONOUN.match(sentence) and not title <= asked
                subject = f"{item.title}: " if unnamed else ""
                best = (fit, subject + sentence, item)
    if best is None or (wanted(question) is not None and not best[0][0]):
        return None  # the largest of something else is no answer
    return number([(best[1], best[2])])


def _shared(asked: set[str], stems: set[str]) -> int:
    """How many stems of a question stand in `stems`, longer forms included: "discover" in "discovery"."""
    return sum(
        stem in stems or (len(stem) >= LEAST_PREFIX and any(other.startswith(stem) for other in stems))
        for stem in asked
    )


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
