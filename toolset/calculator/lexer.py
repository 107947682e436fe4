"""Text to tokens: numbers, operators, words. The only module that looks at an expression's characters.

One regular expression without backtracking alternatives, so lexing is linear in the query's length. A character
or a number format it does not know (`1,5`, `1.2.3`, `007`, `10:30`) raises NotMine: such text has more than one
reading or none. It knows nothing of precedence; words get their meaning in the parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from toolset.calculator.bounds import MAX_CHARS, MAX_LITERAL_DIGITS, MAX_TOKENS
from toolset.calculator.errors import NotMine, TooLarge
from toolset.calculator.numerals import exact_text
from toolset.calculator.words import SCALES, read_number_words


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "number", "op", "word", "power" (a superscript) or "end".

    `text` is canonical: operators in ASCII but for "÷", which people write between fractions; words in lower case.
    """

    kind: str
    text: str
    value: Fraction = Fraction(0)
    space_before: bool = False
    space_after: bool = False
    joined: bool = False
    """A number in words that held an "and" ("two hundred and five"), which a list could also hold."""

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts

    def is_word(self, *texts: str) -> bool:
        return self.kind == "word" and self.text in texts


MONEY = "$€£"
MULTIPLES = frozenset({"hundred", "dozen", *SCALES})
THOUSANDS = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])"
SHAPES = re.compile(
    rf"""(?P<space>\s+)
    |(?P<number>[$€£]?(?:(?:{THOUSANDS}|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+))(?P<exponent>[eE][+-]?[0-9]{{1,4}}(?![0-9A-Za-z]))?
    |(?P<word>[A-Za-z]+(?:-[A-Za-z]+)*(?:2|10)?(?![0-9]))
    |(?P<power>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    |(?P<op>\*\*|//|[-+*/^%!(),=√∛°×÷·−–∙π⁄½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞\[\]])""",
    re.VERBOSE,
)
EUROPEAN = re.compile(r"€[1-9][0-9]{0,2}\.[0-9]{3}|[$£][1-9][0-9]{0,2}\.000")
"""An amount whose point may group thousands, as it does where most people pay in euros."""
PLAIN_NUMBER = re.compile(r"[$€£]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
CANONICAL = {"**": "^", "×": "*", "·": "*", "∙": "*", "⁄": "/", "−": "-", "–": "-", "[": "(", "]": ")"}
WORD_SIGNS = {"π": "pi", "√": "sqrt", "∛": "cbrt", "°": "degrees"}
SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
FRACTION_SIGNS = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8),
}  # fmt: skip


def read_number(text: str, exponent: str | None = None) -> Fraction:
    """The exact value of a literal. Raises NotMine for leading zeros, TooLarge for too many digits."""
    plain = text.replace(",", "").lstrip("$€£")
    if len(plain) > MAX_LITERAL_DIGITS:
        raise TooLarge(f"a number of more than {MAX_LITERAL_DIGITS} digits")
    if len(plain) > 1 and plain[0] == "0" and plain[1] != ".":
        raise NotMine(f"leading zero in {text!r}")
    value = Fraction(plain)
    if exponent:
        power = int(exponent[1:])
        if abs(power) > 400:
            raise TooLarge(f"exponent {power}")
        value *= Fraction(10) ** power
    return value


def tokenize(text: str, *, thousands: bool = True) -> list[Token]:
    """The tokens of `text`, ending with one "end" token.

    `thousands=False` reads the comma of `12,180` as a separator of two numbers instead.
    Raises NotMine for anything that is not a token, TooLarge past the bounds on length.
    """
    if len(text) > MAX_CHARS:
        raise TooLarge(f"a query of {len(text)} characters")
    tokens: list[Token] = []
    position, space = 0, False
    while position < len(text):
        match = SHAPES.match(text, position)
        if match is None:
            raise NotMine(f"unknown character {text[position]!r}")
        kind = match.lastgroup if match.lastgroup != "exponent" else "number"
        if kind == "number" and not thousands and "," in match["number"]:
            match = PLAIN_NUMBER.match(text, position)
            assert match is not None
        piece, position = match[0], match.end()
        after = position == len(text) or text[position].isspace()
        if kind == "space":
            space = True
            continue
        if kind == "number":
            if text[position : position + 1] in (".", ":", "_", "'") or (
                thousands and text[position : position + 1] == "," and text[position + 1 : position + 2].isdigit()
            ):
                raise NotMine(f"number format {text[: position + 2]!r}")  # 1.2.3, 10:30, 1,5
            if EUROPEAN.fullmatch(piece):
                raise NotMine("a point that may group thousands")
            groups = match.groupdict()
            value = read_number(groups.get("number") or piece, groups.get("exponent"))
            tokens.append(Token("number", piece.replace(",", ""), value, space, after))
        elif kind == "word":
            tokens.append(Token("word", piece.lower(), space_before=space, space_after=after))
        elif kind == "power":
            if space or not tokens:
                raise NotMine("a superscript of nothing")  # or a footnote's mark
            exponent = piece.translate(SUPERSCRIPTS)
            tokens.append(
                Token(
                    "power",
                    exponent.lstrip("+-"),
                    read_number(exponent.lstrip("+-")),
                    joined="-" in exponent,
                    space_after=after,
                )
            )
        elif piece in FRACTION_SIGNS:
            value = Fraction(*FRACTION_SIGNS[piece])
            sign = ""
            if tokens and tokens[-1].kind == "number":  # "3½" and "3 ½" are mixed numbers
                whole = tokens.pop()
                sign = sign_of(whole)
                value, space = value + whole.value, whole.space_before
                if whole.value.denominator != 1:
                    raise NotMine("a fraction sign after a decimal")
            tokens.append(Token("number", sign + mixed_text(value), value, space, after))
        elif piece in WORD_SIGNS:
            tokens.append(Token("word", WORD_SIGNS[piece], space_before=space, space_after=after))
        else:
            tokens.append(Token("op", CANONICAL.get(piece, piece), space_before=space, space_after=after))
        space = False
        if len(tokens) > MAX_TOKENS:
            raise TooLarge(f"more than {MAX_TOKENS} tokens")
    tokens = join_number_words(tokens)
    tokens.append(Token("end", ""))
    return tokens


def mixed_text(value: Fraction) -> str:
    """How a number in words or with a fraction sign is shown: "three and a half" as 3.5; up to one, as 1/2."""
    return (exact_text(value) if value > 1 else None) or str(value)


def join_number_words(tokens: list[Token]) -> list[Token]:
    """Replace runs of number words ("two hundred and fifty", "5 million") by one number token each."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        words = [(token.text, token.value if token.kind == "number" else None) for token in tokens[position:]]
        found = read_number_words(words)
        if found is None:
            joined.append(tokens[position])
            position += 1
            continue
        value, used = found
        first, last = tokens[position], tokens[position + used - 1]
        if any(token.text in MULTIPLES for token in tokens[position : position + used]) and is_tied(joined, first):
            raise NotMine("a multiple that may be of more than the number before it")  # 1/2 million, 2-3 million
        has_and = any(token.is_word("and") for token in tokens[position : position + used])
        text = sign_of(first) + mixed_text(value)
        joined.append(Token("number", text, value, first.space_before, last.space_after, has_and))
        position += used
    return joined


def is_tied(before: list[Token], number: Token) -> bool:
    """Whether `number` ends a fraction, a range or a power: `1/2`, `2-3`, `10^3`, `two over three`."""
    if len(before) < 2 or (before[-2].kind == "op" and not before[-2].is_op(")", "%", "!")):
        return False
    sign = before[-1]
    if number.kind == "word":
        return sign.is_op("/", "÷") or sign.is_word("over")
    return sign.is_word("over") or (sign.is_op("/", "÷", "-", "^", "%") and not number.space_before)


def sign_of(token: Token) -> str:
    """The currency sign that an amount begins with."""
    return token.text[0] if token.kind == "number" and token.text[0] in MONEY else ""
