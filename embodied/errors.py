"""Errors of the embodied room. Each message names the value and the remedy."""


class EmbodiedError(Exception):
    """Base of all errors that the embodied room raises to its caller."""


class SceneError(EmbodiedError):
    """A scene's nodes or relations do not make a home (for who brings scenes)."""


class ProgramError(EmbodiedError):
    """A program line, an action or an object in it cannot be read; names the line (for who writes programs)."""


class ArchiveError(EmbodiedError):
    """A scene archive is missing, of another version, or corrupt (for who installs or converts archives)."""


class GoalError(EmbodiedError):
    """A goal cannot be stated in the scene (for who asks for plans)."""


class CollectError(EmbodiedError):
    """A collection run cannot start or resume with the file and options given (for who collects)."""


class TaskError(EmbodiedError):
    """A task set cannot be built or fails its own verification (for who builds or evaluates tasks)."""
