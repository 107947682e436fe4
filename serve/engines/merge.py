"""Folders of weights with an adapter merged in, for engines that read weights from disk.

Boundary: one folder for each (base revision, adapter content). A changed adapter gets a new path, because engines keep
caches by path.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from dialog.errors import AdapterError
from serve.home import home
from serve.store.manifest import Manifest
from serve.store.wheel import locked, new_folder


def merged_folder(
    folder: Path, adapter: Path, *, model_name: str, revision: str, root: Path | None = None, dtype: str = "bfloat16"
) -> Path:
    """The model in `folder` with the LoRA `adapter` folder merged in, made where it is missing.

    The merge is computed in float32 and stored as `dtype`; float32 doubles the folder and keeps small updates exact.
    `root` is `<home>/merged` where it is not given. Raises AdapterError and ModelStoreError.
    """
    from serve.engines import loading

    made = (root or home() / "merged") / _key(adapter, revision, dtype)
    if not Manifest.problem(made):
        return made
    with locked(made):
        if not Manifest.problem(made):
            return made
        with new_folder(made) as part:
            kind = loading.choose_dtype(dtype, loading.choose_device("cpu"))
            model = loading.load_model(folder, loading.choose_device("cpu"), loading.DTYPES["float32"])
            model = loading.merge_adapter(model, adapter, model_name=model_name, revision=revision)
            with loading.quiet():
                model.to(kind).save_pretrained(part)
                loading.load_tokenizer(folder).save_pretrained(part)
            Manifest.write(part, name=f"{model_name} + {adapter.name}", source=str(adapter), revision=revision)
    return made


def _key(adapter: Path, revision: str, dtype: str) -> str:
    digest = hashlib.sha256(f"{revision}\n{dtype}\n".encode())
    files = [path for path in sorted(adapter.glob("*")) if path.suffix in (".json", ".safetensors", ".bin")]
    if not files:
        raise AdapterError(f"{adapter} holds no adapter. Name a folder saved by peft.")
    for path in files:
        digest.update(f"{path.name}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return f"{adapter.name[:40]}-{digest.hexdigest()[:16]}"
