"""The main path with the real default model: the command, from its start to a cited, stored, streamed answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from .conftest import Command


@pytest.mark.slow
def test_the_embedded_default_answers_over_the_api(default_model: Path, command: Callable[..., Command]):
    started = time.monotonic()
    served = command("--corpus", "none", GROUNDLING_AGENT="serve.api.loading:assembled")
    print(f"ready after {time.monotonic() - started:.1f} s")
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=120) as client:
        [*names] = [model.id for model in client.models.list()]
        ask = {"model": "groundling", "messages": [{"role": "user", "content": "What is 135 + 7721?"}], "seed": 7}
        whole = client.chat.completions.create(**ask, max_tokens=24)
        streamed = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(**ask, max_tokens=24, stream=True)
        )
        talk = client.responses.create(model="groundling", input="Tell me something nice.", max_output_tokens=24)
        judged = client.moderations.create(input="Have a lovely day.")
    assert any("smollm2" in name.lower() for name in names)
    assert "7856" in (whole.choices[0].message.content or "")
    assert streamed == whole.choices[0].message.content  # the seed repeats the turn, the stream replays it
    assert talk.output[0].content  # type: ignore[union-attr]
    assert 0.0 <= judged.results[0].category_scores.model_extra["unsafe"] <= 1.0  # type: ignore[index]
    turn_id = whole.choices[0].model_extra["groundling"]["turn_id"]  # type: ignore[index]
    turn = httpx.get(f"{served.url}/v1/turns/{turn_id}", headers={"Authorization": f"Bearer {served.key}"}).json()
    assert turn["decoder"]["engine"] == "transformers"
    assert all(0.0 <= candidate["scores"]["safe"] <= 1.0 for candidate in turn["candidates"] if candidate["scores"])
    assert turn["tool_calls"][0]["tool"] == "calculator"
