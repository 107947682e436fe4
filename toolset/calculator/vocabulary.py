"""The words and names of arithmetic that `parser` reads, and how tightly operators bind.

Boundary: data, no logic.
"""

from __future__ import annotations

CONSTANTS = ("pi", "e", "tau")
FUNCTIONS = {
    "sqrt": "sqrt", "cbrt": "cbrt", "abs": "abs", "ln": "ln", "log": "log10", "log10": "log10", "lg": "log10",
    "log2": "log2", "exp": "exp", "sin": "sin", "cos": "cos", "tan": "tan", "sine": "sin", "cosine": "cos",
    "tangent": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "factorial": "factorial", "floor": "floor", "ceil": "ceil", "ceiling": "ceil",
}  # fmt: skip
LISTS = {
    "gcd": "gcd", "gcf": "gcd", "hcf": "gcd", "lcm": "lcm", "min": "min", "minimum": "min", "max": "max",
    "maximum": "max", "sum": "sum", "product": "product", "average": "average", "mean": "average", "avg": "average",
    "median": "median",
}  # fmt: skip
PAIRS = {
    "ncr": "choose", "npr": "permutations", "comb": "choose", "perm": "permutations", "choose": "choose",
    "c": "choose", "p": "permutations",
}  # fmt: skip
DIFFERENCES = {"difference": "-", "quotient": "/", "ratio": "/"}
PHRASES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("to", "the", "power", "of"), "^"),
    (("raised", "to", "the", "power", "of"), "^"),
    (("raised", "to"), "^"),
    (("multiplied", "by"), "*"),
    (("divided", "by"), "/"),
    (("times",), "*"),
    (("over",), "/"),
    (("plus",), "+"),
    (("minus",), "-"),
    (("modulo",), "mod"),
    (("mod",), "mod"),
)
NAMED_LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("greatest", "common", "divisor"), "gcd"),
    (("greatest", "common", "factor"), "gcd"),
    (("highest", "common", "factor"), "gcd"),
    (("least", "common", "multiple"), "lcm"),
    (("lowest", "common", "multiple"), "lcm"),
)
ORDINALS = {
    "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
ANGLES = ("sin", "cos", "tan")
BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "mod": 2, "%": 2, "of": 2, "^": 4}
POWERS = ("squared", "cubed", "power", "raised")
