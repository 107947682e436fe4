"""English number words to exact numbers: "two hundred and fifty", "twenty-five", "three and a half", "5 million".

Reads greedily the longest valid cardinal at the start of a word list and says how many words it used. A run that is
no cardinal in standard English ("nineteen ninety eight", "five two") raises NotMine rather than being cut in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from toolset.calculator.errors import NotMine

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
DECADES = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
UNITS = {word: value for value, word in enumerate(SMALL)}
TENS = {word: 10 * value for value, word in enumerate(DECADES, start=2)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
    "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10,
}  # fmt: skip

Word = tuple[str, Fraction | None]
"""A word and, where it is a number in digits, its value."""


def split_hyphens(words: Sequence[Word]) -> list[tuple[str, Fraction | None, int]]:
    """("twenty-five", None) becomes two words; the third item counts the input words that end here."""
    pieces: list[tuple[str, Fraction | None, int]] = []
    for text, value in words:
        parts = text.split("-") if value is None and "-" in text and text != "-" else [text]
        if not all(part in UNITS or part in TENS or part in PARTS for part in parts):
            parts = [text]
        pieces += [(part, value, int(index == len(parts) - 1)) for index, part in enumerate(parts)]
    return pieces


class Reader:
    """A cursor over the words."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.words = split_hyphens(words)
        self.at = 0

    def word(self, ahead: int = 0) -> str:
        return self.words[self.at + ahead][0] if self.at + ahead < len(self.words) else ""

    def used(self) -> int:
        return sum(ends for _, _, ends in self.words[: self.at])

    def below_hundred(self) -> int | None:
        word = self.word()
        if word in UNITS:
            self.at += 1
            return UNITS[word]
        if word in TENS:
            self.at += 1
            if 0 < UNITS.get(self.word(), 0) < 10:
                self.at += 1
                return TENS[word] + UNITS[self.word(-1)]
            return TENS[word]
        return None

    def below_thousand(self) -> int | None:
        if self.word() == "a" and self.word(1) in ("hundred", "dozen"):
            self.at += 1
            value: int | None = 1
        else:
            value = self.below_hundred()
        if self.word() == "hundred":
            if value is None or not 0 < value < 100 or value % 10 == 0:
                raise NotMine("hundred without its count")
            self.at += 1
            value *= 100
            ahead = 1 if self.word() == "and" else 0
            if self.word(ahead) in TENS or UNITS.get(self.word(ahead), 0) > 0:
                self.at += ahead
                value += self.below_hundred() or 0
        return value

    def cardinal(self) -> int | None:
        """A whole cardinal in words, scales descending."""
        total, limit, value = 0, 10**15, None
        while True:
            start = self.at
            if self.word() == "a" and self.word(1) in SCALES and limit == 10**15:
                self.at += 1
                group: int | None = 1
            else:
                if limit < 10**15 and self.word() == "and":
                    if self.word(1) not in UNITS and self.word(1) not in TENS:
                        break
                    self.at += 1
                group = self.below_thousand()
            if group is None or (group == 0 and limit < 10**15):
                self.at = start
                break
            value = total = total + group * SCALES.get(self.word(), 1)
            if self.word() not in SCALES:
                break
            if SCALES[self.word()] >= limit:
                raise NotMine("scales out of order")
            limit = SCALES[self.word()]
            self.at += 1
        return value


def read_number_words(words: Sequence[Word]) -> tuple[Fraction, int] | None:
    """The number that starts at the first word and how many words it takes, or None where none starts there."""
    text, digits = words[0]
    following = words[1][0] if len(words) > 1 else ""
    if digits is not None:
        if following in SCALES:
            return digits * SCALES[following], 2
        if following == "dozen":
            return digits * 12, 2
        if following == "and" and len(words) > 3 and words[2][0] == "a" and words[3][0] in ("half", "quarter"):
            return digits + Fraction(1, PARTS[words[3][0]]), 4
        return None
    if text == "dozen":
        return Fraction(12), 1
    if text == "half":
        return Fraction(1, 2), 1
    if text == "a" and following in PARTS and not following.endswith("s"):
        return Fraction(1, PARTS[following]), 2
    first = text.split("-")[0]
    if first not in UNITS and first not in TENS and not (text == "a" and following in ("hundred", "dozen", *SCALES)):
        return None
    reader = Reader(words)
    whole = reader.cardinal()
    if whole is None:
        return None
    value = Fraction(whole)
    if reader.word() == "dozen":
        reader.at += 1
        value *= 12
    elif reader.word() == "point":
        reader.at += 1
        digits_text = ""
        while UNITS.get(reader.word(), 10) < 10:
            digits_text += str(UNITS[reader.word()])
            reader.at += 1
        if not digits_text:
            raise NotMine("point without digits")
        value = Fraction(f"{whole}.{digits_text}")
        if reader.word() in SCALES:
            value *= SCALES[reader.word()]
            reader.at += 1
    elif reader.word() == "and" and reader.word(1) == "a" and reader.word(2) in ("half", "quarter"):
        if reader.word(-1) in ("hundred", *SCALES):  # "a million and a half": of one, or of a million?
            raise NotMine(f"{reader.word(-1)} and a {reader.word(2)}, which may be a part of a {reader.word(-1)}")
        value += Fraction(1, PARTS[reader.word(2)])
        reader.at += 3
    elif reader.word() in PARTS and whole > 0:
        before, _, parted = reader.words[reader.at - 1]
        if (whole > 1) != reader.word().endswith("s") or (before in TENS and not parted):
            raise NotMine(f"{before} {reader.word()}, which may be an ordinal")  # twenty-fifth, five third
        value /= PARTS[reader.word()]
        reader.at += 1
    if reader.word() in UNITS or reader.word() in TENS or reader.word() in ("hundred", *SCALES):
        raise NotMine(f"{text} ... {reader.word()} is no number")
    return value, reader.used()
