"""What is the largest of what: claims that answer a superlative, and those that only sound like it."""

from __future__ import annotations

import pytest

from toolset.english.superlative import claim, wanted


@pytest.mark.parametrize(
    ("question", "title", "text", "rating"),
    [
        ("What is the biggest planet?", "Jupiter", "Jupiter is a planet, the largest in the Solar System.", 2),
        ("What is the biggest planet?", "Pluto", "Pluto is the largest dwarf planet in the Solar System.", 0),
        ("What is the biggest planet?", "Neptune", "Neptune is the fourth-largest planet.", -1),
        ("What is the biggest planet?", "Eris", "Eris, a dwarf planet, is the largest-known object unvisited.", 0),
        ("Which planet is the largest?", "Jupiter", "It is the largest planet.", 2),
        ("What is the second largest planet?", "Saturn", "Saturn is the second-largest planet.", 2),
        ("What is the second largest planet?", "Jupiter", "Jupiter is the largest planet.", -1),
        ("What is the largest country?", "Mexico", "Mexico is the thirteenth-largest country in the world.", -1),
        ("What is the largest country?", "Russia", "Russia is the largest country in the world.", 2),
        ("What is the largest country?", "Brazil", "Brazil is the largest country in South America.", -1),
        ("What is the largest country?", "India", "India is the largest country by population.", 0),
        ("Which country has the largest population?", "India", "India is the largest country by population.", 2),
        ("Which country has the largest population?", "India", "It is the most populous country on Earth.", 2),
        ("What is the biggest city in Japan?", "Tokyo", "Tokyo is the capital and most populous city of Japan.", 2),
        ("What is the biggest city in Japan?", "Nagoya", "Its seaport is the largest in Japan.", 0),
        ("What is the biggest city in Japan?", "Sendai", "Sendai is the largest city in Tohoku, Japan.", -1),
        ("What is the largest city in Australia?", "Tasmania", "The state's capital and largest city is Hobart.", 0),
        ("What is the largest moon of Saturn?", "Titan (moon)", "Titan is Saturn's largest moon.", 2),
        ("What is the highest mountain?", "Karakoram", "It has some of the Earth's highest mountains.", -1),
        ("What is the highest mountain?", "K2", "K2 is the highest mountain after Mount Everest.", -1),
        ("What is the largest bird?", "Ostrich", "The ostrich is the largest living species of bird.", 2),
        ("What is the largest land animal?", "Elephant", "Elephants are the largest living land animals.", 2),
        ("What is the largest land animal?", "Whale", "The blue whale is the largest animal.", 1),
        ("What is the largest ocean?", "Yenisei", "It is the largest river to drain into the Arctic Ocean.", 0),
        ("What is the longest river in Africa?", "Nile", "A river in Africa. It is the world's longest river.", 1),
        ("What is the longest river in Africa?", "Loire", "The Loire is the longest river in France.", -1),
        ("What is the largest lake?", "Volta", "Lake Volta is the largest individual lake.", 0),
        ("Which is the largest natural lake?", "Kariba", "Kariba is the largest lake.", 1),
        ("What is the largest lake?", "Bread", "Bread is made of flour.", 0),
    ],
)  # fmt: skip
def test_a_claim_is_rated_by_rank_kind_and_scope(question: str, title: str, text: str, rating: int):
    asked = wanted(question)
    assert asked is not None
    assert claim(title, text, asked) == rating


@pytest.mark.parametrize(
    "question",
    ["Who was the first president?", "When did it rain?", "the largest city the Rhine runs through?", "biggest", ""],
)  # fmt: skip
def test_what_is_no_superlative_or_not_read_whole_is_left_alone(question: str):
    assert wanted(question) is None
