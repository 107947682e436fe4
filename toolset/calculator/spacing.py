"""What spaces say about grouping: `6 ÷ 1/2` is 12 to whoever writes it, though precedence alone makes it 3.

A fraction without spaces is one number beside an operator in words or "÷". Other mixtures group by spaces for some
readers and by precedence for others ("2+3 times 4", `12 / 2*3`): `splits` finds them. Between signs alone precedence
rules, but for divisions and powers. Boundary: tokens only; trees are the parser's.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolset.calculator.lexer import Token
from toolset.calculator.vocabulary import BINDING

SIGNS = {"+": "+", "-": "-", "*": "*", "/": "/", "÷": "/", "%": "mod", "^": "^"}
IN_WORDS = {"+": "", "-": "+-", "*": "+-%", "/": "+-*/÷%", "mod": "+-*/÷%", "^": "+-*/÷%", "of": "+-*/÷%"}
SPACED = {"/": "*/÷%", "%": "*/÷%", "^": "+-*/÷%"}
"""For an operator: the signs that make a difference where they tie what follows its right operand to that."""


def is_tight(tokens: Sequence[Token], at: int) -> bool:
    """Whether the token at a place is the sign of an operation between two operands, without spaces."""
    token = tokens[at]
    if at < 1 or token.kind != "op" or token.text not in SIGNS or token.space_before or token.space_after:
        return False
    if token.text == "%" and tokens[at + 1].kind != "number":
        return False
    return tokens[at - 1].kind != "op" or tokens[at - 1].is_op(")", "!", "%")


def is_ratio(tokens: Sequence[Token], at: int) -> bool:
    """Whether `3/4` without spaces starts at a place."""
    return (
        tokens[at].kind == "number"
        and tokens[at + 1].is_op("/")
        and is_tight(tokens, at + 1)
        and tokens[at + 2].kind == "number"
    )


def is_fraction(tokens: Sequence[Token], at: int) -> bool:
    """Whether `3/4` starts at a place and nothing that binds more tightly, or as tightly, is tied to it."""
    if not is_ratio(tokens, at):
        return False
    following = tokens[at + 3]
    tied = following.is_op("/", "^", "!", "(") or following.kind in ("word", "power")
    return following.space_before or not tied


def splits(tokens: Sequence[Token], operator: str, *, spaced: bool, in_words: bool, left: int, right: int) -> bool:
    """Whether a tight sign beside an operator's operands would go the other way by the spaces than by precedence.

    `left` is where the left operand starts, `right` what follows the right one.
    """
    before = BINDING[SIGNS[tokens[left - 1].text]] if is_tight(tokens, left - 1) else BINDING[operator]
    if before < BINDING[operator] and (in_words or (spaced and operator == "^")):
        return True
    differing = IN_WORDS[operator] if in_words else SPACED.get(operator, "") if spaced else ""
    return is_tight(tokens, right) and tokens[right].text in differing
