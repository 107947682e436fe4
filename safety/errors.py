"""Errors of the safety room. Each message names the value and the remedy."""


class SafetyError(Exception):
    """Base of all errors that the safety room raises to its caller."""


class DataError(SafetyError):
    """A data file breaks its record format; names file, line and field (for who brings data)."""


class MetricError(SafetyError):
    """A metric cannot be computed on the examples given (for who evaluates)."""
