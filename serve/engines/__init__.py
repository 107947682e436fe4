"""Engines: each runs a model behind `dialog.decoder.Decoder`. `open_decoder` picks one by name.

- `transformers`: in this process, on CPU or GPU; needs nothing more.
- `vllm`: vLLM in this process, on GPU or CPU; needs an extra package.
- an http(s) URL: a running `vllm serve`, shared by many processes or spread over a cluster.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from dialog.decoder import Decoder
from serve.errors import SettingsError
from serve.masking import masked_url

ENGINES = ("transformers", "vllm")


async def open_decoder(
    engine: str,
    model_folder: Path | str,
    *,
    model_name: str,
    revision: str,
    adapter: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Decoder:
    """A decoder that is ready to use; close it with `aclose`.

    `engine` is `transformers`, `vllm` or the URL of a running `vllm serve`. `model_folder` holds weights and tokenizer;
    of a remote engine only the tokenizer is used. `options` go to the engine's own `load` or `connect`.
    Raises SettingsError for an unknown engine or setting, ModelStoreError for a folder that does not load, AdapterError
    for an adapter that does not fit, EngineUnavailable where a server does not answer.
    """
    given: dict[str, Any] = {"model_name": model_name, "revision": revision, "adapter": adapter, **options}
    if engine == "transformers":
        from serve.engines.transformers import TransformersDecoder

        return await asyncio.to_thread(
            TransformersDecoder.load, model_folder, device=device, dtype=dtype, threads=threads, **given
        )
    if engine == "vllm":
        from serve.engines.vllm import VllmDecoder

        return await asyncio.to_thread(
            VllmDecoder.load, model_folder, device=device, dtype=dtype, threads=threads, **given
        )
    if engine.startswith(("http://", "https://")):
        from serve.engines.remote import RemoteDecoder

        return await RemoteDecoder.connect(engine, model_folder, **given)
    raise SettingsError(
        f"unknown engine {masked_url(engine)!r}. Use {', '.join(ENGINES)}, or the URL of a running `vllm serve` "
        "such as http://127.0.0.1:8000."
    )
