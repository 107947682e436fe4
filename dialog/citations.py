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
from itertools import pairwise
from typing import NamedTuple

from dialog.decoder import FinishReason
from dialog.evidence import Evidence
from dialog.turn import Citation
from toolset.english.sentences import sentences, split
from toolset.english.superlative import ADJECTIVE, RANK, claims, names_kind, wanted
from toolset.english.words import TOKEN, opens, states, stem, stems, terms

LEAST_SUPPORT = 0.7
"""Least share of a sentence's content words that its snippet must hold; at 0.6 embellishments pass (docs/log.md)."""
LEAST_OF_QUESTION = 0.5
"""Least share of the question's content words in a sentence that is about it."""
LEAST_QUOTED = 0.3
"""Least share of them that a quoted sentence and its title must hold: at 0.34 quotations that answer are lost."""

_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_APART = re.compile(r"(?:(?:^|\s+)|(?<=[.!?…]))\[\d{1,3}\](?!\w)")
_SUPERLATIVE = re.compile(rf"\b(?:first|last|most|least|{ADJECTIVE})\b", re.IGNORECASE)
_RANKED = re.compile(rf"(?:\b(?:{RANK})[- ])?{_SUPERLATIVE.pattern}", re.IGNORECASE)
_ORDINAL = re.compile(RANK, re.IGNORECASE)
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
_NOT = r"(?: not|n['’]t)"
_ABSTAINS = re.compile(
    r"\b(?:I|we|(?:my|the|these) (?:sources?|evidence))\b[^.!?]{0,20}?\b"
    rf"(?:(?:(?:could|did|do|does){_NOT}|can(?:not|['’]t)) (?:find|say|know|tell|mention)|found (?:nothing|no)\b)",
    re.I,
)


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


def uncited(text: str) -> str:
    """`text` without citation marks."""
    return _MARKER.sub("", text).strip()


def unmarked(text: str) -> str:
    """`text` without citation marks that stand apart from words, for a reply without sources; `items[1]` stays."""
    return _APART.sub("", text).strip()


def marked_sentences(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """The sentences of a reply without their marks, each with the numbers it was marked with.

    A mark belongs to the sentence that it stands in or behind: "It is old. [1] It is big." marks the first.
    """
    bare, marks, last = "", list[tuple[int, int]](), 0
    for match in _MARKER.finditer(text):
        bare += text[last : match.start()]
        marks.append((len(bare), int(match.group(1))))
        last = match.end()
    bare += text[last:]
    found, start = [], -1
    for span in sentences(bare):
        numbers = tuple(number for place, number in marks if start < place <= span.end)
        found.append((bare[span.start : span.end], numbers))
        start = span.end
    return found


def whole_sentences(text: str, finish_reason: FinishReason) -> str:
    """A sample's text; one that ran into its length ends at its last whole sentence, where it has one."""
    text = text.strip()
    if finish_reason == "stop":
        return text
    whole = [
        sentence + "".join(f" [{number}]" for number in numbers)
        for sentence, numbers in marked_sentences(text)
        if sentence.rstrip("\"'”’)]»").endswith((".", "!", "?", "…", "。", "！", "？"))
    ]
    return " ".join(whole) or text


def abstains(text: str) -> bool:
    """Whether an answer says that the sources hold none: "I could not find that in my sources."."""
    return bool(_ABSTAINS.search(text))


def support(sentence: str, snippet: str, question: str, title: str = "") -> Support:
    """How far `snippet` with its `title` supports `sentence`, given `question`."""
    held, asked = stems(snippet) | stems(title), stems(question)
    words = [*TOKEN.findall(uncited(sentence)), ""]
    added: set[str] = set()
    foreign: list[str] = []
    content = found = 0
    for place, (word, following) in enumerate(pairwise(words)):
        if not states(word):
            continue
        content += 1
        if (stemmed := stem(word)) in held or stemmed in asked:
            found += 1
            added |= {stemmed} - asked
        elif word[0].isdigit() or (word[0].isupper() and not (place == 0 and opens(word, following))):
            foreign.append(word)
    if not content:
        return Support(0.0, False, ())
    informative = any(added & about for about in _about(snippet, title, question))
    return Support(share=found / content, informative=informative, foreign=tuple(foreign))


def _about(snippet: str, title: str, question: str) -> Iterator[set[str]]:
    """The stems of each sentence of the snippet that is about the question; its title is understood in all of them."""
    asked = _subject(question)
    if not asked and _RANKED.search(question):
        return  # "Which is the largest?" alone is about nothing
    titled, ranks_alike = stems(title), _ranking(question, title, snippet)
    for sentence in split(snippet):
        held = stems(sentence) | titled
        if len(asked & held) >= LEAST_OF_QUESTION * len(asked) and ranks_alike(sentence):
            yield held


def _subject(question: str) -> set[str]:
    """The stems of a question but for its superlative, which is read apart (`_ranking`)."""
    return stems(_RANKED.sub(" ", question))


def _ranking(question: str, title: str, snippet: str) -> Callable[[str], bool]:
    """Whether a sentence of the snippet ranks what the question ranks; see `_ranks_alike`.

    A superlative that is read as a claim ("the largest planet") must be claimed; first, last and the like must stand
    by the same kind of word.
    """
    asked = wanted(question)
    if asked is None:
        return lambda sentence: _ranks_alike(sentence, question)
    titled = terms(title)
    about = [*titled, *terms(next(iter(split(snippet)), ""))]
    return lambda sentence: (
        names_kind(asked, {*about, *terms(sentence)})
        and max(claims(sentence, asked, title=titled, about=about), default=0) > 0
    )


def _ranks_alike(sentence: str, question: str) -> bool:
    """Whether a question's superlative, if it has one, is also the sentence's, for the same rank and kind.

    "Second-largest" and "largest dwarf planet" do not answer "which planet is the largest", nor does "the nation's
    first secretary of state" answer "who was the first president". Another superlative may say the same ("tallest",
    "highest"); first, last, most and least have no such likeness.
    """
    superlatives = {match.group().lower() for match in _SUPERLATIVE.finditer(question)}
    if not superlatives:
        return True
    asked = stems(question)
    words = [word.lower() for word in TOKEN.findall(sentence)]
    for i, word in enumerate(words):
        alike = word.endswith("est") and _SUPERLATIVE.fullmatch(word) and any(s.endswith("est") for s in superlatives)
        if word not in superlatives and not (alike and not superlatives & {"least"}):
            continue
        ranked = i > 0 and bool(_ORDINAL.fullmatch(words[i - 1]))
        following = next((word for word in words[i + 1 :] if word not in _RANKABLE), "")
        narrowed = bool(following) and states(following) and stem(following) not in asked
        if not ranked and not narrowed:
            return True
    return False


def cite(text: str, evidence: Sequence[Evidence], question: str) -> Cited:
    """Attach to each sentence the snippet that supports it best, as `[n]`, numbered in order of use.

    Markers that the model wrote are kept where they hold, and else dropped. Where some sentences are supported the
    others are left out; where none is, the text stays without a citation and is not grounded.
    """
    chosen: list[tuple[str, Evidence]] = []
    said: dict[str, tuple[int, ...]] = {}
    for sentence, marks in marked_sentences(text):
        said.setdefault(sentence, marks)  # a small model repeats itself
    asked = stems(question)
    for sentence, marks in said.items():
        rated = [(item, support(sentence, item.text, question, item.title)) for item in evidence]
        holding = [(item, rating) for item, rating in rated if rating.supported]
        if holding:
            best = max(
                holding,
                key=lambda pair: (
                    pair[0].number in marks,
                    stems(pair[0].title) <= asked,  # the article that the question names
                    pair[1].share,
                    -pair[0].number,
                ),
            )
            chosen.append((sentence, best[0]))
    if not chosen:
        return Cited(uncited(text), [], False)
    return number(chosen)


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


def evidence_of(citations: Sequence[Citation]) -> tuple[Evidence, ...]:
    """What a reply cites, as evidence under the reply's numbers."""
    return tuple(
        Evidence(one.number, one.text, one.title, one.url, one.id, one.tool, open_domain=True) for one in citations
    )


def quote(evidence: Sequence[Evidence], question: str) -> Cited | None:
    """The sentence of the evidence that shares most with the question, quoted and cited; None without one that answers.

    What the agent falls back on where no sampled answer is supported: a quotation is always grounded. A sentence that
    holds less than `LEAST_QUOTED` of the question's words answers nothing, unless its tool answered the query itself.
    """
    asked = _subject(question)
    kind = next((pattern for asks, pattern in _EXPECTED if asks.search(question)), None)
    best: tuple[tuple[bool, float], str, Evidence] | None = None
    for rank, item in enumerate(evidence):
        title, ranks_alike = stems(item.title), _ranking(question, item.title, item.text)
        for position, sentence in enumerate(split(item.text)):
            held = stems(sentence)
            shared = _shared(asked, held | title)
            if not held or (item.open_domain and (not asked or shared < LEAST_QUOTED * len(asked))):
                continue  # "What is the largest?" names nothing that a sentence could be about
            # A summary's first sentence says what its subject is, and its title is understood in all of them; what
            # the title adds to the question ("Post-War economy") leads away from it.
            score = shared - 0.25 * len(title - asked) - 0.35 * rank - 0.1 * min(position, 5)
            score += EXPECTED_KIND * bool(kind and kind.search(_without(sentence, question)))
            fit = (ranks_alike(sentence), score)
            if best is None or fit > best[0]:
                unnamed = _PRONOUN.match(sentence) and not title <= asked
                subject = f"{item.title}: " if unnamed else ""
                best = (fit, subject + sentence, item)
    if best is None or (wanted(question) is not None and not best[0][0]):
        return None  # the largest of something else is no answer
    return number([(best[1], best[2])])


def _shared(asked: set[str], held: set[str]) -> int:
    """How many stems of a question stand in `held`, longer forms included: "discov" in "discoveri"."""
    return sum(
        one in held or (len(one) >= LEAST_PREFIX and any(other.startswith(one) for other in held)) for one in asked
    )


def _without(sentence: str, question: str) -> str:
    """The sentence's words that the question does not have, and that do not open the sentence."""
    asked = stems(question)
    return " ".join(word for word in TOKEN.findall(sentence)[1:] if stem(word) not in asked)
