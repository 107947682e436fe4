"""What every engine must do, with one wording for all: `dialog.decoder.Decoder` on real weights.

Each test runs for every engine and model of `conftest.SUBJECTS`. The expected values come from a plain forward pass.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

import numpy as np
import pytest

from dialog.decoder import Decoder, Sampling
from dialog.errors import ContextLengthError
from serve.engines.checks import DecoderInputError

from .conftest import Subject

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_is_a_decoder_that_says_what_it_is(subject: Subject) -> None:
    info = subject.decoder.info
    assert isinstance(subject.decoder, Decoder)
    assert info.engine in ("transformers", "vllm", "remote")
    assert info.revision == "test"
    assert info.context_length >= 512
    assert info.vocab_size == len(subject.reference.logprobs(subject.prompt()))


async def test_draws_n_samples_of_at_most_max_tokens(subject: Subject) -> None:
    samples = await subject.decoder.generate(subject.prompt(), Sampling(n=5, max_tokens=7, seed=1))

    assert len(samples) == 5
    for sample in samples:
        assert len(sample.token_ids) == 7
        assert sample.finish_reason == "length"
        assert sample.logprob < 0
        assert sample.text == subject.decoder.tokenizer.decode(sample.token_ids, skip_special_tokens=True)
    assert len({sample.token_ids for sample in samples}) > 1


async def test_an_equal_seed_repeats_a_call(subject: Subject) -> None:
    ids = subject.prompt()
    one = await subject.decoder.generate(ids, Sampling(n=4, max_tokens=8, seed=11))
    again = await subject.decoder.generate(ids, Sampling(n=4, max_tokens=8, seed=11))
    other = await subject.decoder.generate(ids, Sampling(n=4, max_tokens=8, seed=12))

    assert [sample.token_ids for sample in one] == [sample.token_ids for sample in again]
    assert [sample.token_ids for sample in one] != [sample.token_ids for sample in other]
    assert [sample.token_ids for sample in one[1:]] != [sample.token_ids for sample in other[:-1]]
    if subject.exact:
        assert one == again


async def test_zero_temperature_takes_the_most_likely_token(subject: Subject) -> None:
    ids = subject.prompt()
    (sample,) = await subject.decoder.generate(ids, Sampling(n=1, max_tokens=6, temperature=0.0))

    for place, token in enumerate(sample.token_ids):
        expected = subject.reference.logprobs(ids + list(sample.token_ids[:place]))
        assert expected[token] >= expected.max() - 2 * subject.tolerance


async def test_logprob_is_the_models_own_whatever_the_temperature(subject: Subject) -> None:
    ids = subject.prompt()
    samples = await subject.decoder.generate(ids, Sampling(n=3, max_tokens=5, seed=2, temperature=1.7, top_k=20))

    for sample in samples:
        steps = [
            float(subject.reference.logprobs(ids + list(sample.token_ids[:place]))[token])
            for place, token in enumerate(sample.token_ids)
        ]
        assert sample.logprob == pytest.approx(sum(steps), abs=5 * subject.tolerance)


async def test_logprob_agrees_with_score(subject: Subject) -> None:
    ids = subject.prompt("Bread is made from")
    (sample,) = await subject.decoder.generate(ids, Sampling(n=1, max_tokens=6, seed=3))

    prompts = [ids + list(sample.token_ids[:place]) for place in range(6)]
    scores = [await subject.decoder.score([p], [t]) for p, t in zip(prompts, sample.token_ids, strict=True)]

    assert sample.logprob == pytest.approx(sum(float(s[0, 0]) for s in scores), abs=6 * subject.tolerance)


async def test_a_stop_token_ends_a_sample_and_counts_in_its_logprob_only(subject: Subject) -> None:
    ids = subject.prompt()
    (whole,) = await subject.decoder.generate(ids, Sampling(n=1, max_tokens=6, temperature=0.0))
    stop = whole.token_ids[3]
    before = whole.token_ids[: whole.token_ids.index(stop)]

    (ended,) = await subject.decoder.generate(ids, Sampling(n=1, max_tokens=6, temperature=0.0, stop_token_ids=(stop,)))

    assert ended.token_ids == before
    assert ended.finish_reason == "stop"
    steps = [
        float(subject.reference.logprobs(ids + list(before[:place]))[token])
        for place, token in enumerate((*before, stop))
    ]
    assert ended.logprob == pytest.approx(sum(steps), abs=6 * subject.tolerance)


async def test_rows_end_one_by_one(subject: Subject) -> None:
    ids = subject.prompt()
    free = await subject.decoder.generate(ids, Sampling(n=6, max_tokens=12, seed=5))
    stops = tuple({sample.token_ids[place] for place, sample in enumerate(free[:4], start=2)})

    ended = await subject.decoder.generate(ids, Sampling(n=6, max_tokens=12, seed=5, stop_token_ids=stops))

    assert {sample.finish_reason for sample in ended} >= {"stop"}
    for sample in ended:
        assert not set(sample.token_ids) & set(stops)
        steps = [
            float(subject.reference.logprobs(ids + list(sample.token_ids[:place]))[token])
            for place, token in enumerate(sample.token_ids)
        ]
        if sample.finish_reason == "length":
            assert sample.logprob == pytest.approx(sum(steps), abs=12 * subject.tolerance)
        else:
            assert sample.logprob < sum(steps) + 12 * subject.tolerance


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"top_k": 0, "top_p": 1e-6}])
async def test_the_narrowest_sampling_is_the_most_likely_token(subject: Subject, settings: dict) -> None:
    ids = subject.prompt()
    (sample,) = await subject.decoder.generate(ids, Sampling(n=1, max_tokens=3, temperature=1.5, seed=1, **settings))

    for place, token in enumerate(sample.token_ids):
        expected = subject.reference.logprobs(ids + list(sample.token_ids[:place]))
        assert expected[token] >= expected.max() - 2 * subject.tolerance


async def test_samples_stay_among_the_top_k(subject: Subject) -> None:
    ids = subject.prompt()
    samples = await subject.decoder.generate(ids, Sampling(n=24, max_tokens=1, temperature=2.0, top_k=4, seed=9))

    drawn = {sample.token_ids[0] for sample in samples}
    kth = subject.reference.logprobs(ids).topk(4).values[-1]
    assert len(drawn) > 1
    assert all(subject.reference.logprobs(ids)[token] >= kth - 2 * subject.tolerance for token in drawn)


async def test_score_is_a_plain_forward_pass(subject: Subject) -> None:
    ids = subject.prompt()
    samples = await subject.decoder.generate(ids, Sampling(n=4, max_tokens=20, seed=6))
    suffix = subject.decoder.tokenizer.encode(" and so", add_special_tokens=False)
    labels = subject.prompt("once more")[-6:]
    labels = list(dict.fromkeys(labels))
    prompts = [
        *(ids + list(sample.token_ids) + suffix for sample in samples),  # what a judge asks
        *(ids + list(sample.token_ids[:5]) for sample in samples[:2]),  # a part of a candidate
        ids,
        ids[:3],
        subject.prompt("When the lamp went out they told stories until the morning came. " * 4),
    ]

    scores = await subject.decoder.score(prompts, labels)

    assert scores.shape == (len(prompts), len(labels))
    assert scores.dtype == np.float32
    for prompt, row in zip(prompts, scores, strict=True):
        assert row == pytest.approx(subject.reference.logprobs(prompt)[labels].numpy(), abs=subject.tolerance)


async def test_scoring_nothing_gives_no_rows(subject: Subject) -> None:
    assert (await subject.decoder.score([], [1, 2])).shape == (0, 2)


async def test_scoring_after_generating_is_cheaper_than_scoring_cold(subject: Subject) -> None:
    ids = subject.prompt("The river runs from the mountains to the sea. " * 20)[:400]
    suffix, labels = ids[-3:], [3, 4]
    sampling = Sampling(n=8, max_tokens=32, seed=1)
    samples = await subject.decoder.generate(ids, sampling)

    async def seconds(prompt: list[int]) -> float:
        started = time.perf_counter()
        await subject.decoder.score([prompt + list(sample.token_ids) + suffix for sample in samples], labels)
        return time.perf_counter() - started

    cold, warm = [], []
    for turned in (1, 2, 3):  # as long, but with no beginning in common; more than one, since a machine may be busy
        cold.append(await seconds([ids[0], *ids[1 + turned :], *ids[1 : 1 + turned]]))
        warm.append(await seconds(ids))
    assert median(warm) < median(cold)


async def test_calls_may_run_side_by_side(subject: Subject) -> None:
    one, two = subject.prompt("Which planet?"), subject.prompt("Tell me a story.")
    sampling = Sampling(n=3, max_tokens=6, seed=4)
    alone = await subject.decoder.score([one, two], [5, 6])

    first, scores, second = await asyncio.gather(
        subject.decoder.generate(one, sampling),
        subject.decoder.score([one, two], [5, 6]),
        subject.decoder.generate(two, sampling),
    )

    assert len(first) == len(second) == 3
    assert scores == pytest.approx(alone, abs=subject.tolerance)
    if subject.exact:
        assert first == await subject.decoder.generate(one, sampling)
        assert second == await subject.decoder.generate(two, sampling)


async def test_cancelling_frees_the_engine(subject: Subject) -> None:
    ids = subject.prompt()
    short = Sampling(n=1, max_tokens=2, seed=1)
    started = time.perf_counter()
    await subject.decoder.generate(ids, short)
    alone = time.perf_counter() - started

    length = subject.decoder.info.context_length - len(ids)
    task = asyncio.create_task(subject.decoder.generate(ids, Sampling(n=32, max_tokens=min(length, 4000), seed=1)))
    await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    started = time.perf_counter()
    await subject.decoder.generate(ids, short)

    assert time.perf_counter() - started < 5 * alone + 2


async def test_more_than_the_context_is_refused(subject: Subject) -> None:
    length = subject.decoder.info.context_length
    ids = subject.prompt()
    with pytest.raises(ContextLengthError, match=f"context of {length}"):
        await subject.decoder.generate(ids, Sampling(n=1, max_tokens=length - len(ids) + 1))
    with pytest.raises(ContextLengthError, match=f"{length + 1} tokens"):
        await subject.decoder.score([ids, [1] * length], [1, 2])


@pytest.mark.parametrize("ids", [[], [-1], [10**6]])
async def test_ids_that_are_no_prompt_are_refused(subject: Subject, ids: list[int]) -> None:
    with pytest.raises(DecoderInputError, match="prompt_ids"):
        await subject.decoder.generate(ids, Sampling(n=1, max_tokens=1))
    with pytest.raises(DecoderInputError, match=r"prompts_ids\[1\]"):
        await subject.decoder.score([[1, 2], ids], [1, 2])


@pytest.mark.parametrize("labels", [[], [10**6], [2, 2]])
async def test_labels_that_are_none_are_refused(subject: Subject, labels: list[int]) -> None:
    with pytest.raises(DecoderInputError, match="label_ids"):
        await subject.decoder.score([[1, 2]], labels)


async def test_token_ids_come_back_as_text_and_ids(subject: Subject) -> None:
    text = "the river runs from the sea"
    ids = subject.decoder.tokenizer.encode(text, add_special_tokens=False)
    assert subject.decoder.tokenizer.decode(ids).strip() == text
    assert max(ids) < subject.decoder.info.vocab_size
