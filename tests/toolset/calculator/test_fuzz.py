"""10,000 mutated strings: no crash, no hang, no wrong answer.

Strings are made from a seed by mutating the table's queries and strings of a small grammar: characters and words are
dropped, doubled, swapped, replaced and spliced. Whatever is answered goes before the independent judge in `oracle` and
the rules of `seams`, which know what else a text may be.
"""

from __future__ import annotations

import random
import time

from tests.toolset.calculator.oracle import Unjudged, judge
from tests.toolset.calculator.seams import misread
from tests.toolset.calculator.table import NOW, TABLE
from toolset.calculator import Calculator

COUNT = 10_000
SECONDS_EACH = 0.100
"""Of the processor, for one string; units and rates are loaded beforehand."""
ALPHABET = "0123456789" * 3 + "+-*/^%()., =!?$°²³'\"" * 2 + "aeinostx×÷√π¹E\u200b\u0000é漢"
WORDS = (
    "plus", "minus", "times", "of", "percent", "the", "and", "two", "hundred", "half", "sqrt", "in", "km", "miles",
    "to", "squared", "what is", "is", "mod", "pi", "e", "log", "days", "2024-02-28", "USD", "**", "9", "then", "not",
    "degrees", "divided by", "÷ 1/2", "3/4", "1/2%", "cubed", "2x", "x", "+ 12/25/2024", "555-1234", "over", "plus 2",
)  # fmt: skip


def grammar(random_: random.Random, depth: int = 0) -> str:
    """A random expression in signs."""
    kind = random_.random()
    if depth > 3 or kind < 0.3:
        return random_.choice(
            [
                str(random_.randrange(100)),
                f"{random_.randrange(50)}.{random_.randrange(100)}",
                f"{random_.randrange(1, 99)},000",
            ]
        )
    if kind < 0.75:
        operator = random_.choice([" + ", " - ", "*", " / ", "+", "-", " × ", "^", " % "])
        return grammar(random_, depth + 1) + operator + grammar(random_, depth + 1)
    if kind < 0.87:
        return f"({grammar(random_, depth + 1)})"
    if kind < 0.92:
        return f"-{grammar(random_, depth + 1)}"
    if kind < 0.96:
        return f"{random_.choice(['sqrt', 'ln', 'sin', 'log2', 'abs'])}({grammar(random_, depth + 1)})"
    return f"{random_.randrange(9)}!"


def mutate(text: str, others: list[str], random_: random.Random) -> str:
    for _ in range(random_.choice([0, 1, 1, 1, 2, 3])):
        at = random_.randrange(len(text) + 1)
        words = text.split(" ")
        match random_.randrange(8):
            case 0:
                text = text[:at] + text[at + 1 :]
            case 1:
                text = text[:at] + random_.choice(ALPHABET) + text[at:]
            case 2:
                text = text[:at] + random_.choice(ALPHABET) + text[at + 1 :]
            case 3:
                text = text[:at] + text[at : at + 3] * 2 + text[at + 3 :]
            case 4:
                words.insert(random_.randrange(len(words) + 1), random_.choice(WORDS))
                text = " ".join(words)
            case 5:
                words.pop(random_.randrange(len(words)))
                text = " ".join(words)
            case 6:
                random_.shuffle(words)
                text = " ".join(words)
            case 7:
                other = random_.choice(others)
                text = text[:at] + other[random_.randrange(len(other) + 1) :]
    return text


def again(calculator: Calculator, query: str) -> float:
    """Seconds of the fastest of three more runs, which no pause of the garbage collector has all hit."""
    seconds = []
    for _ in range(3):
        started = time.thread_time()
        calculator.run(query)
        seconds.append(time.thread_time() - started)
    return min(seconds)


def test_ten_thousand_mutated_strings() -> None:
    random_ = random.Random(20_260_101)
    queries = [query for rows in TABLE.values() for query, _, _ in rows if query]
    calculator = Calculator(now=lambda: NOW)
    for warm in ("5 miles in km", "100 USD in EUR", "sqrt(2)", "15:00 UTC in Tokyo"):
        calculator.run(warm)
    answered = unjudged = 0
    complaints, slow = [], []
    for _ in range(COUNT):
        start = random_.choice(queries) if random_.random() < 0.6 else grammar(random_)
        query = mutate(start, queries, random_)
        started = time.thread_time()
        results = calculator.run(query)
        seconds = time.thread_time() - started
        if seconds > SECONDS_EACH and again(calculator, query) > SECONDS_EACH:
            slow.append((seconds, query))
        if not results:
            continue
        answered += 1
        if wrong := misread(query, results[0].text):
            complaints.append(wrong)
        try:
            complaint = judge(query, results[0].text)
        except Unjudged:
            unjudged += 1
            continue
        if complaint:
            complaints.append(complaint)
    assert complaints == []
    assert slow == []
    assert answered > COUNT // 10, "the mutations are too wild to test anything"
    assert unjudged < answered // 20, f"{unjudged} of {answered} answers could not be judged"
