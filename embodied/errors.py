"""Errors of the embodied room. Each message names the value and the remedy."""


class EmbodiedError(Exception):
    """Base of all errors that the embodied room raises to its caller."""
