"""How much of a conversation a prompt holds: the caller's instructions, and the newest whole turns that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dialog.messages import Message


def newest_turns(
    lead: Sequence[Message], messages: Sequence[Message], write: Callable[[list[Message]], list[int]], room: int
) -> tuple[list[Message], list[int]]:
    """(`lead`, the caller's instructions, with the newest whole turns that `write` puts into `room` ids; those ids).

    A whole turn is a user's message and what answered it. The last one always stays: its ids may be more than `room`.
    """
    starts = [i for i, message in enumerate(messages) if i == 0 or message.role == "user"]
    if not starts:
        return [*lead], write([*lead])
    fits, fails, tried = 0, len(starts) + 1, 1  # numbers of newest turns
    kept, ids = [*lead, *messages], []
    # More and more turns from the end, then by halves: the work is bounded by what the model reads.
    while fails - fits > 1:
        newest = [*lead, *messages[starts[-tried] :]]
        if len(read := write(newest)) <= room:
            fits, kept, ids = tried, newest, read
        elif tried == 1:
            return newest, read
        else:
            fails = tried
        tried = min(2 * fits, len(starts)) if fails > len(starts) else (fits + fails) // 2
    return kept, ids
