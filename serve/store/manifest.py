"""The manifest of a stored folder: what it is, where it came from, and how to tell that it is whole.

Sizes and modification times are checked at each use; a file whose time differs from the recorded one is hashed
again. So a truncated, edited or missing file is found without reading gigabytes at every start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

NAME = "groundling.json"
FORMAT = 1


class StoredFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    mtime_ns: int
    sha256: str


class Manifest(BaseModel):
    """Written last into a new folder; a folder without it is not whole."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    name: str
    source: str
    revision: str | None
    licence: str = ""
    files: dict[str, StoredFile]

    @classmethod
    def write(cls, folder: Path, *, name: str, source: str, revision: str | None, licence: str = "") -> Manifest:
        """Hash every file below `folder` and write the manifest."""
        files = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME):
            facts = path.stat()
            files[path.relative_to(folder).as_posix()] = StoredFile(
                size=facts.st_size, mtime_ns=facts.st_mtime_ns, sha256=sha256_of(path)
            )
        manifest = cls(name=name, source=source, revision=revision, licence=licence, files=files)
        (folder / NAME).write_text(manifest.model_dump_json(indent=1))
        return manifest

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The folder's manifest, or None where there is none that can be read."""
        try:
            manifest = cls.model_validate_json((folder / NAME).read_bytes())
        except (OSError, ValidationError):
            return None
        return manifest if manifest.format == FORMAT else None

    @classmethod
    def problem(cls, folder: Path) -> str | None:
        """What is wrong with the folder, in words, or None where it is whole."""
        if not folder.is_dir():
            return "missing"
        if (manifest := cls.read(folder)) is None:
            return f"{NAME} is missing or unreadable"
        for name, expected in manifest.files.items():
            path = folder / name
            try:
                facts = path.stat()
            except OSError:
                return f"{name} is missing"
            if facts.st_size != expected.size:
                return f"{name} has {facts.st_size} bytes, expected {expected.size}"
            if facts.st_mtime_ns != expected.mtime_ns and sha256_of(path) != expected.sha256:
                return f"{name} has changed"
        return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """A revision for a model folder that has no manifest: from its configuration and samples of its weights.

    Reads at most 1 MiB a weight file, so that it costs milliseconds on any size; two sets of weights that agree in
    shape and in all samples would collide, which trained weights do not.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        if path.name == NAME:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for part in range(16):
                file.seek(size * part // 16)
                digest.update(file.read(65536))
    return digest.hexdigest()
