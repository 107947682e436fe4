"""The embedded engine beyond the conformance suite: loading, adapters, memory between calls, closing."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from dialog.decoder import Sampling
from dialog.errors import AdapterError, EngineUnavailable
from serve.engines import open_decoder
from serve.engines.merge import merged_folder
from serve.engines.plain import PlainModel
from serve.engines.prefixes import UNSCORED, PrefixStore, Prompt, Samples
from serve.engines.shared import BLOCK, SharedPromptModel
from serve.engines.transformers import TransformersDecoder
from serve.errors import ModelStoreError, SettingsError

from .adapters import make_adapter


def load(folder: Path, **settings) -> TransformersDecoder:
    return TransformersDecoder.load(folder, model_name="tiny", revision="r1", dtype="float32", device="cpu", **settings)


@pytest.fixture
def adapter(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    return make_adapter(model_folder("qwen2"), tmp_path / "kind")


def test_a_start_does_not_import_what_it_does_not_use() -> None:
    code = (
        "import sys, serve.engines.loading; assert not {'sklearn', 'scipy', 'peft', 'vllm'} & set(sys.modules);"
        "import sklearn.metrics, scipy.stats"  # hidden for a moment only
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_samples_do_not_depend_on_the_number_of_threads(model_folder: Callable[[str], Path]) -> None:
    drawn = []
    for threads in (1, 2, 3):
        decoder = load(model_folder("default"), threads=threads)
        drawn.append(await decoder.generate([1, 504, 3575, 2770], Sampling(n=3, max_tokens=6, seed=11)))
        await decoder.aclose()
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize("model", ["default", "qwen2", "gemma3"])
def test_these_architectures_share_the_prompt(model_folder: Callable[[str], Path], model: str) -> None:
    assert isinstance(load(model_folder(model))._model, SharedPromptModel)


async def test_a_recurrent_model_runs_behind_its_own_cache(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = MambaConfig(vocab_size=400, hidden_size=48, state_size=8, num_hidden_layers=2)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder("qwen2") / name, tmp_path)
    decoder = load(tmp_path)
    assert isinstance(decoder._model, PlainModel)

    samples = await decoder.generate([5, 6, 7, 8], Sampling(n=3, max_tokens=5, seed=1))
    (score,) = await decoder.score([[5, 6, 7, 8, *samples[0].token_ids]], [1, 2, 3])

    reference = MambaForCausalLM.from_pretrained(tmp_path)
    with torch.inference_mode():
        logits = reference(torch.tensor([[5, 6, 7, 8, *samples[0].token_ids]])).logits[0].log_softmax(-1)
    assert score == pytest.approx(logits[-1, 1:4].numpy(), abs=1e-3)
    steps = logits[3:8].gather(1, torch.tensor(samples[0].token_ids)[:, None])
    assert samples[0].logprob == pytest.approx(float(steps.sum()), abs=1e-3)
    await decoder.aclose()


async def test_both_ways_of_running_a_model_agree(model_folder: Callable[[str], Path]) -> None:
    shared, plain = load(model_folder("gemma3")), load(model_folder("gemma3"))
    assert isinstance(plain._model, SharedPromptModel)
    plain._model = PlainModel(plain._model.model, plain._model.device)
    plain._model.model.set_attn_implementation("sdpa")
    ids, sampling = list(range(3, 60)), Sampling(n=3, max_tokens=30, seed=1, stop_token_ids=(7, 9))

    one, other = await shared.generate(ids, sampling), await plain.generate(ids, sampling)

    assert [sample.token_ids for sample in one] == [sample.token_ids for sample in other]
    assert [sample.logprob for sample in one] == pytest.approx([sample.logprob for sample in other], abs=1e-2)
    await shared.aclose()
    await plain.aclose()


async def test_a_seed_repeats_exactly_whatever_ran_before(model_folder: Callable[[str], Path]) -> None:
    long = [5 + place % 300 for place in range(2 * BLOCK + 40)]
    sampling = Sampling(n=4, max_tokens=12, seed=8)
    fresh, used = load(model_folder("qwen2")), load(model_folder("qwen2"))
    await used.generate(long[: BLOCK + 30], sampling)
    await used.score([[*long[:-20], 1, 2], long[:50]], [1, 2])

    assert await fresh.generate(long, sampling) == await used.generate(long, sampling)
    await fresh.aclose()
    await used.aclose()


async def test_the_beginning_of_a_cached_prompt_is_a_prompt_of_its_own(
    model_folder: Callable[[str], Path],
) -> None:
    long = [5 + place % 300 for place in range(2 * BLOCK + 40)]
    sampling = Sampling(n=2, max_tokens=6, seed=8)
    fresh, used = load(model_folder("qwen2")), load(model_folder("qwen2"))
    await used.generate(long, sampling)
    for end in (BLOCK, 2 * BLOCK):  # a whole number of blocks
        assert await fresh.generate(long[:end], sampling) == await used.generate(long[:end], sampling)
        assert (await fresh.score([long[:end]], [1, 2]) == await used.score([long[:end]], [1, 2])).all()
    await fresh.aclose()
    await used.aclose()


async def test_a_row_does_not_depend_on_how_many_run(model_folder: Callable[[str], Path]) -> None:
    decoder = load(model_folder("qwen2"))
    few = await decoder.generate([5, 6, 7], Sampling(n=2, max_tokens=10, seed=4))
    many = await decoder.generate([5, 6, 7], Sampling(n=7, max_tokens=10, seed=4))
    assert [sample.token_ids for sample in few] == [sample.token_ids for sample in many[:2]]
    await decoder.aclose()


async def test_memory_between_calls_stays_within_its_budget(model_folder: Callable[[str], Path]) -> None:
    decoder = load(model_folder("qwen2"))
    store = decoder._model.store  # type: ignore[union-attr]
    await decoder.generate([5] * 200, Sampling(n=4, max_tokens=4, seed=1))
    store.budget = 2 * store.size()
    for first in range(8):
        await decoder.generate([first] * 200, Sampling(n=4, max_tokens=4, seed=1))
    assert store.size() <= store.budget
    await decoder.aclose()


async def test_an_adapter_is_merged_and_changes_the_answer(model_folder: Callable[[str], Path], adapter: Path) -> None:
    base, tuned = load(model_folder("qwen2")), load(model_folder("qwen2"), adapter=adapter)
    assert tuned.info.adapter == "kind"
    plain, changed = await base.score([[5, 6, 7]], [1, 2]), await tuned.score([[5, 6, 7]], [1, 2])
    assert abs(plain - changed).max() > 1e-3

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model_folder("qwen2"), dtype=torch.float32),
        LoraConfig.from_pretrained(str(adapter)),
    )
    model.load_adapter(str(adapter), "default")
    with torch.inference_mode():
        unmerged = model.eval()(torch.tensor([[5, 6, 7]])).logits[0, -1].log_softmax(-1)[[1, 2]]
    assert changed[0] == pytest.approx(unmerged.numpy(), abs=1e-3)
    await base.aclose()
    await tuned.aclose()


def test_an_adapter_of_another_base_is_refused(
    model_folder: Callable[[str], Path], adapter: Path, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=r"'kind' does not fit tiny.*Use the adapter's own base"):
        load(model_folder("gemma3"), adapter=adapter)

    other = shutil.copytree(adapter, tmp_path / "other")
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "revision": "r0"}))
    with pytest.raises(AdapterError, match=r"trained on .* revision r0, but tiny is r1"):
        load(model_folder("qwen2"), adapter=other)

    named = {**config, "revision": None, "base_model_name_or_path": "acme/tiny-base"}
    (other / "adapter_config.json").write_text(json.dumps(named))
    with pytest.raises(AdapterError, match=r"trained on acme/tiny-base, not on tiny. Use --model acme/tiny-base"):
        load(model_folder("qwen2"), adapter=other)
    (other / "adapter_config.json").write_text(json.dumps({**named, "base_model_name_or_path": "acme/Tiny"}))
    load(model_folder("qwen2"), adapter=other)

    with pytest.raises(AdapterError, match="no readable adapter_config"):
        load(model_folder("qwen2"), adapter=tmp_path)


async def test_merged_weights_get_a_folder_of_their_own(
    model_folder: Callable[[str], Path], adapter: Path, tmp_path: Path
) -> None:
    def merge(of: Path) -> Path:
        return merged_folder(
            model_folder("qwen2"), of, model_name="tiny", revision="r1", root=tmp_path / "merged", dtype="float32"
        )

    made = merge(adapter)
    assert merge(adapter) == made
    cut = made / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])  # as a crash may leave it
    assert merge(adapter) == made
    merged, live = load(made), load(model_folder("qwen2"), adapter=adapter)
    assert await merged.score([[5, 6]], [1, 2]) == pytest.approx(await live.score([[5, 6]], [1, 2]), abs=1e-4)

    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert merge(adapter) != made
    assert not [path for path in (tmp_path / "merged").iterdir() if path.name.startswith(".")]
    await merged.aclose()
    await live.aclose()


async def test_a_closed_decoder_says_so(model_folder: Callable[[str], Path]) -> None:
    decoder = load(model_folder("qwen2"))
    running = asyncio.create_task(decoder.generate([5], Sampling(n=64, max_tokens=500, seed=1)))
    waiting = asyncio.create_task(decoder.score([[5, 6]], [1]))
    await asyncio.sleep(0.2)

    await decoder.aclose()
    await decoder.aclose()

    for task in (running, waiting):
        with pytest.raises(EngineUnavailable, match="was closed"):
            await task
    with pytest.raises(EngineUnavailable, match="was closed"):
        await decoder.score([[5]], [1])


async def test_a_cancelled_call_that_waits_never_runs(model_folder: Callable[[str], Path]) -> None:
    decoder = load(model_folder("qwen2"))
    running = asyncio.create_task(decoder.generate([5], Sampling(n=8, max_tokens=60, seed=1)))
    waiting = asyncio.create_task(decoder.generate([6], Sampling(n=64, max_tokens=500, seed=1)))
    await asyncio.sleep(0.05)
    waiting.cancel()

    assert len(await running) == 8
    assert len(await asyncio.wait_for(decoder.generate([7], Sampling(n=1, max_tokens=1)), 5)) == 1
    await decoder.aclose()


async def test_loading_shows_nothing_on_a_terminal(
    model_folder: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    await load(model_folder("qwen2")).aclose()
    assert capfd.readouterr() == ("", "")


def test_bad_settings_and_folders_are_named(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = model_folder("qwen2")
    with pytest.raises(SettingsError, match="device 'quantum' cannot be used"):
        TransformersDecoder.load(folder, model_name="m", revision="r", device="quantum")
    with pytest.raises(SettingsError, match="unknown dtype 'int3'"):
        TransformersDecoder.load(folder, model_name="m", revision="r", dtype="int3")
    with pytest.raises(ModelStoreError, match="tokenizer"):
        load(tmp_path)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelStoreError, match="causal language model"):
        load(broken)


async def test_an_unknown_engine_is_named_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"unknown engine 'tgi'. Use transformers, vllm, or the URL"):
        await open_decoder("tgi", tmp_path, model_name="m", revision="r")


async def test_what_waits_for_its_scores_outlives_what_others_do_meanwhile(model_folder: Callable[[str], Path]) -> None:
    alone, busy = load(model_folder("qwen2")), load(model_folder("qwen2"))
    store = busy._model.store  # type: ignore[union-attr]
    sampling = Sampling(n=3, max_tokens=6, seed=2)
    scores = []
    for decoder in (alone, busy):
        drawn = await decoder.generate([5 + i % 90 for i in range(150)], sampling)
        if decoder is busy:
            store.budget = store.size() * 3
            for first in range(12):  # other turns, each whole: much more than fits
                for sample in await busy.generate([first] * 140, sampling):
                    await busy.score([[*[first] * 140, *sample.token_ids, 9]], [1, 2])
            assert store.size() <= store.budget
        answers = [[*[5 + i % 90 for i in range(150)], *sample.token_ids, 7] for sample in drawn]
        before = store._count
        scores.append(await decoder.score(answers, [1, 2, 3]))
        assert store._count == before  # nothing was read anew
        await decoder.aclose()
    assert (scores[0] == scores[1]).all()


def test_samples_that_are_never_scored_leave_in_their_turn() -> None:
    prompt = Prompt((1, 2), [], torch.empty(0))

    def samples() -> Samples:
        layer = (torch.empty(1, 1, 1, 8), torch.empty(1, 1, 1, 8))
        return Samples(prompt, [(3,)], SimpleNamespace(own=[layer]))  # type: ignore[arg-type]

    store = PrefixStore(1 << 20)
    given_up = [samples() for _ in range(UNSCORED + 4)]
    for entry in given_up:
        store.add(entry)
    store.budget = store.size() // 2
    scored = samples()
    store.add(scored)
    assert store.best_samples([1, 2, 3, 4]) is not None
    for _ in range(UNSCORED // 4):
        store.add(samples())
    held = {id(entry) for entry in store._entries.values()}
    assert not held & {id(entry) for entry in given_up[:8]}
    assert store.size() <= store.budget
