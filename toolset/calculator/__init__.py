"""The calculator tool: exact arithmetic, percentages and their natural forms; refuses at once what it cannot read."""

from toolset.calculator.tool import Calculator

__all__ = ["Calculator"]
