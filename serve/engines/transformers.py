"""The embedded engine: a model of `transformers` in this process, on CPU or GPU.

Boundary: the asynchronous face of `serve.engines.shared`. One worker thread does all tensor work, one call after the
other; cancelling the awaiting task stops its call before the next step.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from dialog.decoder import DecoderInfo, Sample, Sampling, Tokenizer
from dialog.finetune.adapters import adapter_label
from serve.engines.checks import check_generate, check_score, closed, shown_name

if TYPE_CHECKING:
    from serve.engines.plain import PlainModel
    from serve.engines.shared import SharedPromptModel

Result = TypeVar("Result")


class TransformersDecoder:
    """A `dialog.decoder.Decoder`; made by `load`."""

    def __init__(
        self,
        model: SharedPromptModel | PlainModel,
        tokenizer: Tokenizer,
        info: DecoderInfo,
        threads: int | None = None,
    ) -> None:
        self._model = model
        self.tokenizer = tokenizer
        self.info = info
        self._closed = False
        self._running: set[threading.Event] = set()
        self._worker = ThreadPoolExecutor(1, "groundling-model", initializer=_use_threads, initargs=(threads,))

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        model_name: str,
        revision: str,
        adapter: Path | str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
    ) -> TransformersDecoder:
        """Load the model in `folder`, with a LoRA `adapter` folder merged in.

        `threads` None leaves the number of CPU threads to torch. Raises ModelStoreError where the folder does not
        load, AdapterError where the adapter does not fit, SettingsError for an unusable device or dtype.
        """
        from serve.engines import loading

        folder = Path(folder)
        on = loading.choose_device(device)
        kind = loading.choose_dtype(dtype, on)
        tokenizer = loading.load_tokenizer(folder)
        model = loading.load_model(folder, on, kind)
        if adapter is not None:
            model = loading.merge_adapter(model, Path(adapter), model_name=model_name, revision=revision)
        info = DecoderInfo(
            engine="transformers",
            model=shown_name(model_name),
            revision=revision,
            context_length=loading.context_length(model.config),
            vocab_size=model.config.get_text_config().vocab_size,
            adapter=None if adapter is None else adapter_label(Path(adapter)),
            device=str(on),
        )
        return cls(loading.fast_or_plain(model, on), tokenizer, info, threads)

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        """See `dialog.decoder.Decoder.generate`; equal seeds repeat exactly, whatever ran before."""
        check_generate(self.info, prompt_ids, sampling)
        drawn = await self._run(lambda check: self._model.generate(prompt_ids, sampling, check))
        return [
            Sample(
                token_ids=tuple(ids),
                text=self.tokenizer.decode(ids, skip_special_tokens=True),
                logprob=logprob,
                finish_reason=reason,
            )
            for ids, logprob, reason in drawn
        ]

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """See `dialog.decoder.Decoder.score`."""
        check_score(self.info, prompts_ids, label_ids)
        found = await self._run(lambda check: self._model.score(prompts_ids, label_ids, check).numpy())
        return found.astype(np.float32, copy=False)

    async def aclose(self) -> None:
        """Stop what runs and free the model."""
        if self._closed:
            return
        self._closed = True
        for cancelled in list(self._running):
            cancelled.set()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        del self._model

    async def _run(self, work: Callable[[Callable[[], None]], Result]) -> Result:
        if self._closed:
            raise closed(self.info)
        cancelled = threading.Event()

        def check() -> None:
            if cancelled.is_set():
                raise _Stopped

        def job() -> Result:
            import torch

            check()
            with torch.inference_mode():
                return work(check)

        self._running.add(cancelled)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, job)
        except _Stopped:
            raise closed(self.info) from None
        except asyncio.CancelledError:
            cancelled.set()
            if self._closed and not _being_cancelled():
                raise closed(self.info) from None  # aclose dropped the call before it began
            raise
        finally:
            self._running.discard(cancelled)


class _Stopped(Exception):
    """The call was cancelled; seen by nobody who awaits it."""


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
