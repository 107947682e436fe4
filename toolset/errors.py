"""Errors of the toolset, by audience. Each message names the value and the remedy."""


class ToolsetError(Exception):
    """Base of all errors that the toolset raises to its caller."""


class ToolDefinitionError(ToolsetError):
    """A tool breaks the contract in its name, description or budgets (for plugin authors)."""


class PluginError(ToolsetError):
    """A plugin cannot be found, imported or registered (for who configures the toolset)."""


class ToolConfigError(ToolsetError):
    """A tool's settings, model, backend or corpus are not usable as given (for who configures the toolset)."""
