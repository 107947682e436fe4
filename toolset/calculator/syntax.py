"""The expression tree, and how a tree is written out again.

The written form is what a result quotes ("(15% of 80) + 10"), so it shows how the query was read: it puts
parentheses wherever a reader might group otherwise. It knows nothing of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from toolset.calculator.errors import NotMine


@dataclass(frozen=True, slots=True)
class Number:
    """A literal; `text` as it is written in results."""

    value: Fraction
    text: str


@dataclass(frozen=True, slots=True)
class Constant:
    """pi, tau or e."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of + - * / ^ mod, or % for a modulo by that sign, which may be meant as a percentage."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one or more arguments; `name` is canonical (`sqrt`, `ln`, `gcd`)."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Percent:
    """operand / 100, as in `15%`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Of:
    """`share` of `whole`: 15% of 80, half of 10."""

    share: Node
    whole: Node


@dataclass(frozen=True, slots=True)
class Change:
    """`base` plus or minus a percentage of itself: 80 + 15% is 92, as on a pocket calculator."""

    operator: str
    base: Node
    percent: Percent


@dataclass(frozen=True, slots=True)
class Degrees:
    """An angle in degrees."""

    operand: Node


Node = Number | Constant | Negative | Binary | Call | Percent | Of | Change | Degrees


def is_percentage(node: Node) -> bool:
    """Whether the node's value is itself a percentage, which is then shown as one: 20% + 30%, 50% of 50%."""
    match node:
        case Percent():
            return True
        case Of(whole=inner) | Negative(operand=inner):
            return is_percentage(inner)
        case Binary("+" | "-", left, right):
            return is_percentage(left) and is_percentage(right)
    return False


def plain(node: Node) -> Node:
    """`node`, if it is no percentage: powers, functions and lists of percentages have no settled reading."""
    if is_percentage(node) or isinstance(node, Degrees):
        raise NotMine("a percentage or an angle where a number should be")
    return node


def is_fraction(node: Node) -> bool:
    """A share such as 1/2, 0.5 or "three quarters"; no more than a whole."""
    match node:
        case Number(value=value):
            return 0 < value < 1
        case Binary("/", Number(value=above), Number(value=below)):
            return 0 < above <= below and above.denominator == below.denominator == 1
    return False


LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "mod": 2, "%": 2, "^": 4}
ATOM = 6


def level(node: Node) -> int:
    match node:
        case Binary(operator=operator):
            return LEVELS[operator]
        case Change():
            return 1
        case Of():
            return 0  # always in parentheses inside another expression
        case Negative():
            return 3
        case Number(value=value, text=text):
            return ATOM if value >= 0 and "/" not in text else 2
        case Percent() | Degrees():
            return 5
        case Call(name="factorial"):
            return 5
    return ATOM


def show(node: Node) -> str:
    """The expression as text: `2^(3^2)`, `-(2^2)`, `5!`, `sqrt(2) + 1`."""
    match node:
        case Number(text=text):
            return text
        case Constant(name):
            return name
        case Negative(operand):
            return "-" + wrap(operand, 5)
        case Binary("^", left, right):
            return f"{wrap(left, 6)}^{wrap(right, 6, sign=True)}"
        case Binary("mod" | "%", left, right):
            return f"{wrap(left, 5)} mod {wrap(right, 5)}"
        case Binary(operator, left, right):
            own = LEVELS[operator]
            return f"{wrap(left, own)} {operator} {wrap(right, own if operator == '+' else own + 1)}"
        case Call("factorial", (operand,)):
            return f"{wrap(operand, 6)}!"
        case Call("sin" | "cos" | "tan" as name, (Number(text=text),)):
            return f"{name}({text} radians)"  # a bare angle is in radians, and the result says so
        case Call(name, arguments):
            return f"{name}({', '.join(show(argument) for argument in arguments)})"
        case Percent(operand):
            return f"{wrap(operand, 6)}%"
        case Degrees(operand):
            return f"{wrap(operand, 6)} degrees"
        case Of(share, whole):
            return f"{wrap(share, 2)} of {wrap(whole, 3)}"
        case Change(operator, base, percent):
            return f"{wrap(base, 2)} {operator} {show(percent)}"


def wrap(node: Node, at_least: int, *, sign: bool = False) -> str:
    """The node's text, in parentheses where it binds less tightly than `at_least`."""
    text = show(node)
    if sign and isinstance(node, Negative) and level(node.operand) == ATOM:
        return text
    return text if level(node) >= at_least else f"({text})"
