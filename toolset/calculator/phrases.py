"""Arithmetic asked for in whole sentences: "subtract 5 from 12", "round 3.14159 to 2 decimal places", "is 97 prime".

Each form is a pattern over the whole query whose holes are parsed as expressions by `parser`; percentages have their
own forms in `percentages`. A hole that words bound on one side only holds a single operand: "multiply 3 by 4 plus 2" is
18 or 14.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from toolset.calculator import integers
from toolset.calculator.errors import NotMine, TooLarge
from toolset.calculator.exact import exact
from toolset.calculator.money import money_unit
from toolset.calculator.numerals import describe, equals, fraction_text, rounded_text
from toolset.calculator.parser import LISTED, parse, parse_operand
from toolset.calculator.patterns import first_answer, phrase
from toolset.calculator.syntax import Binary, Call, Node, Number, is_percentage, plain, show, wrap
from toolset.calculator.value import evaluate, value_of

MAX_WRITTEN_BITS = 512
PLACES = {
    "whole number": 0, "integer": 0, "one": 0, "unit": 0, "dollar": 0, "ten": 1, "hundred": 2, "thousand": 3,
    "ten thousand": 4, "hundred thousand": 5, "million": 6, "tenth": -1, "hundredth": -2, "cent": -2, "thousandth": -3,
}  # fmt: skip


def rational(text: str, read: Callable[[str], Node] = parse) -> tuple[Fraction, str]:
    """A hole that holds a rational number: its value and how it is written."""
    node = plain(read(text))
    value = exact(node)
    if not isinstance(value, Fraction) or money_unit(node):
        raise NotMine("an irrational number, or money")
    return value, wrap(node, 2)


def whole(text: str, read: Callable[[str], Node] = parse) -> int:
    value, _ = rational(text, read)
    if value.denominator != 1 or value.numerator.bit_length() > MAX_WRITTEN_BITS:
        raise NotMine("a number that is not whole, or too long to write")
    return value.numerator


def operate(operator: str, left: str, right: str, *, swapped: bool = False) -> str:
    """`left` stands between words of the command, `right` at its end; `swapped` by "subtract 5 from 12"."""
    if LISTED.fullmatch(left.strip()) and "," not in right and len(right.strip()) <= 3:
        raise NotMine("a comma that may part two numbers")  # add 100,200 and 300
    operands = plain(parse(left)), plain(parse_operand(right))
    return evaluate(Binary(operator, *reversed(operands)) if swapped else Binary(operator, *operands))


def apply(name: str, *arguments: str) -> str:
    return evaluate(Call(name, tuple(plain(parse(argument)) for argument in arguments)))


def power(text: str, exponent: int) -> str:
    return evaluate(Binary("^", plain(parse_operand(text)), Number(Fraction(exponent), str(exponent))))


def remainder(left: str, right: str, *, bounded: bool = False) -> str:
    """`bounded`: `left` stands between words, so that it may be a sum ("when 17 + 3 is divided by 5")."""
    (a_value, a_text), (b_value, b_text) = (
        rational(left, parse if bounded else parse_operand),
        rational(right, parse_operand),
    )
    if a_value.denominator != 1 or b_value.denominator != 1:
        raise NotMine("a remainder of numbers that are not whole")
    if a_value.numerator.bit_length() > MAX_WRITTEN_BITS:
        raise TooLarge("a quotient too long to write")
    a, b = a_value.numerator, b_value.numerator
    if b == 0:
        return f"{a_text} divided by {b_text} is undefined (division by zero)"
    if a < 0 or b < 0:
        raise NotMine("a remainder of negative numbers")
    return f"{a_text} divided by {b_text} is {a // b} with remainder {a % b}"


def round_to(text: str, decimals: int, read: Callable[[str], Node] = parse) -> str:
    """Half is rounded away from zero, as taught in schools; at an exact half the result says which way it went."""
    node = plain(read(text))
    if money_unit(node):
        raise NotMine("money, which has cents")
    value = value_of(node)
    if abs(value) > 10**50:
        raise TooLarge("a number too long to write")
    scaled = Fraction(value) * Fraction(10) ** decimals
    if not isinstance(value, Fraction) and (scaled * 2).denominator == 1:
        raise NotMine("a value too near a half")
    down, rest = divmod(abs(scaled), 1)
    digits = int(down) + (rest >= Fraction(1, 2))
    rounded = Fraction(digits if scaled >= 0 else -digits) / Fraction(10) ** decimals
    target = f"{decimals} decimal place{'' if decimals == 1 else 's'}" if decimals > 0 else "a whole number"
    if decimals < 0:
        target = f"the nearest {10**-decimals}"
    note = " (half away from zero)" if rest == Fraction(1, 2) else ""
    shown = f"{float_free(rounded, decimals)}"
    return f"{show(node)} rounded to {target} is {shown}{note}"


def float_free(value: Fraction, decimals: int) -> str:
    """The rounded value with exactly `decimals` digits after the point: 2.50, not 2.5."""
    if decimals <= 0:
        return describe(value)[0]
    digits = f"{abs((value * 10**decimals).numerator):0{decimals + 1}d}"
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def decimals_of(text: str) -> int:
    count = whole(text)
    if not 0 <= count <= 20:
        raise NotMine("more decimal places than are kept")
    return count


def larger(first: str, second: str, word: str) -> str:
    (a, a_text), (b, b_text) = rational(first), rational(second)
    if a == b:
        return f"{a_text} and {b_text} are equal"
    big, small = (a_text, b_text) if a > b else (b_text, a_text)
    if word.lower() in ("smaller", "less", "lower", "smallest"):
        return f"{small} is smaller than {big}"
    return f"{big} is larger than {small}"


def is_larger(first: str, second: str, *, larger_asked: bool) -> str:
    (a, a_text), (b, b_text) = rational(first), rational(second)
    if a == b:
        return f"no, {a_text} is equal to {b_text}"
    verdict = "yes" if (a > b) == larger_asked else "no"
    return f"{verdict}, {a_text} is {'greater' if a > b else 'less'} than {b_text}"


def as_fraction(text: str) -> str:
    node = parse(text)
    value = exact(node)
    if not isinstance(value, Fraction):
        raise NotMine("an irrational number is no fraction")
    written = str(value) if value.denominator == 1 else fraction_text(value)
    if written is None or written == show(node):
        raise NotMine("a fraction already, or a long one")
    return f"{show(node)} = {written}"


def as_decimal(text: str) -> str:
    node = parse(text)
    value = exact(node)
    if not isinstance(value, Fraction):
        raise NotMine("an irrational number")
    if isinstance(node, Number) and "/" not in node.text:
        if value.denominator == 1 or any(character.isdigit() for character in text):
            raise NotMine("a decimal already")
        return f"{text} = {node.text}"  # three and a half
    return f"{show(node)} {equals(value, as_fraction=False)}"


def as_percentage(text: str) -> str:
    node = parse(text)
    if is_percentage(node):
        raise NotMine("a percentage already")
    value = value_of(node)
    if not isinstance(value, Fraction):
        return f"{show(node)} ≈ {rounded_text(value * 100)}%"
    written, is_exact = describe(value * 100)
    return f"{show(node)} {'=' if is_exact else '≈'} {written}%"


def chain(text: str) -> str:
    """`5 + 3, then times 2, then minus 1`: each step works on the whole of the last."""
    steps = re.split(r"\s*,?\s+(?:and\s+)?then\s+", text, flags=re.I)
    node: Node = plain(parse(re.sub(r"^(?:start|begin) with ", "", steps[0], flags=re.I)))
    if len(steps) < 2:
        raise NotMine("no chain")
    for step in steps[1:]:
        match = STEP.fullmatch(step)
        if match is None:
            raise NotMine("a step that is none")
        word = " ".join(match["verb"].lower().split())
        if word in ("square", "cube", "double", "triple", "halve"):
            if match["operand"]:
                raise NotMine("a step with too much in it")
            operator, operand = {"square": ("^", 2), "cube": ("^", 3), "double": ("*", 2), "triple": ("*", 3)}.get(
                word, ("/", 2)
            )
            node = Binary(operator, node, Number(Fraction(operand), str(operand)))
        else:
            node = Binary(VERBS[word], node, plain(parse_operand(match["operand"] or "")))
    return evaluate(node)


VERBS = {
    "add": "+", "plus": "+", "+": "+", "subtract": "-", "minus": "-", "take away": "-", "-": "-", "multiply by": "*",
    "times": "*", "multiplied by": "*", "*": "*", "divide by": "/", "divided by": "/", "/": "/", "multiply it by": "*",
    "divide it by": "/",
}  # fmt: skip
STEP = re.compile(
    rf"(?P<verb>{'|'.join(map(re.escape, VERBS))}|square|cube|double|triple|halve)"
    r"(?: it)?\s*(?P<operand>\S.*)?",
    re.I,
)

A, B = r"(?P<a>\S.{0,80}?)", r"(?P<b>\S.{0,80}?)"
AS = rf"(?:convert |write |express )?{A} (?:as|to|in|into)"
WHOLE = r"(?P<a>[0-9][0-9,]*|[a-z][a-z -]{0,60}?)"
PATTERNS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (rf"(?:what is )?{A} divided by {B} with (?:a )?remainder", lambda m: remainder(m["a"], m["b"])),
    (rf"(?:the )?remainder (?:when|if) {A} is divided by {B}", lambda m: remainder(m["a"], m["b"], bounded=True)),
    (rf"(?:the )?remainder (?:of|when|if|for) {A} (?:divided by|/) {B}", lambda m: remainder(m["a"], m["b"])),
    (rf"(?:the )?remainder (?:when|if) dividing {A} by {B}", lambda m: remainder(m["a"], m["b"], bounded=True)),
    (rf"add {A} (?:and|to|plus) {B}", lambda m: operate("+", m["a"], m["b"])),
    (rf"subtract {A} from {B}", lambda m: operate("-", m["a"], m["b"], swapped=True)),
    (rf"take (?:away )?{A} (?:away )?from {B}", lambda m: operate("-", m["a"], m["b"], swapped=True)),
    (rf"multiply {A} (?:by|and|with|times) {B}", lambda m: operate("*", m["a"], m["b"])),
    (rf"divide {A} by {B}", lambda m: operate("/", m["a"], m["b"])),
    (rf"(?:how many times )(?:does|do|will|can) {A} (?:go|fit) into {B}",
     lambda m: operate("/", m["a"], m["b"], swapped=True)),
    (rf"square {A}", lambda m: power(m["a"], 2)),
    (rf"cube {A}", lambda m: power(m["a"], 3)),
    (rf"halve {A}", lambda m: evaluate(Binary("/", plain(parse_operand(m["a"])), Number(Fraction(2), "2")))),
    (rf"round {A} to {B} (?:decimal places?|decimals?|places?|dp)", lambda m: round_to(m["a"], decimals_of(m["b"]))),
    (rf"{A} (?:rounded )?to {B} (?:decimal places?|decimals?|dp)", lambda m: round_to(m["a"], decimals_of(m["b"]))),
    (
        rf"(?:round )?{A} (?:rounded )?to (?:the )?(?:nearest|closest) (?P<place>[a-z ]+)",
        lambda m: round_to(m["a"], -place(m["place"])),
    ),
    (rf"round {A}", lambda m: round_to(m["a"], 0, parse_operand)),
    (rf"is {WHOLE} (?:a )?prime(?: number)?", lambda m: integers.primality(whole(m["a"]))),
    (rf"(?:the )?prime (?:factors|factorization|factorisation|decomposition) of {WHOLE}",
     lambda m: integers.factorization(whole(m["a"]))),
    (rf"(?:factor|factorize|factorise) {WHOLE}(?: into primes)?", lambda m: integers.factorization(whole(m["a"]))),
    (rf"(?:the |all (?:the )?)?(?:divisors|factors) of {WHOLE}", lambda m: integers.divisors(whole(m["a"]))),
    (rf"(?:convert )?(?:the number )?{WHOLE} (?:in|to|into|as) (?P<base>binary|hex|hexadecimal|octal)",
     lambda m: integers.in_base(whole(m["a"]), m["base"])),
    (r"(?:convert )?(?P<digits>0[xX][0-9a-fA-F]{1,40}|0[bB][01]{1,80}|0[oO][0-7]{1,50}) (?:in|to|into|as) decimal",
     lambda m: integers.from_base(m["digits"])),
    (r"(?:convert )?(?:the )?(?P<base>binary|hex|hexadecimal|octal) (?:number )?"
     r"(?P<digits>(?:0[xXoO])?[0-9a-fA-F]{1,80}) (?:in|to|into|as) decimal",
     lambda m: integers.from_named_base(m["digits"], m["base"])),
    (r"(?:convert )?(?P<digits>(?:0[xXoO])?[0-9a-fA-F]{1,80}) from (?P<base>binary|hex|hexadecimal|octal) to decimal",
     lambda m: integers.from_named_base(m["digits"], m["base"])),
    (rf"(?:convert )?{WHOLE} (?:in|to|into|as) roman(?: numerals?)?", lambda m: integers.roman(whole(m["a"]))),
    (rf"(?:which (?:one )?is |(?:the )?)(?P<word>larger|bigger|greater|higher|smaller|less|lower)[,:]? {A} or {B}",
     lambda m: larger(m["a"], m["b"], m["word"])),
    (rf"which (?:number )?is (?P<word>larger|bigger|greater|higher|smaller|less|lower)[,:]? {A} or {B}",
     lambda m: larger(m["a"], m["b"], m["word"])),
    (rf"is {A} (?:greater|larger|bigger|more|higher) than {B}", lambda m: is_larger(m["a"], m["b"], larger_asked=True)),
    (rf"is {A} (?:less|smaller|lower) than {B}", lambda m: is_larger(m["a"], m["b"], larger_asked=False)),
    (rf"(?:is )?{A} > {B}", lambda m: is_larger(m["a"], m["b"], larger_asked=True)),
    (rf"(?:is )?{A} < {B}", lambda m: is_larger(m["a"], m["b"], larger_asked=False)),
    (rf"{AS} a (?:simple |simplified |common )?fraction", lambda m: as_fraction(m["a"])),
    (rf"{AS} a decimal(?: number)?", lambda m: as_decimal(m["a"])),
    (rf"{AS} (?:a )?(?:percentage|percent|%)", lambda m: as_percentage(m["a"])),
    (rf"(?:how many ways (?:are there |can (?:you|i|one) )?(?:to )?)?(?:choose|pick|select) {A} (?:from|out of|of) {B}",
     lambda m: apply("choose", things(m["b"]), things(m["a"]))),
    (rf"how many ways (?:are there |can (?:you|i|one) )?(?:to )?(?:arrange|order) {A}",
     lambda m: apply("factorial", things(m["a"]))),
    (rf"(?:the )?(?:number of )?combinations of {A} (?:taken|choose|things taken) {B}(?: at a time)?",
     lambda m: apply("choose", things(m["a"]), things(m["b"]))),
    (rf"(?:the )?(?:number of )?permutations of {A} (?:taken|things taken) {B}(?: at a time)?",
     lambda m: apply("permutations", things(m["a"]), things(m["b"]))),
)  # fmt: skip


FORMS = tuple((phrase(pattern), compute) for pattern, compute in PATTERNS)


def things(text: str) -> str:
    """The count in "10 things"."""
    text = re.sub(
        r"\s+(?:things?|items?|objects?|people|elements?|books?|cards?|letters?|numbers?)$", "", text, flags=re.I
    )
    return str(whole(text, parse_operand))


def place(text: str) -> int:
    name = " ".join(text.lower().split()).removesuffix("s")
    if name not in PLACES:
        raise NotMine("no known place")
    return PLACES[name]


def answer(text: str) -> str | None:
    """The result of an arithmetic sentence, or None where the text is none. NotMine where a hole cannot be read."""
    if not WORTH_TRYING.search(text):
        return None
    if re.search(r"\bthen\b", text, re.I):
        return chain(text)
    return first_answer(FORMS, text)


WORTH_TRYING = re.compile(
    r"""\b(?:then|remainder|add|subtract|take|multiply|divide|into|square|cube|halve|round|rounded|nearest|closest|decimals?
    |dp|prime|factors?|factorize|factorise|divisors|binary|hex|hexadecimal|octal|decimal|roman|larger|bigger|greater
    |higher|smaller|less|lower|more|fraction|percent|percentage|choose|pick|select|arrange|order|combinations|permutations)\b
    |[<>]|(?:as|to|in)\ %$""",
    re.VERBOSE | re.IGNORECASE,
)
