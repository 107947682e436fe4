"""The soak, sized down; `groundling bench api --soak` runs the whole of it."""

from __future__ import annotations

import pytest

from .soak import Soak


@pytest.mark.slow
async def test_every_turn_that_was_given_is_stored_once_whatever_dies():
    found = await Soak(turns=300, workers=3, clients=12, kill_every=0.5).run()
    assert found["acknowledged"] == 300
    assert found["lost"] == found["doubled"] == found["half_written"] == 0
    assert found["stored"] == 300
    assert found["in_conversations"] == 100
    assert found["memory_growth_mib"] < 20
    assert found["database_sound"]
    assert found.get("errors", 0) == 0
    assert found["workers_killed"] >= 1
    assert found["clients_left"] >= 10
