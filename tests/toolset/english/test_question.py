from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolset.english.question import answerable, names, question_part, seeks_facts


@pytest.mark.parametrize(
    "text",
    [
        "Who painted the Mona Lisa?",
        "what is the capital of australia",
        "Which planet is the largest in the solar system?",
        "Can you tell me who wrote Hamlet?",
        "Tell me about Marie Curie.",
        "In which year did World War II end?",
        "Hey, do you know when the Eiffel Tower was built?",
        "Is Pluto a planet?",
        "I like art. Who painted Guernica?",
        "capital of France?",
        "Capital of France",
        "population of the United States",
        "biggest planet",
        "The second largest city in Japan.",
        "tallest mountain in the world",
        "Napoleon's birthplace?",
        "Why do we dream?",
        "What causes tides on our planet?",
    ],
)
def test_questions_about_the_world_seek_facts(text: str) -> None:
    assert seeks_facts(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hello, how are you?",
        "What do you think of jazz?",
        "I like tea.",
        "What should I cook tonight?",
        "How can I kill a Python process?",
        "thanks!",
        "Tell me a joke",
        "What's up?",
        "lol that is so funny",
        "Lots of Americans",
        "my greatest fear",
        "the end of the day",
    ],
)
def test_talk_does_not(text: str) -> None:
    assert not seeks_facts(text)


def test_politeness_is_not_part_of_the_question() -> None:
    assert question_part("Hey, can you please tell me who wrote Emma?") == "who wrote Emma?"
    assert question_part("I like art. Who painted Guernica?") == "Who painted Guernica?"


def test_names_are_found_as_they_are_written() -> None:
    assert names("Did Marie Curie live in Paris in 1903?") == ["Marie Curie", "Paris", "1903"]
    assert names("Originally it was small.") == []


@pytest.mark.parametrize("query", ["emma novel", "mona lisa painter", "15% of 80"])
def test_a_query_that_is_no_question_is_answerable(query: str) -> None:
    assert answerable(query)
    assert not seeks_facts(query)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rules_tell_questions_from_talk(shared_data: Path) -> None:
    """On real lines: recall on encyclopedic questions, and false alarms on open-domain talk."""
    questions = [row["question"] for row in lines(shared_data / "grounding/nq_open_dev.jsonl")]
    talk = [
        turn[1]
        for row in lines(shared_data / "retention/chitchat.jsonl")
        for turn in row["turns"]
        if len(turn[1].split()) > 1
    ][:5000]
    found = sum(map(seeks_facts, questions)) / len(questions)
    false = sum(map(seeks_facts, talk)) / len(talk)
    assert found > 0.75, f"found {found:.3f}"
    assert false < 0.08, f"false alarms {false:.3f}"
