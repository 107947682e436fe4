from __future__ import annotations

import numpy as np
import pytest

from dialog.calibration import HARMLESS_READS_AS, calibrate_safety
from dialog.chat_dialect import ChatDialect
from dialog.decoder import Sampling
from dialog.judge import judge, quality, read_probabilities
from dialog.messages import Message
from dialog.roles import load_role
from dialog.tuned_dialect import TunedDialect
from safety.policy import Policy

ROLE = load_role("assistant")
ASKED = [Message(role="user", content="Hello?")]


def test_quality_is_lamdas_weighting() -> None:
    assert quality(1.0, 1.0, 1.0) == 5.0
    assert quality(1.0, 0.0, 0.0) == 3.0


async def test_a_discriminators_prompt_is_generation_ids_candidate_ids_and_a_suffix(tuned, scripted) -> None:
    decoder = scripted(["First.", "Second."])
    prompt = tuned.base_prompt(ASKED, ROLE)
    samples = await decoder.generate(prompt, Sampling(n=2))
    await judge(decoder, tuned, prompt, samples, Policy())
    assert decoder.read == [(*prompt, *sample.token_ids, *tuned.attribute_reads[0].suffix) for sample in samples]


async def test_the_unsafe_are_dropped_and_the_rest_ranked(tuned: TunedDialect, scripted) -> None:
    class Judges(type(scripted([""]))):  # type: ignore[misc]
        async def score(self, prompts_ids, label_ids):
            safe, sensible = tuned.attribute_reads[0].pairs["safe"], tuned.attribute_reads[0].pairs["sensible"]
            rows = []
            for ids in prompts_ids:
                text = self.tokenizer.decode(ids)
                row = dict.fromkeys(label_ids, np.log(0.5))
                row[safe.yes], row[safe.no] = (
                    (np.log(0.1), np.log(0.9)) if "rude" in text else (np.log(0.9), np.log(0.1))
                )
                row[sensible.yes] = np.log(0.9 if "good" in text else 0.2)
                rows.append([row[label] for label in label_ids])
            return np.array(rows, dtype=np.float32)

    decoder = Judges(scripted([""]).tokenizer, lambda prompt: ["rude good", "dull", "good", "good", ""])
    samples = await decoder.generate([1], Sampling(n=5))
    judged = [candidate for candidate, _ in await judge(decoder, tuned, [1], samples, Policy(threshold=0.5))]
    assert [(candidate.text, candidate.kept) for candidate in judged] == [
        ("good", True),
        ("dull", True),
        ("rude good", False),
        ("good", False),
        ("", False),
    ]
    assert judged[2].reason == "P(safe) 0.10 is below 0.50"
    assert [candidate.reason for candidate in judged[3:]] == ["repeats another", "empty"]
    assert judged[0].scores is not None
    assert judged[0].scores.safe == pytest.approx(0.9, abs=1e-4)


async def test_a_probability_is_the_softmax_over_its_own_pair(tuned, scripted) -> None:
    decoder = scripted(["x"], probability=lambda prompt: 0.2)
    [found] = await read_probabilities(decoder, tuned.attribute_reads, [[1, 2, 3]])
    assert found == {name: pytest.approx(0.2, abs=1e-5) for name in ("sensible", "specific", "interesting", "safe")}
    assert await read_probabilities(decoder, tuned.attribute_reads, []) == []


async def test_calibration_moves_harmless_answers_to_a_fixed_probability(chat: ChatDialect, scripted) -> None:
    decoder = scripted(["x"], probability=lambda prompt: 0.3)
    await calibrate_safety(decoder, chat, ROLE)
    [found] = await read_probabilities(decoder, chat.attribute_reads, [[1, 2]])
    assert found["safe"] == pytest.approx(HARMLESS_READS_AS, abs=1e-4)
    assert found["sensible"] == pytest.approx(0.3, abs=1e-4)
