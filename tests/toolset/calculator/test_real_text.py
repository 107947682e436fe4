"""Real text: every calculator mark of GSM8K is right, and no question or conversation is mistaken for arithmetic."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from tests.toolset.calculator.golds import read
from tests.toolset.calculator.oracle import evaluate
from toolset.calculator import Calculator


def rows(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def test_every_mark_of_gsm8k_is_right(shared_data: Path) -> None:
    """`<<48/2=24>>`: what people wrote, against Python's fractions rather than their rounded results."""
    marks = {
        mark.partition("=")[0]
        for row in rows(shared_data / "tools" / "gsm8k_train.jsonl")
        for mark in re.findall(r"<<(.*?)>>", row["answer"])
    }
    expressions = [mark for mark in sorted(marks) if re.search(r"[\d)]\s*[-+*/]", mark)]
    calculator = Calculator()
    answered = 0
    for expression in expressions:
        results = calculator.run(expression)
        if not results:
            continue
        answered += 1
        value, shown = evaluate(expression), read(re.split(r" [=≈] ", results[0].text)[-1])
        assert isinstance(value, Fraction)
        assert abs(shown - value) <= (abs(value) / 10**9 if "≈" in results[0].text else 0), results[0].text
    assert len(expressions) > 10_000
    assert answered >= 0.99 * len(expressions)


def test_questions_are_left_alone(shared_data: Path) -> None:
    """Questions for other tools: open-domain ones, and GSM8K's problems, which are not computed unless understood."""
    calculator = Calculator()
    for name, key, count in (
        ("grounding/nq_open_dev.jsonl", "question", 3_000),
        ("tools/gsm8k_train.jsonl", "question", 7_000),
    ):
        texts = [row[key] for row in rows(shared_data / name)]
        assert len(texts) >= count
        assert [text for text in texts if calculator.run(text)] == []


def test_conversation_is_left_alone(shared_data: Path) -> None:
    """Sentences of people chatting: of all that hold a digit and every twentieth other, next to none is answered."""
    calculator = Calculator()
    text = (shared_data / "retention" / "chitchat.jsonl").read_text(encoding="utf-8")
    found = sorted({sentence.strip() for sentence in re.findall(r'[^".?!\\]{3,200}[.?!]*', text)})
    digits = [sentence for sentence in found if re.search(r"\d", sentence)]
    sentences = digits + found[::20]
    answered = [sentence for sentence in sentences if calculator.run(sentence)]
    assert len(sentences) > 2_000
    assert len(answered) <= 0.005 * len(sentences), answered


def test_the_judge_reads_expressions_as_python_does() -> None:
    for text, expected in (("2+3*4", 14), ("(1/3)*15+7", 12), ("2^3^2", 512), ("1,234 - 4", 1230)):
        assert evaluate(text) == expected
        assert isinstance(ast.parse(text.replace("^", "**")), ast.Module)
