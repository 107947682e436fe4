"""The calculator: one query in, one exact line out, or nothing.

A query is answered only where the whole of it is understood; everything else is an empty list, so that the toolset
asks the next tool. The text goes through this package's own lexer and parsers alone: it never reaches `eval`, nor the
parsers of sympy or pint, and its length, nesting and the size of every value are bounded, so a refusal is immediate.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from toolset.calculator import currency, dates, percentages, phrases, units, zones
from toolset.calculator.bounds import MAX_CHARS
from toolset.calculator.errors import NotMine
from toolset.calculator.lookalikes import holds_lookalike, is_lookalike
from toolset.calculator.openings import exclaims, strip_question
from toolset.calculator.value import calculate, check_equation
from toolset.tool import Result, Tool

Form = Callable[[str], str | Result | None]
"""Answers a text, or returns None or raises NotMine for one that it does not read."""


class Calculator(Tool):
    """LaMDA's calculator (arXiv 2201.08239, section 6.2): `135 + 7721`, "15% of 80", "5 miles in km"."""

    name = "calculator"
    description = (
        "Computes exactly, in symbols or in words: arithmetic, percentages, roots, logarithms, trigonometry, "
        "combinatorics, unit conversions, dates, time zones, and currency by dated reference rates. "
        "Returns nothing for what it does not fully understand."
    )
    timeout = 20.0
    """Only a first use without `load` takes so long: it builds the unit registry, 0.5 s alone and 8 s on a crowded
    machine. The bounds keep everything else to milliseconds."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        """`now` gives the present moment, aware of its zone; the default is the machine's clock."""
        self.now = now or (lambda: datetime.now().astimezone())
        self.dated: tuple[Form, ...] = (
            lambda text: dates.answer(text, self.today),
            lambda text: zones.answer(text, self.now),
            lambda text: currency.answer(text, self.today),
        )
        self.forms = (percentages.answer, phrases.answer, *self.dated, check_equation, units.answer, calculate)

    def load(self) -> Calculator:
        """Build now what first uses need: unit registry, reference rates, high-precision functions; about a second."""
        for query in ("1 mile in km", "1 USD in EUR", "sqrt(2)"):
            self.run(query)
        return self

    def run(self, query: str) -> list[Result]:
        """One result, or an empty list for a query that is not wholly understood or is past the bounds."""
        if not query or len(query) > MAX_CHARS or not query.isprintable():
            return []
        text, asked, commanded = strip_question(query)
        if not text or exclaims(text, asked=asked or commanded):
            return []
        if not commanded and is_lookalike(text, asked=asked):
            return []
        if not (asked or commanded) and units.is_range(text):
            return []
        for answer in self.dated if holds_lookalike(text) else self.forms:
            try:
                found = answer(text)
            except NotMine:
                continue
            if found is not None:
                return [Result(text=found) if isinstance(found, str) else found]
        return []

    def today(self) -> date:
        return self.now().date()
