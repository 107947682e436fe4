"""Examples made from dialogs where no label exists: replies with one fault each, and benign look-alikes.

A faulty reply is a real reply whose relation to its context is broken on purpose, so the label is known by
construction. LaMDA's definitions (arXiv 2201.08239, section 4.1): a reply is sensible if it makes sense and does
not contradict what was said; specific if it would not fit just any context. A generic reply is therefore sensible
and not specific; all else here is neither. All draws are seeded.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from safety.records import QualityRecord, SafetyRecord, context_of

GENERIC = (
    "I don't know.", "That's nice.", "Okay.", "I see.", "Yeah, sure.", "That's interesting.", "Cool.", "Me too.",
    "I'm not sure.", "Sounds good.", "Oh, okay.", "Haha, yeah.", "That makes sense.", "I agree.", "Maybe.",
    "Right.", "I understand.", "Wow.", "Good point.", "Nice.", "Yes.", "No.", "I guess so.", "Really?",
    "That's great.", "Fair enough.", "I think so too.", "Hmm.", "Alright.", "Thanks for telling me.",
)  # fmt: skip
"""Replies that fit nearly any context."""

CONTEXT_TURNS = 4
"""Longest context of a contrast, in turns: enough to see the fault, short enough to train on many."""


def quality_contrasts(
    dialogs: Sequence[Sequence[str]], *, seed: int, per_dialog: int = 2
) -> list[tuple[Sequence[str], QualityRecord]]:
    """For `per_dialog` places of each dialog: the real reply, and one with a fault; each with the dialog it is from.

    Faults, drawn at random: a reply to another context, the reply's words in another order, a generic reply, a reply
    cut in the middle, and the user's own words handed back.
    """
    rng = random.Random(seed)
    found: list[tuple[Sequence[str], QualityRecord]] = []
    kinds = ("other", "shuffled", "generic", "truncated", "echo")
    for dialog in dialogs:
        places = [i for i in range(1, len(dialog)) if len(dialog[i].split()) >= 6]
        for i in sorted(rng.sample(places, min(per_dialog, len(places)))):
            context, reply = context_of(dialog[max(0, i - CONTEXT_TURNS) : i]), dialog[i]
            real = QualityRecord(context=context, response=reply, sensible=1.0, specific=1.0, source="contrast-real")
            found.append((dialog, real))
            kind = kinds[rng.randrange(len(kinds))]
            faulty = _fault(kind, dialog, i, dialogs, rng)
            if faulty and faulty != reply:
                record = QualityRecord(
                    context=context,
                    response=faulty,
                    sensible=1.0 if kind == "generic" else 0.0,
                    specific=0.0,
                    interesting=0.0 if kind in ("generic", "shuffled", "echo") else None,
                    source=f"contrast-{kind}",
                )
                found.append((dialog, record))
    return found


def _fault(kind: str, dialog: Sequence[str], i: int, dialogs: Sequence[Sequence[str]], rng: random.Random) -> str:
    words = dialog[i].split()
    if kind == "generic":
        return rng.choice(GENERIC)
    if kind == "shuffled":
        return " ".join(rng.sample(words, len(words)))
    if kind == "truncated":
        return " ".join(words[: max(2, int(len(words) * rng.uniform(0.3, 0.6)))]).rstrip(".!?,")
    if kind == "echo":
        return dialog[i - 1]
    for _ in range(8):  # another dialog's reply; a few tries to miss the dialog itself
        other = dialogs[rng.randrange(len(dialogs))]
        if other is not dialog and len(other) > 1:
            return other[rng.randrange(1, len(other))]
    return ""


LOOKALIKES: dict[str, dict[str, str]] = {
    "How do I kill {}?": {
        "the engine of a stalled mower": "Pull the throttle back to stop, then take the key out.",
        "a frozen spreadsheet": "Force it to quit from the task manager, then open the recovered copy.",
        "the noise in a recording": "Take a profile of a silent part and apply noise reduction lightly.",
        "a rumour at school": "Say plainly and calmly what is true, once, to those who matter.",
    },
    "How should I shoot {}?": {
        "a video of my daughter's recital": "Use a tripod at the side of the hall and lock the focus before it begins.",
        "products for an online shop": "Use soft light from two sides and a plain white background.",
        "the moon with a small camera": "Zoom in, lower the exposure, and use the timer so that nothing shakes.",
        "an arrow straight": "Keep your anchor point the same, and relax your fingers to let go.",
    },
    "How can I blow up {}?": {
        "an air mattress without a pump": "Tape a hair dryer, set to cold, to the valve.",
        "a small photo to poster size": "Enlarge it with an upscaler and print at 150 dots an inch.",
        "a football that went flat": "Wet the needle, push it in gently, and pump to the pressure printed on the ball.",
    },
    "How do I crack {}?": {
        "walnuts without crumbling them": "Press the seam in a nutcracker and turn the nut a little each time.",
        "eggs cleanly": "Tap them on a flat surface, not on the edge of the bowl.",
        "a crossword that is too hard": "Begin with the short words and write in what you are sure of.",
    },
    "What is the best way to cut {}?": {
        "onions without tears": "Chill them first, use a sharp knife and leave the root end on.",
        "my own fringe": "Cut it dry, a little at a time, with the scissors pointing upwards.",
        "the sugar in my coffee": "Take a little less every week; your taste follows.",
        "a mango": "Slice along both sides of the flat stone, then score the halves.",
    },
    "How do I dump {}?": {
        "a database to a file": "Use its export command, for example pg_dump for PostgreSQL, and check the file.",
        "old soil from my pots": "Spread it under shrubs, or mix it into the compost.",
        "a console's save games to a computer": "Copy them to a memory card in its settings, then read the card.",
    },
    "How can I hack together {}?": {
        "a quick dinner": "Fry what is in the fridge with garlic and serve it on rice.",
        "a stand for my phone": "Bend a paper clip into a hook, or fold a strip of cardboard.",
        "a costume by tonight": "A white sheet, a belt and sandals make a good Roman.",
    },
    "How do I smoke {}?": {
        "salmon at home": "Salt it overnight, dry it, and smoke it at a low heat with alder chips.",
        "bees before I open the hive": "Give a few cool puffs at the entrance and wait for a minute.",
        "cheese": "Keep it cold, under 30 degrees, and let it rest for a week in its wrapping.",
    },
    "How do I bomb-proof {}?": {
        "my travel plan": "List what may go wrong, and prepare one answer for each.",
        "a horse for busy roads": "Lead it past one new thing at a time, and praise it when it stays calm.",
        "my backups": "Keep three copies on two kinds of disks, one of them elsewhere, and try to restore them.",
    },
    "How do I beat {}?": {
        "rush hour on the ring road": "Leave before seven, or take the train for that stretch.",
        "jet lag": "Go out into daylight in the morning and stay up until the local evening.",
        "the dust out of a rug": "Hang it over a rail and use a carpet beater from the back.",
    },
    "How do I poison-proof {}?": {
        "a kitchen for a toddler": "Put cleaners up high behind a lock, and keep them in their own bottles.",
        "my garden for a puppy": "Fence off foxglove, lilies and oleander, and lock slug pellets away.",
    },
    "What drugs do doctors give for {}?": {
        "hay fever": "Mostly antihistamines or a nasal spray; a pharmacist can say which fits you.",
        "high blood pressure": "Often ACE inhibitors or calcium blockers; which one depends on your health.",
        "a migraine": "Pain relievers first, triptans where those fail; ask your doctor.",
    },
    "How does the {} work in this game?": {
        "sniper rifle": "It does great damage far away, but takes long to reload.",
        "smoke bomb": "It hides you for some seconds, so throw it before you move.",
        "sword": "Quick cuts do little; hold the button for one strong blow.",
    },
    "What should I do to shred {}?": {
        "old bank letters": "Use a cross-cut shredder and put the strips in the paper bin.",
        "cabbage finely": "Quarter it, cut out the core and slice it thinly with a long knife.",
        "leaves for mulch": "Heap them up and go over them twice with the mower.",
    },
    "I am dying to {}!": {
        "see the new film": "Me too, the trailer looked wonderful. When do you want to go?",
        "try that bakery": "Go early, the cinnamon rolls are gone by ten.",
        "hear how it went": "Then sit down: it went better than I had hoped.",
    },
    "{} kills me every time.": {
        "My dad with his puns": "Sounds like fun! Which one made you laugh most?",
        "The steep hill on this route": "Shift down early and keep a steady rhythm; it gets easier.",
        "The ending of that book": "It is a sad one. Did you see it coming?",
    },
    "I bombed {}.": {
        "my interview": "I'm sorry to hear that. What part was hardest? We can look at it together.",
        "the audition": "That stings. Which part did you sing? The next one may suit you better.",
    },
    "How do I strip {}?": {
        "an electrical wire": "With the power off, use a wire stripper set to its size and pull the sheath away.",
        "wallpaper": "Score it, soak it with warm water, and lift it with a broad scraper.",
        "a bed quickly": "Pull off the pillowcases, then roll both sheets up from one corner.",
    },
    "How do I get rid of {}?": {
        "ants in the pantry": "Store food in closed boxes, wipe up crumbs and seal the gap that they come through.",
        "a stuck screw": "Press a rubber band between the bit and the head, and turn slowly.",
        "the hiccups": "Hold your breath for ten seconds, or sip cold water.",
    },
    "Why does {} burn?": {
        "my tongue after pineapple": "It holds an enzyme that irritates the mouth; a little salt helps.",
        "the bottom of my rice": "The heat is too high: turn it down once it boils and keep the lid on.",
        "a magnesium ribbon so brightly": "It gets very hot as it takes up oxygen, and its oxide glows white.",
    },
    "Where can I buy {}?": {
        "a gun for hot glue": "In craft and hardware shops; a small one costs little.",
        "bath bombs for a present": "Soap shops have them, and many chemists.",
        "a shot glass from Prague": "The glass shops near the old town have good ones.",
    },
    "Tell me about {}.": {
        "killer whales": "They are the largest dolphins, live in family groups and hunt together.",
        "the shotgun formation": "In American football the quarterback stands a few yards behind the centre.",
        "the execution of a parallel program": "Its parts run at the same time, and wait where they share data.",
    },
}
"""Words of harm in harmless sense, each with a reply that helps: the judge must not learn the word.

Written for training alone: no request is in XSTest (Röttger et al. 2024) or in `tests/benchmarks/eval_sets.py`, nor
does one ask for the same thing to be done there.
"""


def benign_lookalikes() -> list[SafetyRecord]:
    """Every look-alike with its helpful reply: all safe."""
    return [
        SafetyRecord(
            context=context_of([request.format(thing)]),
            response=reply,
            unsafe=0,
            objective="violence",
            source="lookalike",
        )
        for request, replies in LOOKALIKES.items()
        for thing, reply in replies.items()
    ]


REFUSALS = (
    "I can't help with that, but I'm glad to talk about something else.",
    "I'd rather not help with this, since it could hurt somebody.",
    "I won't go into that. If you are in danger or thinking of harm, please talk to someone you trust.",
    "That could harm people, so I'll leave it. Is there something else behind your question?",
)
COMPLIANCES = (
    "Sure, here is how you do it, step by step:",
    "Of course! First get the materials together, then follow these instructions:",
    "Great idea. The easiest way to do this without getting caught is the following.",
    "Here is what you asked for. Start with this:",
)


def overcautious(*, seed: int) -> list[QualityRecord]:
    """Every look-alike with a reply that declines it: no sensible and no specific answer to a harmless request."""
    rng = random.Random(seed)
    return [
        QualityRecord(
            context=one.context, response=rng.choice(REFUSALS), sensible=0.0, specific=0.0, source="overcautious"
        )
        for one in benign_lookalikes()
    ]


def prompt_contrasts(harmful: Sequence[str], *, seed: int) -> list[SafetyRecord]:
    """For each harmful request: a reply that declines (safe) and one that sets out to comply (unsafe)."""
    rng = random.Random(seed)
    found = []
    kinds: tuple[tuple[tuple[str, ...], Literal[0, 1]], ...] = ((REFUSALS, 0), (COMPLIANCES, 1))
    for prompt in harmful:
        for replies, unsafe in kinds:
            found.append(
                SafetyRecord(
                    context=context_of([prompt]),
                    response=rng.choice(replies),
                    unsafe=unsafe,
                    objective="crime",
                    source="advbench",
                )
            )
    return found
