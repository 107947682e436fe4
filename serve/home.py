"""Where Groundling keeps what it fetches and makes.

One folder holds everything: `GROUNDLING_HOME`, by default `~/.groundling`.

    models/     weights, by name and revision          (made again by `groundling models pull`)
    downloads/  files from wheels, checked by hash     (fetched again)
    corpora/    retrieval indexes, by name
    adapters/   finetuned adapters, by name and version
"""

from __future__ import annotations

import os
from pathlib import Path

from serve.errors import SettingsError


def home() -> Path:
    """The folder, made where it is missing, for its owner alone: it holds conversations. Raises SettingsError."""
    path = Path(os.environ.get("GROUNDLING_HOME") or Path.home() / ".groundling").expanduser()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {path} cannot be used: {error.strerror or error}. "
            "Set GROUNDLING_HOME to one that can be written."
        ) from error
    return path
