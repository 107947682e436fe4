"""Research and groundedness records from public reading sets.

Each reader gives keyed records; rows with one key (an article, a document) must stay on one side of a split. With each
goes the text that it is copied from as the file has it: by that, what retention is measured on is known.
A researched turn is question → `TS, query` → numbered evidence → `User, answer [n]`; where the evidence does not hold
the answer the turn ends in saying so. All draws are seeded.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from dialog.finetune.records import Groundedness, Keyed, PlainText, ResearchRecord, ResearchStep, Snippet
from dialog.messages import Message
from safety.errors import DataError
from safety.sources import dialog_text, field, human_dialogs, rows, strings, tidy
from toolset.english.sentences import split

NOT_FOUND = (
    "I could not find that in my sources.",
    "My sources do not say that.",
    "I found nothing on that, so I can't say.",
)
DRAFTS = ("I'm not sure about that.", "I think it is {guess}.", "It was {guess}.", "I believe {guess}.", "{guess}.")
SNIPPET_CHARS = 600


def asked(question: str) -> tuple[Message, ...]:
    return (Message(role="user", content=question),)


def draft(rng: random.Random, guess: str) -> str:
    """A first answer that research has to check: vague, or right or wrong with equal ease."""
    return rng.choice(DRAFTS).format(guess=guess)


@lru_cache(maxsize=16_384)
def passage(text: str, answer: str | None = None) -> str:
    """Whole sentences of about `SNIPPET_CHARS`, around the answer where there is one."""
    if answer is None:
        text = text[: 3 * SNIPPET_CHARS]  # only its beginning is used
    parts = split(tidy(text))
    if not parts:
        return ""
    at = next((i for i, part in enumerate(parts) if answer and answer in part), 0)
    chosen, low, high = [parts[at]], at, at
    while True:
        grown = False
        for i, front in ((low - 1, True), (high + 1, False)):
            if 0 <= i < len(parts) and sum(map(len, chosen)) + len(parts[i]) < SNIPPET_CHARS:
                chosen.insert(0, parts[i]) if front else chosen.append(parts[i])
                low, high, grown = (i if front else low), (high if front else i), True
        if not grown:
            return " ".join(chosen)


def question_record(
    question: str, answer: str, title: str, text: str, others: list[Snippet], guess: str, rng: random.Random
) -> ResearchRecord:
    """Evidence with the right passage at a random place, the answer citing it."""
    evidence = [*others]
    place = rng.randrange(len(evidence) + 1)
    evidence.insert(place, Snippet(text=passage(text, answer), title=title))
    return ResearchRecord(
        context=asked(question),
        base=draft(rng, guess),
        steps=(ResearchStep(query=question.rstrip("?"), evidence=tuple(evidence)),),
        final=f"{answer} [{place + 1}]",
    )


def unanswered_record(question: str, others: list[Snippet], guess: str, rng: random.Random) -> ResearchRecord:
    """Evidence that does not hold the answer."""
    return ResearchRecord(
        context=asked(question),
        base=draft(rng, guess),
        steps=(ResearchStep(query=question.rstrip("?"), evidence=tuple(others)),),
        final=rng.choice(NOT_FOUND),
    )


def xquad(path: Path, seed: int) -> list[Keyed]:
    """The English part of XQuAD, by article: each question with distractors, one in four without its passage."""
    rng = random.Random(seed)
    paragraphs = xquad_paragraphs(path)
    answers = [answer for _, _, qas in paragraphs for _, answer in qas]
    found: list[Keyed] = []
    for article, text, qas in paragraphs:
        near = [Snippet(text=passage(c), title=a) for a, c, _ in paragraphs if a == article and c != text]
        elsewhere = rng.sample(paragraphs, min(4, len(paragraphs)))
        far = [Snippet(text=passage(c), title=a) for a, c, _ in elsewhere if a != article]
        for question, answer in qas:
            others = rng.sample(near + far, min(2, len(near + far)))
            others = [snippet for snippet in others if answer.lower() not in snippet.text.lower()]
            guess = answer if rng.random() < 0.3 else rng.choice(answers)
            record = (
                unanswered_record(question, others, guess, rng)
                if rng.random() < 0.25 and others
                else question_record(question, answer, article, text, others, guess, rng)
            )
            found.append(Keyed(article, record, text))
    return found


def xquad_paragraphs(path: Path) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The English part of XQuAD: (article, paragraph, its questions with their answers)."""

    def english(number: int, row: Any, name: str) -> str:
        text = field(path, number, field(path, number, row, name, dict), "en")
        if not text.strip():
            raise DataError(f"{path.name}, line {number}: field {name!r} must hold an English text, got {text!r}.")
        return text

    return [
        (
            field(path, number, row, "article"),
            english(number, row, "context"),
            [
                (english(number, qa, "question"), english(number, qa, "answer"))
                for qa in field(path, number, row, "qas", list)
            ],
        )
        for number, row in rows(path)
    ]


def articles_of(path: Path) -> list[tuple[str, str]]:
    """(title, text) of an encyclopedia's articles; those that begin with no text, or with marks of space alone, are
    left out."""
    found = [(field(path, number, row, "title"), field(path, number, row, "text")) for number, row in rows(path)]
    return [(title, text) for title, text in found if title.strip() and tidy(text[: 3 * SNIPPET_CHARS])]


def articles(path: Path, seed: int) -> list[Keyed]:
    """How an encyclopedia's articles begin, as plain text."""
    return [Keyed(title, PlainText(text=passage(text)), text) for title, text in articles_of(path)]


def natural_questions(path: Path, corpus: Path, seed: int) -> list[Keyed]:
    """NQ-open questions whose answer stands in an article of the corpus under the title that the row names.

    The row's title holds the answer string, sometimes by chance; only answers of more than three characters are taken
    as found, and the title must share a word with the question.
    """
    rng = random.Random(seed)
    articles = dict(articles_of(corpus))
    titles = sorted(articles)
    found: list[Keyed] = []
    for number, row in rows(path):
        question, answers = field(path, number, row, "question").strip(), strings(path, number, row, "answer")
        if not question:
            continue
        title = field(path, number, row, "kb_title", (str, type(None)))
        others = [Snippet(text=passage(articles[t]), title=t) for t in rng.sample(titles, min(2, len(titles)))]
        known = articles.get(title or "")
        answer = next((a for a in answers if known and a in known and len(a) > 3), None)
        shared = set(str(title).lower().split()) & set(question.lower().split())
        asks = question[0].upper() + question[1:] + "?"
        if known and answer and shared:
            record = question_record(asks, answer, str(title), known, others, answer, rng)
            found.append(Keyed(str(title), record, known))
        elif not title and answers and rng.random() < 0.1:
            found.append(Keyed(question, unanswered_record(asks, others, answers[0], rng)))
    return found


DEFINITIONS = ("What is {t}?", "Tell me about {t}.", "What do you know about {t}?", "Who or what is {t}?", "{t}?")


def definitions(path: Path, seed: int) -> list[Keyed]:
    """What an encyclopedia's articles are about, answered with their first sentence; one in five is not there."""
    rng = random.Random(seed)
    articles = articles_of(path)
    found: list[Keyed] = []
    for title, text in articles:
        first = split(tidy(text[:600]))
        if not first or not 40 <= len(first[0]) <= 260:
            continue
        question = rng.choice(DEFINITIONS).format(t=title)
        others = [
            Snippet(text=passage(x), title=t) for t, x in rng.sample(articles, min(2, len(articles))) if t != title
        ]
        if rng.random() < 0.2:
            record = unanswered_record(question, others, title, rng)
        else:
            record = question_record(question, first[0], title, text, others, title, rng)
        base = rng.choice(("I'm not sure.", f"{title} is well known."))
        found.append(Keyed(title, record.model_copy(update={"base": base}), text))
    return found


_MARK = re.compile(r"<<([^=<>]+)=([^<>]+)>>")


def calculator(path: Path, seed: int) -> list[Keyed]:
    """GSM8K's calculator marks as questions to the toolset; the result is the evidence."""
    rng = random.Random(seed)
    phrasings = ("What is {e}?", "How much is {e}?", "Can you calculate {e}?", "{e} = ?", "Please work out {e}.")
    found: list[Keyed] = []
    for number, row in rows(path):
        marks = _MARK.findall(field(path, number, row, "answer"))
        if not marks:
            continue
        expression, result = rng.choice(marks)
        wrong = str(rng.randint(1, 999))
        record = ResearchRecord(
            context=asked(rng.choice(phrasings).format(e=expression)),
            base=rng.choice((f"It is {wrong}.", f"{expression} is {result}.", "Let me see.")),
            steps=(
                ResearchStep(
                    query=expression, evidence=(Snippet(text=f"{expression} = {result}", title="Calculator"),)
                ),
            ),
            final=f"{expression} is {result} [1]",
        )
        found.append(Keyed(expression, record))
    return found


def small_talk(path: Path, seed: int, *, per_dialog: int = 1) -> list[Keyed]:
    """Chit-chat needs no research: the model addresses the user at once with what it drafted."""
    rng = random.Random(seed)
    found: list[Keyed] = []
    for dialog in human_dialogs(path):
        for i in rng.sample(range(1, len(dialog)), min(per_dialog, len(dialog) - 1)):
            turns = dialog[max(0, i - 3) : i]
            context = tuple(
                Message(role="user" if (len(turns) - j) % 2 else "assistant", content=text)
                for j, text in enumerate(turns)
            )
            if "?" not in turns[-1] or re.search(r"\b(?:you|your|u)\b", turns[-1].lower()):
                record = ResearchRecord(context=context, base=dialog[i], final=dialog[i])
                found.append(Keyed(dialog[0], record, dialog_text(dialog)))
    return found


def begin(path: Path) -> list[Keyed]:
    """BEGIN's labels: fully attributable is grounded; not fully attributable is not. Generic replies are left out."""
    found: list[Keyed] = []
    for number, row in rows(path):
        label, response = field(path, number, row, "begin_label"), tidy(field(path, number, row, "response"))
        if label != "Generic" and response:
            knowledge, attributable = field(path, number, row, "knowledge"), label == "Fully attributable"
            if not knowledge.strip():
                continue
            record = groundedness(knowledge, str(row.get("message") or ""), response, attributable, "begin")
            found.append(Keyed(record.knowledge[:120], record, knowledge))
    return found


def faithdial(path: Path) -> list[Keyed]:
    """The FaithDial audit: entailment without hallucination is grounded, any hallucination is not."""
    found: list[Keyed] = []
    for number, row in rows(path):
        label, response = str(row.get("begin") or "").lower(), tidy(field(path, number, row, "response"))
        grounded, broken = "entailment" in label and "hallucination" not in label, "hallucinat" in label
        if response and (grounded or broken):
            knowledge = field(path, number, row, "knowledge")
            if not knowledge.strip():
                continue
            record = groundedness(knowledge, str(row.get("history") or ""), response, grounded, "faithdial")
            found.append(Keyed(record.knowledge[:120], record, knowledge))
    return found


def groundedness(knowledge: str, message: str, response: str, grounded: bool, source: str) -> Groundedness:
    context = asked(tidy(message)) if tidy(message) else ()
    return Groundedness(
        knowledge=tidy(knowledge), context=context, response=response, grounded=1.0 if grounded else 0.0, source=source
    )


def groundedness_contrasts(path: Path, seed: int) -> list[Keyed]:
    """From an encyclopedia: a sentence of the passage is grounded; another article's sentence is not, nor the same
    sentence with a number or name exchanged."""
    rng = random.Random(seed)
    articles = articles_of(path)
    found: list[Keyed] = []
    for title, text in articles:
        parts = [s for s in split(passage(text)) if 30 <= len(s) <= 240]
        if not parts:
            continue
        sentence, other = rng.choice(parts), rng.choice(split(passage(rng.choice(articles)[1])))
        kind = rng.randrange(4)
        changed = exchanged(sentence, rng)
        if kind < 2:
            response, grounded = sentence, 1.0
        elif kind == 2 and changed != sentence:
            response, grounded = changed, 0.0
        else:
            response, grounded = other, 0.0
        record = Groundedness(
            knowledge=passage(text), context=asked(f"What is {title}?"), response=response, grounded=grounded,
            source="groundedness-contrast",
        )  # fmt: skip
        found.append(Keyed(title, record, text))
    return found


def exchanged(sentence: str, rng: random.Random) -> str:
    """The sentence with one number changed, or its last name replaced."""
    if numbers := re.findall(r"\d+", sentence):
        number = rng.choice(numbers)
        return sentence.replace(number, str(int(number[:9]) + rng.choice((-7, -2, 1, 3, 11))), 1)
    names = re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", sentence)
    replacement = rng.choice(("Vienna", "Ottoman", "Mendel", "Pacific", "Maria", "Kepler", "Brazil"))
    return sentence.replace(names[-1], replacement, 1) if names else sentence
