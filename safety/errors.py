"""Errors of the safety room. Each message names the value and the remedy."""


class SafetyError(Exception):
    """Base of all errors that the safety room raises to its caller."""
