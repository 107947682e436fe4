"""Evaluating a model on the embodied tasks: likelihood of choices, plans run in the simulator, intervals."""

from embodied.evaluate.report import compare, table
from embodied.evaluate.run import FamilyScores, evaluate

__all__ = ["FamilyScores", "compare", "evaluate", "table"]
