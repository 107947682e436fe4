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


def home() -> Path:
    """The folder, made where it is missing."""
    path = Path(os.environ.get("GROUNDLING_HOME") or Path.home() / ".groundling").expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path
