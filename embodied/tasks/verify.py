"""An independent answer to every story question: from the text alone, without the world.

A small reader follows the sentences with regular expressions of its own and answers the question. It shares no code
with the makers, so that an item on which both agree is right twice. Plans are verified otherwise: the simulator runs
them (`check_plan`), and activity items are looked up in the recordings.
Boundary: text in, answer out; raises TaskError where the text does not say enough.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import lru_cache

from embodied.archive import default_archive
from embodied.errors import TaskError
from embodied.plan.goal import goal_from_text
from embodied.tasks.item import PLAN_FAMILIES, STORY_FAMILIES, Item
from embodied.world.program import execute, parse_program
from embodied.world.scene import Node, Scene
from embodied.world.simulator import Simulator

COUNT = {word: i for i, word in enumerate("none one two three four five six seven eight nine ten".split())}


@dataclass
class Reading:
    """What a text has said so far."""

    room: str = ""
    held: list[str] = field(default_factory=list)
    place: dict[str, str] = field(default_factory=dict)
    thing_room: dict[str, str] = field(default_factory=dict)
    way: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    mentioned: list[str] = field(default_factory=list)
    listed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    place_room: dict[str, str] = field(default_factory=dict)
    doors: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def follow(self, thing: str) -> None:
        """A thing is where the person is."""
        if self.room and self.thing_room.get(thing) != self.room:
            self.thing_room[thing] = self.room
            self.way[thing].append(self.room)

    def sentence(self, text: str) -> None:
        """Take in one sentence."""
        went = re.search(r"\b(?:goes to|walks into|moves to) the (.+)$", text)
        took = re.search(r"\b(?:picks up|takes|gets) the (.+)$", text)
        put = re.search(r"\b(?:puts|leaves) the (.+?) (on|in) the (.+)$", text)
        dropped = re.search(r"\bdrops the (.+)$|\bputs down the (.+?) right there$", text)
        there = re.match(r"On the (.+?) there (?:is|are) (.+)$", text)
        stands = re.match(r"The (.+?) is (on|in) the (.+)$", text)
        door = re.match(r"A door leads from the (.+?) to the (.+)$|The (.+?) has a door to the (.+)$", text)
        if went:
            self.room = went[1]
            for thing in self.held:
                self.follow(thing)
        elif took:
            self.held.append(took[1])
            if took[1] not in self.mentioned:
                self.mentioned.append(took[1])
            self.leave(took[1])
            self.follow(took[1])
        elif dropped:
            thing = dropped[1] or dropped[2]
            self.held.remove(thing)
            self.place[thing] = f"in the {self.room}"
        elif put:
            self.held.remove(put[1])
            self.place[put[1]] = f"{put[2]} the {put[3]}"
            self.listed[put[3]].add(put[1])
        elif there:
            self.listed[there[1]] = set(re.findall(r"the ([^,]+?)(?=,| and the |$)", there[2]))
        elif door:
            a, b = (door[1], door[2]) if door[1] else (door[3], door[4])
            self.doors[a].add(b)
            self.doors[b].add(a)
        elif stands:
            self.place[stands[1]] = f"{stands[2]} the {stands[3]}"
            self.place_room[stands[1]] = stands[3]
        else:
            raise TaskError(f"the verifying reader cannot read {text!r}. Teach it the template.")

    def leave(self, thing: str) -> None:
        """A thing is no longer where it was listed."""
        for things in self.listed.values():
            things.discard(thing)


def read(text: str) -> Reading:
    """Read a whole text."""
    found = Reading()
    for sentence in text.split(". "):
        found.sentence(sentence.strip().rstrip("."))
    return found


def answer(item: Item) -> str:
    """The answer to a story item, from its text."""
    text, _, question = item.prompt.partition("\nQuestion: ")
    seen = read(text)
    family = item.family
    if family == "single_supporting_fact":
        return seen.room
    if family in ("two_supporting_facts", "deduction_by_location"):
        thing = find(question, r"(?:the|find the) ([a-z ]+?)(?: in now| in)?\?$")
        if family == "two_supporting_facts":
            return seen.thing_room[thing]
        return seen.place_room[seen.place[thing].removeprefix("on the ").removeprefix("in the ")]
    if family == "three_supporting_facts":
        thing, last = re.findall(r"was the (.+?)(?: right)? before the (.+)\?$", question)[0]
        way = seen.way[thing]
        return way[len(way) - 2 - way[::-1].index(last)]
    if family == "counting":
        return next(word for word, count in COUNT.items() if count == len(seen.held))
    if family == "lists":
        held = [f"the {thing}" for thing in seen.mentioned if thing in seen.held]
        return " and ".join(held) or "nothing"
    if family == "counting_qa":
        place = find(question, r"the ([a-z A-Z]+?)(?: now| bear at the end)\?$")
        return next(word for word, count in COUNT.items() if count == len(seen.listed[place]))
    if family == "object_path_tracking":
        return ", ".join(seen.way[find(question, r"(?:did|was) the (.+?)(?: go)?, ")])
    if family == "object_location_qa":
        return seen.place[find(question, r"(?:did|for) the (.+?)(?: end up)?\?$")]
    if family == "path_finding":
        a, b = re.findall(r"from the (.+?) to the ([a-z ]+)", question)[0]
        return ", ".join(shortest(seen.doors, a, b))
    raise TaskError(f"no independent answer for family {family!r}. Use one of {', '.join(STORY_FAMILIES)}.")


def find(question: str, pattern: str) -> str:
    """The one name in a question."""
    found = re.search(pattern, question)
    if not found:
        raise TaskError(f"the verifying reader cannot read the question {question!r}. Teach it the template.")
    return found[1]


def shortest(doors: dict[str, set[str]], start: str, end: str) -> list[str]:
    """The shortest way through doors by names."""
    queue = deque([[start]])
    seen = {start}
    while queue:
        way = queue.popleft()
        if way[-1] == end:
            return way
        for room in sorted(doors[way[-1]] - seen):
            seen.add(room)
            queue.append([*way, room])
    raise TaskError(f"the text has no way from the {start} to the {end}.")


def verify(item: Item) -> bool:
    """Whether an independent computation gives the gold answer, and exactly one choice is right."""
    if item.choices and (item.choices[item.answer] != item.gold or len(set(item.choices)) != len(item.choices)):
        return False
    try:
        if item.family in STORY_FAMILIES:
            return answer(item) == item.gold
        if item.family in (*PLAN_FAMILIES, "plan_generation"):
            return check_plan(item)
        return check_activity(item)
    except (KeyError, ValueError, IndexError, StopIteration, TaskError):
        return False


def check_plan(item: Item) -> bool:
    """Whether the item's program runs in its home and reaches its goal."""
    scene = scene_of(item)
    outcome = execute(Simulator(scene), parse_program(item.world["program"], scene).steps)
    return outcome.ok and (
        not item.world["goal"] or goal_from_text(item.world["goal"], scene).reached(outcome.state) == 1
    )


def scene_of(item: Item) -> Scene:
    """The home of an item: recorded by key, or generated by seed."""
    from embodied.homes import generate_home

    if "home" in item.world:
        return generate_home(item.world["home"])
    return next(r for r in default_archive().recordings if r.key == item.world["recording"]).scene


def bare(activity: str) -> str:
    """An activity's name without articles and case."""
    return re.sub(r"\b(?:the|a|something)\b|\s+", "", activity.lower())


@lru_cache(maxsize=1)
def ever_used() -> dict[str, set[str]]:
    """Every thing that any recording of an activity names."""
    used: dict[str, set[str]] = defaultdict(set)
    for recording in default_archive().recordings:
        for line in recording.lines:
            used[recording.activity] |= {Node(0, thing).spoken for thing in re.findall(r"<([^<>]+)>", line)}
    return used


def check_activity(item: Item) -> bool:
    """Look the gold answer up in the recordings' own lines."""
    if item.family in ("activity_recognition", "activity_inference"):
        recording = next(r for r in default_archive().recordings if r.key == item.world["recording"])
        return bare(recording.activity) == bare(item.gold)
    activity = item.world["activity"]
    ever = ever_used()[activity]
    right, wrong = item.gold, [choice for choice in item.choices if choice != item.gold]
    if item.family == "housework_qa":
        return right in ever and not ever & set(wrong)
    return right not in ever and set(wrong) <= ever
