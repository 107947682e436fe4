"""A word list of profanity and insults: the plainest safety classifier, for comparison only.

It sees words and not what is meant: a polite threat passes and a quoted curse does not. Nothing is filtered by it.
"""

from __future__ import annotations

import re

_STEMS = (
    "arse arsehole ass asshole asshat bastard bitch bitchy bollocks bugger bullshit cock coon crap crappy cunt damn "
    "dammit dick dickhead dipshit douche douchebag dumbass dyke fag faggot fuck fucker fucking fucked goddamn gook "
    "horseshit idiot idiotic imbecile jackass jerkoff kike knobhead moron moronic motherfucker motherfucking nigga "
    "nigger paki piss pissed prick pussy retard retarded scum shit shithead shithole shitty skank slut slutty spic "
    "tits tranny twat wank wanker wetback whore"
)
WORDS = frozenset(form for stem in _STEMS.split() for form in (stem, f"{stem}s", f"{stem}es"))
"""The words with their plurals, in lower case."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def share_of_profanity(text: str) -> float:
    """The share of a text's words that are on the list; 0 for a text without words."""
    words = _WORD.findall(text.lower())
    return sum(word in WORDS for word in words) / len(words) if words else 0.0
