"""Why a query is not answered: control flow inside the calculator; none of it leaves `Calculator.run`.

`NotMine` and `TooLarge` become an empty list; `Undefined` becomes a result that says so ("1 / 0 is undefined").
"""

from __future__ import annotations

from toolset.errors import ToolsetError


class NotMine(ToolsetError):
    """The query, read whole, is not something the calculator computes, or it has more than one reading."""


class TooLarge(NotMine):
    """The query is arithmetic, but its text, nesting or numbers are past the calculator's bounds."""


class Undefined(ToolsetError):
    """The query is arithmetic and has no (real) value; the message completes "<expression> ..."."""
