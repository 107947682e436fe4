"""Errors of serving: model store, engines, settings. Each message names the value and the remedy."""


class ServeError(Exception):
    """Base of all errors that serving raises to its caller."""


class ModelStoreError(ServeError):
    """A model or data file cannot be had, checked or converted."""


class SettingsError(ServeError):
    """A setting's value cannot be used."""
