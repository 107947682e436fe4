"""The forms of percentage questions that are no single expression: which share, which whole, what change.

Each form is a pattern over the whole query whose holes are parsed as expressions by `parser`; the shares and changes
that are expressions ("15% of 80", "80 + 15%") are parsed there. A hole that holds a percentage where a number belongs
raises NotMine, and so does a sum in a hole that only one side bounds ("20% off 50 plus 10").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from toolset.calculator.errors import NotMine
from toolset.calculator.exact import exact
from toolset.calculator.money import money_text, money_unit
from toolset.calculator.numerals import describe, equals
from toolset.calculator.parser import parse, parse_operand
from toolset.calculator.patterns import first_answer, phrase
from toolset.calculator.syntax import Change, Node, Number, Percent, plain, show, wrap
from toolset.calculator.value import evaluate

Form = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

PERCENT = r"(?:%|per ?cent(?:age)?|pct)"


def number(text: str, read: Callable[[str], Node] = parse) -> tuple[Fraction, str, str | None]:
    """A hole that holds a rational number or an amount of money: its value, how it is written, its currency sign."""
    node = plain(read(text))
    value = exact(node)
    if not isinstance(value, Fraction):
        raise NotMine("an irrational number in a percentage")
    return value, wrap(node, 2), money_unit(node)


def pair(first: str, second: str) -> tuple[Fraction, str, Fraction, str]:
    """Two holes in one unit."""
    (a, a_text, a_unit), (b, b_text, b_unit) = number(first), number(second)
    if a_unit != b_unit:
        raise NotMine("money against a number")
    return a, a_text, b, b_text


def percentage(text: str) -> Percent:
    node = parse(text)
    if not isinstance(node, Percent) or not isinstance(node.operand, Number):
        raise NotMine("no percentage")
    return node


def percent_text(value: Fraction) -> tuple[str, bool]:
    text, is_exact = describe(value * 100)
    return f"{text}%", is_exact


def share(part: str, whole: str) -> str:
    """What percentage `part` is of `whole`."""
    part_value, part_text, whole_value, whole_text = pair(part, whole)
    if whole_value == 0:
        return f"{part_text} as a percentage of {whole_text} is undefined (division by zero)"
    text, is_exact = percent_text(part_value / whole_value)
    return f"{part_text} is {'' if is_exact else '≈ '}{text} of {whole_text}"


def whole_of(part: str, percent: str) -> str:
    """The number of which `part` is `percent`."""
    node = percentage(percent)
    (part_value, part_text, unit), rate = number(part), exact(node)
    assert isinstance(rate, Fraction)
    if rate == 0:
        raise NotMine("0% of what")
    sign, _, text = written(part_value / rate, unit).partition(" ")
    return f"{part_text} is {show(node)} of {'' if sign == '=' else '≈ '}{text}"


def change_by(base: str, percent: str, operator: str, *, bounded: bool = False) -> str:
    """`base` increased or decreased by `percent`; it is one operand unless words bound it on both sides."""
    read = parse if bounded else parse_operand
    return evaluate(Change(operator, plain(read(base)), percentage(percent)))


def change_from(old: str, new: str) -> str:
    """The percentage change from `old` to `new`."""
    parse_operand(new)
    old_value, old_text, new_value, new_text = pair(old, new)
    if old_value <= 0:
        raise NotMine("a percentage change from zero or a negative number")
    ratio = (new_value - old_value) / old_value
    if ratio == 0:
        return f"from {old_text} to {new_text} is no change (0%)"
    text, is_exact = percent_text(abs(ratio))
    kind = "increase" if ratio > 0 else "decrease"
    return (
        f"from {old_text} to {new_text} is {'an' if kind[0] == 'i' else 'a'} {kind} of {'' if is_exact else '≈ '}{text}"
    )


def tip(percent: str, bill: str) -> str:
    node = percentage(percent)
    (value, text, unit), rate = number(bill, parse_operand), exact(node)
    assert isinstance(rate, Fraction)
    together = written(value * (1 + rate), unit).partition(" ")[2]
    return f"{show(node)} of {text} {written(value * rate, unit)}; together {together}"


def written(value: Fraction, unit: str | None) -> str:
    """`= 12`, `= $4.50`."""
    return money_text(value, unit) if unit else equals(value, as_fraction=False)


def compile_form(pattern: str) -> re.Pattern[str]:
    return phrase(pattern.replace("PERCENT", PERCENT))


A, B = r"(?P<a>\S.{0,80}?)", r"(?P<b>\S.{0,80}?)"
P = rf"(?P<p>\S.{{0,40}}?{PERCENT})"

FORMS: tuple[Form, ...] = (
    (compile_form(rf"what PERCENT of {A} (?:is|are) {B}"), lambda m: share(m["b"], m["a"])),
    (compile_form(rf"(?:what )?PERCENT (?:is|are) {A} (?:out )?of {B}"), lambda m: share(m["a"], m["b"])),
    (
        compile_form(rf"(?:is )?{A} (?:is|are|as) (?:what|a|which) PERCENT (?:out )?of {B}"),
        lambda m: share(m["a"], m["b"]),
    ),
    (compile_form(rf"{A} out of {B}(?: as a PERCENT| in PERCENT)"), lambda m: share(m["a"], m["b"])),
    (compile_form(rf"{A} (?:is|are) {P} of (?:what|which)(?: number)?"), lambda m: whole_of(m["a"], m["p"])),
    (
        compile_form(rf"(?:what number )?{P} of what(?: number)? (?:is|are|equals) {A}"),
        lambda m: whole_of(m["a"], m["p"]),
    ),
    (compile_form(rf"(?:increase|raise|grow) {A} by {P}"), lambda m: change_by(m["a"], m["p"], "+", bounded=True)),
    (
        compile_form(rf"(?:decrease|reduce|lower|discount|cut) {A} by {P}"),
        lambda m: change_by(m["a"], m["p"], "-", bounded=True),
    ),
    (compile_form(rf"{A} (?:increased|raised|grown) by {P}"), lambda m: change_by(m["a"], m["p"], "+")),
    (compile_form(rf"{A} (?:decreased|reduced|lowered|discounted) by {P}"), lambda m: change_by(m["a"], m["p"], "-")),
    (compile_form(rf"{P} (?:more|higher|greater|larger) than {A}"), lambda m: change_by(m["a"], m["p"], "+")),
    (compile_form(rf"{P} (?:less|lower|smaller) than {A}"), lambda m: change_by(m["a"], m["p"], "-")),
    (compile_form(rf"{P} off(?: of)? {A}"), lambda m: change_by(m["a"], m["p"], "-")),
    (compile_form(rf"{A} (?:with )?(?:a )?{P} (?:off|discount)"), lambda m: change_by(m["a"], m["p"], "-")),
    (compile_form(rf"(?:a )?{P} discount (?:on|off|of) {A}"), lambda m: change_by(m["a"], m["p"], "-")),
    (compile_form(rf"add {P} to {A}"), lambda m: change_by(m["a"], m["p"], "+")),
    (
        compile_form(rf"(?:subtract|take|take away|remove) {P} (?:from|off) {A}"),
        lambda m: change_by(m["a"], m["p"], "-"),
    ),
    (compile_form(rf"(?:a )?{P} tip (?:on|for|of) {A}"), lambda m: tip(m["p"], m["a"])),
    (
        compile_form(rf"(?:the )?PERCENT (?:(?:change|increase|decrease) )?from {A} to {B}"),
        lambda m: change_from(m["a"], m["b"]),
    ),
    (
        compile_form(rf"(?:the )?PERCENT (?:change|increase|decrease) between {A} and {B}"),
        lambda m: change_from(m["a"], m["b"]),
    ),
    (
        compile_form(rf"(?:the )?(?:change|increase|decrease) (?:from )?{A} to {B} in PERCENT"),
        lambda m: change_from(m["a"], m["b"]),
    ),
)


def answer(text: str) -> str | None:
    """The result of a percentage question, or None where the text is none. Raises NotMine for a hole it cannot read."""
    if "%" not in text and "perc" not in text.lower() and "per cent" not in text.lower() and "pct" not in text.lower():
        return None
    return first_answer(FORMS, text)
