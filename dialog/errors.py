"""Errors of the dialog, by audience. Each message names the value and the remedy."""


class DialogError(Exception):
    """Base of all errors that the dialog raises to its caller."""


class MessageError(DialogError):
    """A message or a conversation cannot be used as given (for who talks to the agent)."""


class ContextLengthError(DialogError):
    """A prompt does not fit the model's context (for who sets lengths)."""

    def __init__(self, needed: int, context_length: int) -> None:
        self.needed, self.context_length = needed, context_length
        super().__init__(
            f"{needed} tokens do not fit the model's context of {context_length}. "
            "Shorten the message, lower max_tokens, or use a model with a longer context."
        )


class EngineUnavailable(DialogError):
    """The engine cannot be reached or was closed (for who operates it)."""


class RoleError(DialogError):
    """A role file cannot be read (for who writes roles)."""


class AdapterError(DialogError):
    """An adapter does not fit the model that it is asked to run on (for who tunes models)."""


class RecordError(DialogError):
    """A data file breaks its record format; names file, line and field (for who brings data)."""


class FinetuneError(DialogError):
    """A finetuning run cannot start or go on (for who tunes models)."""
