"""Research records from dialogs in which people talk about a document: Topical-Chat and CMU_DoG.

A person's reply counts as researched where the section that was in front of them holds its names, numbers and most of
its words (`dialog.citations.support`); the rest is opinion and small talk and is left to other tasks. Each reader gives
records keyed by the document and by the dialog's opening, so that no document or dialog that is held out, here or by
another kind, is trained on. All draws are seeded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dialog.citations import support
from dialog.finetune.records import Keyed, ResearchRecord, ResearchStep, Snippet
from dialog.finetune.research_data import passage
from dialog.messages import Message
from safety.sources import dialog_text, field, human_dialog, rows, spoken_turns, tidy

LEAST_SHARE = 0.5
"""Share of a reply's content words that its section must hold."""
SHORTEST = 6
"""Words of a reply that states something."""
DOCUMENTS = "cmudog_docs.jsonl"
DRAFTS = ("I'm not sure.", "Let me look that up.", "I have heard of it.", "That's interesting!")


def topical_chat_research(path: Path, seed: int) -> list[Keyed]:
    """Topical-Chat: the turn names the section it came from; the speaker's other sections are the distractors."""
    rng = random.Random(seed)
    found: list[Keyed] = []
    for number, row in rows(path):
        turns, reading = field(path, number, row, "content", list), field(path, number, row, "reading", dict)
        texts = [tidy(field(path, number, turn, "text")) for turn in turns]
        dialog = human_dialog(path, number, row)
        for i in range(1, len(turns)):
            knowledge = field(path, number, turns[i], "knowledge", (list, type(None))) or ()
            agent = field(path, number, turns[i], "agent")
            shown = field(path, number, reading, agent, (dict, type(None))) or {}
            sections = {
                key: Snippet(title=field(path, number, one, "entity"), text=passage(tidy(text)))
                for key, one in shown.items()
                if key.startswith("FS") and (text := field(path, number, one, "wiki", (str, type(None))))
            }
            used = [key for key in knowledge if isinstance(key, str) and key in sections]
            if len(used) == 1:
                section = sections.pop(used[0])
                record = researched(texts[max(0, i - 3) : i + 1], section, list(sections.values()), rng)
                if record:
                    found.append(Keyed(section.title, record, dialog_text(dialog), dialog[0]))
    return found


def cmu_dog_research(path: Path, seed: int) -> list[Keyed]:
    """CMU_DoG: the sections of a film's document, read from the file of documents beside `path`."""
    rng = random.Random(seed)
    beside = path.parent / DOCUMENTS
    documents = {
        field(beside, number, row, "wikiDocumentIdx", (int, str)): dict(cmu_sections(beside, number, row))
        for number, row in rows(beside)
    }
    found: list[Keyed] = []
    for number, row in rows(path):
        sections = documents.get(field(path, number, row, "doc", (int, str)), {})
        turns, saw = spoken_turns(path, number, row, parts=3), field(path, number, row, "saw_doc", list)
        texts = [tidy(turn[2]) for turn in turns]
        dialog = human_dialog(path, number, row)
        for i in range(1, len(turns)):
            speaker, place = turns[i][0], turns[i][1]
            if not isinstance(place, int):
                continue
            if speaker in saw and speaker != turns[i - 1][0] and place in sections:
                others = [section for key, section in sections.items() if key != place]
                record = researched(texts[max(0, i - 3) : i + 1], sections[place], others, rng)
                if record:
                    found.append(Keyed(sections[place].title, record, dialog_text(dialog), dialog[0]))
    return found


def cmu_sections(path: Path, number: int, row: dict[str, Any]) -> Iterator[tuple[int, Snippet]]:
    """The document's sections by number; the first is a table of facts, which are written out as sentences."""
    facts = field(path, number, row, "0", dict)
    title = tidy(field(path, number, facts, "movieName"))
    lines = [
        tidy(facts.get("introduction", "")),
        f"Directed by {facts['director']}." if facts.get("director") else "",
        f"Genre: {facts['genre']}." if facts.get("genre") else "",
        f"Year: {facts['year']}." if facts.get("year") else "",
        *(f"{tidy(rating)}." for rating in facts.get("rating", ()) if rating),
    ]
    yield 0, Snippet(title=title, text=passage(" ".join(line for line in lines if line)))
    for place in (1, 2, 3):
        if text := tidy(str(row.get(str(place)) or "")):
            yield place, Snippet(title=title, text=passage(text))


def researched(
    texts: Sequence[str], section: Snippet, others: Sequence[Snippet], rng: random.Random
) -> ResearchRecord | None:
    """The last text as a researched reply to those before it; None where its section does not hold it."""
    *context, reply = texts
    asked = context[-1]
    held = support(reply, section.text, asked, section.title)
    if not section.title or held.foreign or held.share < LEAST_SHARE or len(reply.split()) < SHORTEST:
        return None
    evidence = rng.sample(list(others), min(2, len(others)))
    place = rng.randrange(len(evidence) + 1)
    evidence.insert(place, section)
    roles = ["user" if (len(context) - i) % 2 else "assistant" for i in range(len(context))]
    return ResearchRecord(
        context=tuple(Message(role=role, content=text) for role, text in zip(roles, context, strict=True)),  # type: ignore[arg-type]
        base=rng.choice(DRAFTS),
        steps=(ResearchStep(query=section.title, evidence=tuple(evidence)),),
        final=f"{reply} [{place + 1}]",
    )
