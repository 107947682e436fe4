"""An independent answer to every story question: from the text alone, without the world.

A small reader follows the sentences with regular expressions of its own and answers the question. It shares no code
with the makers, so that an item on which both agree is right twice. Plans are verified otherwise: the simulator runs
them (`check_plan`), and questions about activities have a `second_opinion`.
Boundary: text in, answer out; raises TaskError where the text does not say enough.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field

from embodied.archive import default_archive
from embodied.errors import TaskError
from embodied.plan.goal import goal_from_text
from embodied.tasks.item import PLAN_FAMILIES, STORY_FAMILIES, Item
from embodied.tasks.second_opinion import agrees
from embodied.world.program import execute, parse_program
from embodied.world.scene import Scene
from embodied.world.simulator import Simulator

COUNT = {word: i for i, word in enumerate("none one two three four five six seven eight nine ten".split())}


@dataclass
class Reading:
    """What a text has said so far."""

    rooms: dict[str, str] = field(default_factory=dict)
    """Per person."""
    held: dict[str, str] = field(default_factory=dict)
    """Per thing who has it."""
    place: dict[str, str] = field(default_factory=dict)
    thing_room: dict[str, str] = field(default_factory=dict)
    way: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    mentioned: list[str] = field(default_factory=list)
    listed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    place_room: dict[str, str] = field(default_factory=dict)
    doors: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def follow(self, thing: str, who: str) -> None:
        """A thing is where the person is who has it."""
        room = self.rooms.get(who)
        if room and self.thing_room.get(thing) != room:
            self.thing_room[thing] = room
            self.way[thing].append(room)

    def let_go(self, thing: str, who: str) -> None:
        """Raises TaskError where the person does not have the thing."""
        if self.held.pop(thing, "") != who:
            raise TaskError(f"the text lets {who} put down the {thing} without having it.")

    def sentence(self, text: str) -> None:
        """Take in one sentence."""
        went = re.search(r"\b(\w+) (?:goes to|walks into|moves to) the (.+)$", text)
        took = re.search(r"\b(\w+) (?:picks up|takes|gets) the (.+)$", text)
        put = re.search(r"\b(\w+) (?:puts|leaves) the (.+?) (on|in) the (.+)$", text)
        dropped = re.search(r"\b(\w+) (?:drops|puts down) the (.+?)(?: right there)?$", text)
        there = re.match(r"On the (.+?) there (?:is|are) (.+)$", text)
        stands = re.match(r"The (.+?) (?:is|are) (on|in) the (.+)$", text)
        door = re.match(r"A door leads from the (.+?) to the (.+)$|The (.+?) has a door to the (.+)$", text)
        if went:
            self.rooms[went[1]] = went[2]
            for thing, who in self.held.items():
                if who == went[1]:
                    self.follow(thing, who)
        elif took:
            who, thing = took[1], took[2]
            if thing in self.held:
                raise TaskError(f"the text lets {who} take the {thing}, which {self.held[thing]} has.")
            self.held[thing] = who
            if thing not in self.mentioned:
                self.mentioned.append(thing)
            self.leave(thing)
            self.follow(thing, who)
        elif dropped:
            self.let_go(dropped[2], dropped[1])
            self.place[dropped[2]] = f"in the {self.rooms.get(dropped[1], '')}"
        elif put:
            self.let_go(put[2], put[1])
            self.place[put[2]] = f"{put[3]} the {put[4]}"
            self.listed[put[4]].add(put[2])
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
        return seen.rooms[find(question, r"is ([A-Z]\w+)(?: now)?\?$")]
    if family in ("two_supporting_facts", "deduction_by_location"):
        thing = find(question, r"(?:the|find the) ([a-z ]+?)(?: in now| in)?\?$")
        if family == "two_supporting_facts":
            return seen.thing_room[thing]
        return seen.place_room[seen.place[thing].removeprefix("on the ").removeprefix("in the ")]
    if family == "three_supporting_facts":
        thing, last = re.findall(r"(?:was|were) the (.+?)(?: right)? before the (.+)\?$", question)[0]
        way = seen.way[thing]
        return way[len(way) - 2 - way[::-1].index(last)]
    if family in ("counting", "lists"):
        who = find(question, r"(?:is|does) ([A-Z]\w+) ")
        held = [f"the {thing}" for thing in seen.mentioned if seen.held.get(thing) == who]
        if family == "counting":
            return next(word for word, count in COUNT.items() if count == len(held))
        return " and ".join(held) or "nothing"
    if family == "counting_qa":
        place = find(question, r"the ([a-z A-Z]+?)(?: now| bear at the end)\?$")
        return next(word for word, count in COUNT.items() if count == len(seen.listed[place]))
    if family == "object_path_tracking":
        return ", ".join(seen.way[find(question, r"(?:did|was|were) the (.+?)(?: go)?, ")])
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
        return agrees(item)
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
