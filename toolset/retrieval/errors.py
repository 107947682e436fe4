"""Errors of retrieval, by audience. Each message names the value and the remedy, on one line."""

from toolset.errors import ToolConfigError, ToolsetError


class EmbedderError(ToolConfigError):
    """The embedding model's folder is not usable (for who configures the toolset)."""


class CorpusError(ToolConfigError):
    """A corpus is missing, or cannot be opened or written now (for who configures the toolset)."""


class DamagedCorpusError(CorpusError):
    """A corpus will never be usable as it is: damaged, of another format, or made with another embedding model."""


class DocumentError(ToolsetError):
    """One document cannot be read or indexed; the others are not touched (for who indexes files)."""
