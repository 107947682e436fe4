"""What happens at the same time, and ids that nothing can have; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter

import pytest

from serve.api.errors import ApiError
from serve.api.storage.database import Clash

from .conftest import Running


async def a_turn(stored: Running) -> str:
    async with stored.client() as client:
        return (await client.post("/v1/turns", json={"message": "hello"})).json()["id"]


async def test_feedback_given_many_times_at_once_is_kept_once(stored: Running, caplog: pytest.LogCaptureFixture):
    turn = await a_turn(stored)
    async with stored.client() as client:

        async def give(number: int) -> int:
            body = {"thumb": "down", "comment": f"PRIVATE {number}"}
            return (await client.put(f"/v1/turns/{turn}/feedback", json=body)).status_code

        for start in range(0, 40, 8):
            assert set(await asyncio.gather(*(give(start + i) for i in range(8)))) == {200}
        kept = (await client.get(f"/v1/turns/{turn}")).json()["feedback"]
    assert kept["comment"] in {f"PRIVATE {number}" for number in range(32, 40)}
    assert "PRIVATE" not in caplog.text


async def test_feedback_on_a_turn_that_is_deleted_meanwhile_is_404(stored: Running):
    codes: Counter[int] = Counter()
    async with stored.client() as client:
        for _ in range(10):
            turn = await a_turn(stored)
            given = [client.put(f"/v1/turns/{turn}/feedback", json={"thumb": "up"}) for _ in range(4)]
            answers = await asyncio.gather(*given, client.delete(f"/v1/turns/{turn}"))
            assert answers[-1].status_code == 204
            codes.update(answer.status_code for answer in answers[:-1])
    assert set(codes) <= {200, 404}


async def test_an_id_that_nothing_can_have_is_404(stored: Running):
    async with stored.client() as client:
        for method, path, body in (
            ("GET", "/v1/turns/%00", None),
            ("DELETE", "/v1/turns/a%00b", None),
            ("PUT", "/v1/turns/%00/feedback", {"thumb": "up"}),
            ("GET", "/v1/conversations/a%00b", None),
            ("GET", "/v1/conversations/a%00b/export", None),
            ("PATCH", "/v1/conversations/%00", {"title": "x"}),
            ("DELETE", "/v1/conversations/%00", None),
            ("GET", "/v1/responses/%00", None),
            ("DELETE", "/v1/responses/%00", None),
            ("GET", "/v1/turns/%ff%ed%a0%80", None),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.json()["error"]["code"].endswith("_not_found")
            assert "retry-after" not in answer.headers


async def test_a_value_that_a_database_cannot_hold_is_not_a_database_that_is_down(
    stored: Running, caplog: pytest.LogCaptureFixture
):
    for title in ("PRIVATE \ud83d", *([] if stored.service.store.database.is_sqlite else ["PRIVATE \0"])):
        with pytest.raises(ApiError) as caught:
            await stored.service.store.add_conversation("conv_1", stored.key_id, title=title, role="assistant")
        assert (caught.value.status, caught.value.code) == (400, "invalid_value")
    assert "PRIVATE" not in caplog.text


async def test_a_clash_says_nothing_of_the_row(stored: Running):
    row = {"owner": stored.key_id, "title": " ".join(["PRIVATE", "words"]), "role": "assistant"}
    await stored.service.store.add_conversation("conv_1", **row)
    with pytest.raises(Clash) as caught:
        await stored.service.store.add_conversation("conv_1", **row)
    assert "PRIVATE words" not in "".join(traceback.format_exception(caught.value))
