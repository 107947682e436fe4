"""Reading plans written by people or models: `Walk to the kitchen.`, `2) grab a cup` or `[GRAB] <cup> (1.7)`.

A sentence is matched against the actions' phrases and common ways to say them; names are matched against the home,
and of several things with one name the held, the reachable and the nearest come first.
Boundary: text to steps in a state. What to do about a step that fails is in `repair`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from embodied.errors import ProgramError
from embodied.wording import ORDINALS
from embodied.world.names import ALSO_CALLED
from embodied.world.program import LINE, parse_action
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import PHRASES, Action, arity

SAYINGS: tuple[tuple[str, Action], ...] = (
    ("go (?:over )?to {0}", Action.WALK),
    ("(?:enter|go into|walk into|head to|walk over to) {0}", Action.WALK),
    ("(?:locate|look for|search for|get to) {0}", Action.FIND),
    ("(?:take|get|pick up|fetch|grasp|hold) {0}(?: out)?", Action.GRAB),
    ("pick {0} up", Action.GRAB),
    ("(?:grab|take|get|remove) {0} (?:from|off|out of) .+", Action.GRAB),
    ("(?:put|place|set|lay) {0} back", Action.PUTOBJBACK),
    ("(?:put|place|set|lay)(?: down)? {0} (?:on|onto|on top of|upon) {1}", Action.PUTBACK),
    ("(?:put|place|set|insert|load) {0} (?:in|into|inside) {1}", Action.PUTIN),
    ("(?:turn|switch) on {0}", Action.SWITCHON),
    ("(?:turn|switch) {0} on", Action.SWITCHON),
    ("start {0}", Action.SWITCHON),
    ("(?:turn|switch) off {0}", Action.SWITCHOFF),
    ("(?:turn|switch) {0} off", Action.SWITCHOFF),
    ("(?:shut) {0}", Action.CLOSE),
    ("sit (?:down )?(?:on|in|at) {0}", Action.SIT),
    ("(?:get|stand) up", Action.STANDUP),
    ("lie (?:down )?(?:on|in) {0}", Action.LIE),
    ("drink {0}", Action.DRINK),
    ("(?:face|turn toward|turn towards) {0}", Action.TURNTO),
    ("(?:clean|wash up) {0}", Action.WASH),
    ("pour {0} (?:in|into|on|onto) {1}", Action.POUR),
    ("plug {0} in", Action.PLUGIN),
    ("plug out {0}", Action.PLUGOUT),
    ("wear {0}", Action.PUTON),
    ("sleep", Action.SLEEP),
    ("(?:let go of|release) {0}", Action.RELEASE),
    ("run into {0}", Action.RUN),
)
"""Other ways to say an action, tried after its own phrase."""
NUMBERING = re.compile(
    r"^\s*(?:step\s*)?(?:\d+\s*[.):\-]|[-*•])\s*|^\s*(?:first|then|next|finally|and)[, ]+", re.IGNORECASE
)
PHRASE = re.compile(r"\b(?:from|in|on|into|onto|at|with|and|to)\b")
"""No thing's name holds these words, so a name that does is a badly cut sentence."""
PLACE = re.compile(
    r"(?:\w+ ){0,2}(?:\w*room|kitchen|hall|hallway|corridor|entrance|garage|garden|yard|office|closet|basement|cellar|"
    r"attic|balcony|terrace|pantry|laundry|toilet|house|home)"
)
"""What people call parts of a home, to tell a place that is not there from a thing that is not there."""
ARTICLE = re.compile(r"^(?:the|a|an|some|my|your|his|her)\s+", re.IGNORECASE)


@lru_cache(maxsize=1)
def patterns() -> tuple[tuple[re.Pattern[str], Action], ...]:
    """Every way to say an action, as regular expressions; those with two objects first."""
    sayings = [(re.escape(phrase).replace(r"\{0\}", "{0}").replace(r"\{1\}", "{1}"), action)
               for action, phrase in PHRASES.items()]  # fmt: skip
    sayings = [(text.replace(r"\ ", " ").replace("the {0}", "{0}").replace("the {1}", "{1}"), a) for text, a in sayings]
    every = [*sayings, *SAYINGS]
    every.sort(key=lambda saying: -arity(saying[1]))
    return tuple(
        (re.compile(text.replace("{0}", "(?P<a>.+?)").replace("{1}", "(?P<b>.+)"), re.IGNORECASE), action)
        for text, action in every
    )


@lru_cache(maxsize=len(Action))
def words_of(action: Action) -> frozenset[str]:
    """The words that an action is said with, in all ways."""
    sayings = [PHRASES[action], *[text for text, said in SAYINGS if said is action]]
    return frozenset(word for text in sayings for word in re.findall(r"[a-z]+", text))


def plain(name: str) -> str:
    """A thing's name without article, in the singular-insensitive form that names are compared in."""
    text = ARTICLE.sub("", name.strip().lower().replace("_", " ").replace("-", " "))
    return re.sub(r"\s+", " ", text).strip(" .,!;:'\"")


def names_of(simulator: Simulator) -> dict[str, list[int]]:
    """Every name that things of a home answer to."""
    found: dict[str, list[int]] = {}
    for i, node in enumerate(simulator.scene.nodes):
        for name in {plain(node.spoken), plain(node.name)}:
            found.setdefault(name, []).append(i)
    return found


Memory = dict[str, int]
"""What `first light`, `second light` have meant so far in one plan."""


def find_thing(simulator: Simulator, state: State, name: str, memory: Memory | None = None) -> int | None:
    """The thing that a name most likely means here, or None.

    With `memory`, an ordinal (`second light`) means the same thing throughout a plan, and another thing than the
    other ordinals of that name; it is added to when a name is new.

    Held things come first, then reachable ones, then those of the character's room, then the lowest id. A name that
    no thing bears may be the last word of exactly one kind (`table` for `kitchen table`), or its plural.
    """
    wanted = plain(name)
    ordinal, _, rest = wanted.partition(" ")
    if ordinal in ORDINALS and rest:
        memory = {} if memory is None else memory
        if wanted not in memory:
            taken = {node for said, node in memory.items() if said.partition(" ")[2] == rest}
            found = [i for i in all_called(simulator, rest) if i not in taken]
            if not found:
                return None
            memory[wanted] = nearest(simulator, state, found)
        return memory[wanted]
    found = all_called(simulator, wanted)
    return nearest(simulator, state, found) if found else None


def all_called(simulator: Simulator, wanted: str) -> list[int]:
    """The things that answer to a plain name."""
    if PHRASE.search(wanted):
        return []
    names = names_of(simulator)
    wanted = next((other for other in ALSO_CALLED.get(wanted, ()) if wanted not in names and other in names), wanted)
    for candidate in (wanted, wanted.removesuffix("es"), wanted.removesuffix("s"), wanted + "s"):
        if candidate in names:
            return names[candidate]
    ends = {n for n in names if n.endswith(f" {wanted}") or wanted.endswith(f" {n}")}
    return names[min(ends, key=lambda n: (abs(len(n) - len(wanted)), n))] if ends else []


def nearest(simulator: Simulator, state: State, found: list[int]) -> int:
    """Of several things the held, the reachable, the one in this room, the lowest id."""
    held, here = state.holding(), state.room(simulator.me)
    return min(found, key=lambda i: (i not in held, not simulator.close(state, i), state.room(i) != here, i))


def read_step(text: str, simulator: Simulator, state: State, memory: Memory | None = None) -> Step:
    """One sentence or program line as a step in this state. Raises ProgramError saying what is not understood."""
    line = NUMBERING.sub("", text).strip().rstrip(".!;, ")
    match = LINE.fullmatch(line)
    if match:
        action = parse_action(match[1])
        words = re.findall(r"<\s*([^<>]+?)\s*>", match[2])
        if len(words) != arity(action):
            raise ProgramError(f"{action.name} takes {arity(action)} objects, got {len(words)} in {line!r}.")
        return Step(action, *[must_find(simulator, state, word) for word in words])
    unknown = None
    for pattern, action in patterns():
        said = pattern.fullmatch(line)
        if not said:
            continue
        words = [said[key] for key in ("a", "b") if key in (said.re.groupindex)][: arity(action)]
        found = [find_thing(simulator, state, word, memory) for word in words]
        if None not in found:
            return Step(action, *[i for i in found if i is not None])
        unknown = unknown or next(word for word, i in zip(words, found, strict=True) if i is None)
    if unknown:
        raise ProgramError(f"this home has no {plain(unknown)!r} for {line!r}.")
    raise ProgramError(f"cannot read the step {line!r}. Say it like: walk to the kitchen; put the cup on the table.")


def must_find(simulator: Simulator, state: State, name: str) -> int:
    """`find_thing`, or ProgramError."""
    found = find_thing(simulator, state, name)
    if found is None:
        raise ProgramError(f"this home has no {plain(name)!r}.")
    return found


def leads_nowhere(sentence: str, simulator: Simulator) -> bool:
    """Whether a step only goes to a place that this home does not have, such as a garage: the next steps go where they
    need to be by themselves. A step that does anything else is a step, known or not.
    """
    line = NUMBERING.sub("", sentence).strip().rstrip(".!;, ")
    for pattern, action in patterns():
        said = pattern.fullmatch(line) if action in (Action.WALK, Action.RUN, Action.FIND) else None
        if said and PLACE.fullmatch(plain(said["a"])):
            return find_thing(simulator, initial(simulator.scene), said["a"]) is None
    return False
