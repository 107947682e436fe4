"""Operands by name: constants, and functions by symbol (`sqrt(16)`), in words ("the square root of 16") and of lists.

A function without parentheses takes the last operand of the text, so that nothing can follow which it might have
included. Boundary: `parser` has the cursor and reads the expressions inside.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from toolset.calculator.errors import NotMine
from toolset.calculator.syntax import Binary, Call, Constant, Degrees, Node, Number, plain
from toolset.calculator.vocabulary import ANGLES, CONSTANTS, DIFFERENCES, FUNCTIONS, LISTS, NAMED_LISTS, ORDINALS, PAIRS

if TYPE_CHECKING:
    from toolset.calculator.parser import Parser


def named(parser: Parser) -> Node:
    """A constant or a function, by symbol (`sqrt(16)`) or in words ("the square root of 16")."""
    name = parser.token.text
    if name in CONSTANTS:
        parser.at += 1
        return Constant(name)
    if parser.words("square", "root"):
        return call(parser, "sqrt")
    if parser.words("cube", "root"):
        return call(parser, "cbrt")
    if name in ORDINALS and parser.words(name, "root", "of"):
        parser.at -= 1
        return root(parser, ORDINALS[name])
    if parser.words("natural", "log") or parser.words("natural", "logarithm"):
        return call(parser, "ln")
    if parser.words("log", "base") or parser.words("logarithm", "base"):
        base = parser.primary()
        if not parser.words("of"):
            raise NotMine("log base what of what?")
        parser.at -= 1
        inner = call(parser, "log")
        assert isinstance(inner, Call)
        return Call("log", (inner.arguments[0], base))
    for phrase, function in NAMED_LISTS:
        if parser.words(*phrase):
            return list_call(parser, function)
    if name in ("twice", "double", "triple"):
        parser.at += 1
        factor = 3 if name == "triple" else 2
        return Binary("*", Number(Fraction(factor), str(factor)), plain(last_operand(parser)))
    parser.at += 1
    if name in FUNCTIONS:
        return call(parser, FUNCTIONS[name])
    if name in LISTS:
        return list_call(parser, LISTS[name])
    if name in PAIRS and parser.token.is_op("("):
        return list_call(parser, PAIRS[name], exactly=2)
    if name in DIFFERENCES and (parser.words("of") or parser.words("between")):
        between = parser.tokens[parser.at - 1].is_word("between")
        left, right = list_items(parser, exactly=2)
        if name == "difference":
            return difference(left, right, between=between)
        return Binary(DIFFERENCES[name], left, right)
    raise NotMine(f"the word {name!r}")


def root(parser: Parser, degree: int) -> Node:
    inner = call(parser, "sqrt")
    assert isinstance(inner, Call)
    return Call("root", (inner.arguments[0], Number(Fraction(degree), str(degree))))


def call(parser: Parser, name: str) -> Node:
    """The argument of a one-argument function, in parentheses or as the last operand."""
    of = parser.words("of")
    if parser.token.is_op("("):
        given = arguments(parser, angle=name in ANGLES)
        if name == "log10" and len(given) == 2:
            name = "log"
        elif len(given) != 1:
            raise NotMine(f"{name} of {len(given)} arguments")
        if of and parser.token.kind != "end":
            raise NotMine(f"an operator after '{name} of (...)'")
        return Call(name, tuple(given))
    operand = last_operand(parser)
    if isinstance(operand, Binary) and id(operand) not in parser.wrapped:
        raise NotMine("a square after a function without parentheses")
    return Call(name, (operand if name in ANGLES and isinstance(operand, Degrees) else plain(operand),))


def last_operand(parser: Parser) -> Node:
    """An operand without parentheses, after which nothing may follow that it could have included."""
    operand = parser.nested(parser.prefix)
    if isinstance(operand, Degrees) and parser.token.is_op("+", "-", "*", "/", "÷"):
        return operand
    if not (parser.token.kind == "end" or parser.token.is_op(")", ",", "=")):
        raise NotMine("an operator after a function without parentheses")
    return operand


def arguments(parser: Parser, *, angle: bool = False) -> list[Node]:
    """(a, b, ...)"""
    parser.at += 1
    first = parser.expression()
    items = [first if angle and isinstance(first, Degrees) else plain(first)]
    while parser.op(","):
        items.append(plain(parser.expression()))
    if not parser.op(")"):
        raise NotMine("arguments that do not close")
    return items


def list_call(parser: Parser, name: str, exactly: int | None = None) -> Node:
    if parser.token.is_op("("):
        items = arguments(parser)
    elif parser.words("of"):
        items = list_items(parser, exactly)
    else:
        raise NotMine(f"{name} of what?")
    if len(items) < 2 or (exactly and len(items) != exactly):
        raise NotMine(f"{name} of {len(items)} numbers")
    return Call(name, tuple(items))


def list_items(parser: Parser, exactly: int | None = None) -> list[Node]:
    """ "3 and 4", "3, 4, and 5" to the end of the text; each item is one operand."""
    if parser.op("("):
        parser.at -= 1
        items = arguments(parser)
    else:
        items = []
        while True:
            if parser.token.joined:
                raise NotMine("an 'and' that parts or belongs to a number")
            parser.fractions.add(parser.at)
            items.append(plain(parser.nested(parser.prefix)))
            comma = parser.op(",")
            if not (parser.words("and") or comma):
                break
    if parser.token.kind != "end":
        raise NotMine("something after a list")
    if len(items) < 2 or (exactly and len(items) != exactly):
        raise NotMine(f"{len(items)} items")
    return items


def difference(left: Node, right: Node, *, between: bool) -> Node:
    """The difference between two numbers is no less than zero; the difference "of" them is so for some people only."""
    if isinstance(left, Number) and isinstance(right, Number) and left.value >= right.value:
        return Binary("-", left, right)
    if not between:
        raise NotMine("a difference that may be negative")
    if isinstance(left, Number) and isinstance(right, Number):
        return Binary("-", right, left)
    return Call("abs", (Binary("-", left, right),))
