"""Readers of public data sets: each file's own shape in, evaluation records out.

A user's file of the same shape reads the same way. Every reader takes the file's path and raises DataError with
the line and the field that is missing or of another type. Where a mapping is a judgement, the docstring says which.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from safety.errors import DataError
from safety.objectives import DIASAFETY, HARMLESS_PAIRS, SOCIAL_BIAS_FRAMES, TOXICHAT
from safety.records import PromptRecord, QualityRecord, SafetyRecord, context_of, read_json_lines

HH_TURN = re.compile(r"\n\n(Human|Assistant): ")
_REDDIT_TITLE = re.compile(r"^\s*Title:\s*")


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers."""
    for number, value in read_json_lines(path):
        if not isinstance(value, dict):
            raise DataError(
                f"{path.name}, line {number}: a {type(value).__name__}, not an object. Write one object a line."
            )
        yield number, value


def field(path: Path, number: int, row: Any, name: str, kind: type | tuple[type, ...] = str) -> Any:
    """A field that must be there with that type. Raises DataError naming file, line and field."""
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, kind):
        wanted = kind.__name__ if isinstance(kind, type) else " or ".join(one.__name__ for one in kind)
        got = repr(value) if isinstance(row, dict) else f"{row!r:.40}, which has no fields"
        raise DataError(f"{path.name}, line {number}: field {name!r} must be {wanted}, got {got:.80}.")
    return value


def strings(path: Path, number: int, row: Any, name: str) -> list[str]:
    """A field that must be a list of texts. Raises DataError naming file, line and field."""
    values = field(path, number, row, name, list)
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise DataError(f"{path.name}, line {number}: field {name!r} must hold texts, got {wrong[0]!r:.60}.")
    return values


def tidy(text: str) -> str:
    """Text without HTML entities, Reddit's title mark and double spaces."""
    return " ".join(_REDDIT_TITLE.sub("", html.unescape(html.unescape(text))).split())


def diasafety(path: Path) -> list[SafetyRecord]:
    """DiaSafety (Sun et al. 2022): a context, a reply, and whether the reply is unsafe in that context."""
    found = []
    for number, row in rows(path):
        label = field(path, number, row, "label")
        category = field(path, number, row, "category")
        if label not in ("Safe", "Unsafe"):
            raise DataError(f"{path.name}, line {number}: field 'label' must be 'Safe' or 'Unsafe', got {label!r}.")
        found.append(
            SafetyRecord(
                context=context_of([tidy(field(path, number, row, "context"))]),
                response=tidy(field(path, number, row, "response")) or "…",
                unsafe=1 if label == "Unsafe" else 0,
                objective=DIASAFETY.get(category),
                source="diasafety",
            )
        )
    return found


def toxichat(path: Path, *, turns: Literal["replies", "all"] = "replies") -> list[SafetyRecord]:
    """ToxiChat (Baheti et al. 2021): Reddit threads with two model replies each, offence and stance annotated.

    A turn is unsafe where it is offensive, or agrees with a turn that is. `turns="all"` adds the people's own turns
    from the second on, each as a reply to those before it.
    """
    found = []
    for number, row in rows(path):
        thread: list[dict[str, Any]] = field(path, number, row, "reddit_thread", list)
        offensive = {
            field(path, number, turn, "turn_id", int)
            for turn in thread
            if field(path, number, turn, "offense_label") == "Offensive"
        }
        texts = [tidy(field(path, number, turn, "text")) for turn in thread]
        judged = [(texts, field(path, number, row, f"final_{model}_response", dict)) for model in ("dgpt", "gpt3")]
        if turns == "all":
            judged += [(texts[:i], thread[i]) for i in range(1, len(thread))]
        for context, turn in judged:
            agrees = any(turn.get(f"stance_label_towards_turn_{i}") == "Agree" for i in offensive)
            offends = field(path, number, turn, "offense_label") == "Offensive"
            if response := tidy(field(path, number, turn, "text")):
                found.append(
                    SafetyRecord(
                        context=context_of(context),
                        response=response,
                        unsafe=1 if offends or agrees else 0,
                        objective=TOXICHAT["Offensive" if offends or not agrees else "Agree"],
                        source="toxichat",
                    )
                )
    return found


def social_bias_frames(path: Path, *, unclear: tuple[float, float] = (0.34, 0.5)) -> list[SafetyRecord]:
    """Social Bias Frames (Sap et al. 2020), aggregated: single posts without context.

    Unsafe from a mean offence rating of `unclear[1]` on, safe up to `unclear[0]`; what lies between is left out.
    """
    found = []
    for number, row in rows(path):
        post = tidy(field(path, number, row, "post"))
        offensive = field(path, number, row, "offensive", (int, float, type(None)))
        if not post or offensive is None or unclear[0] < offensive < unclear[1]:
            continue
        rated = {key: field(path, number, row, key, (int, float, type(None))) or 0 for key in SOCIAL_BIAS_FRAMES}
        objective = next((name for key, name in SOCIAL_BIAS_FRAMES.items() if rated[key] >= 0.5), None)
        found.append(
            SafetyRecord(
                context=(),
                response=post,
                unsafe=1 if offensive >= unclear[1] else 0,
                objective=objective,
                source="sbf",
            )
        )
    return found


def hh_turns(text: str) -> list[str]:
    """The turns of an hh-rlhf transcript, beginning with the person's."""
    parts = HH_TURN.split(text)
    return [part.strip() for part in parts[2::2]]


def hh_pairs(path: Path) -> list[tuple[SafetyRecord, SafetyRecord]]:
    """hh-rlhf's harmless pairs (Bai et al. 2022) as (preferred, rejected) replies to one context.

    A preference is not a label: the rejected one is only the worse of two, so these are taught as pairs.
    """
    found = []
    for number, row in rows(path):
        chosen = hh_turns(field(path, number, row, "chosen"))
        rejected = hh_turns(field(path, number, row, "rejected"))
        if len(chosen) < 2 or len(rejected) < 2 or chosen[:-1] != rejected[:-1] or not (chosen[-1] and rejected[-1]):
            continue
        context = context_of(chosen[:-1])
        found.append(
            (
                SafetyRecord(context=context, response=chosen[-1], unsafe=0, objective=HARMLESS_PAIRS, source="hh"),
                SafetyRecord(context=context, response=rejected[-1], unsafe=1, objective=HARMLESS_PAIRS, source="hh"),
            )
        )
    return found


def harmful_prompts(path: Path) -> list[PromptRecord]:
    """AdvBench's harmful requests (Zou et al. 2023)."""
    prompts = [field(path, n, row, "prompt") for n, row in rows(path)]
    return [PromptRecord(prompt=prompt, unsafe=1, source="advbench") for prompt in prompts if prompt.strip()]


def toxichat_plausibility(path: Path) -> list[QualityRecord]:
    """ToxiChat's model replies with their coherence label: plausible replies are sensible."""
    found = []
    for number, row in rows(path):
        thread = [tidy(field(path, number, turn, "text")) for turn in field(path, number, row, "reddit_thread", list)]
        for model in ("dgpt", "gpt3"):
            reply = field(path, number, row, f"final_{model}_response", dict)
            text = tidy(field(path, number, reply, "text"))
            if text and reply.get("coherence") in ("Plausible", "Not Plausible"):
                found.append(
                    QualityRecord(
                        context=context_of(thread),
                        response=text,
                        sensible=1.0 if reply["coherence"] == "Plausible" else 0.0,
                        source="toxichat",
                    )
                )
    return found


def dialogue_eval(path: Path, *, keep: Callable[[int], bool] = lambda number: True) -> list[QualityRecord]:
    """Dialogue-Eval (Ji et al. 2022): whole dialogs rated 0–100 on each axis, the last reply as the example.

    A judgement: `consistent` (does it make sense) stands for sensible, `topic` (keeps to the topic) for specific,
    `interesting` for itself. Each is the rating of the whole dialog, so it is a noisy label of its last reply.
    """
    found = []
    for number, row in rows(path):
        dialog = field(path, number, row, "dialogue", list)
        scores = field(path, number, row, "scores", dict)
        texts = [tidy(field(path, number, turn, speaker)) for turn in dialog for speaker in ("user", "bot")]
        sensible, specific, interesting = (fraction(scores, name) for name in ("consistent", "topic", "interesting"))
        rated = any(rating is not None for rating in (sensible, specific, interesting))
        if not keep(number) or not rated or not all(texts) or len(texts) < 2:
            continue
        found.append(
            QualityRecord(
                context=context_of(texts[:-1]),
                response=texts[-1],
                sensible=sensible,
                specific=specific,
                interesting=interesting,
                source="dialogue-eval",
            )
        )
    return found


def fraction(scores: dict[str, Any], name: str) -> float | None:
    """A 0–100 rating as a fraction, None where it is missing."""
    value = scores.get(name)
    # Cut off first: a whole number may be too large to be divided.
    return min(100, max(0, value)) / 100 if isinstance(value, int | float) else None


TOPICAL_RATINGS = {"Poor": 0.0, "Not Good": 0.25, "Passable": 0.5, "Good": 0.75, "Excellent": 1.0}


def topical_chat(path: Path, *, every: int = 3) -> list[tuple[list[str], QualityRecord]]:
    """Topical-Chat (Gopalakrishnan et al. 2019): human replies with the partner's rating as interestingness, each with
    the dialog it is from.

    People's replies are sensible and specific by construction. One reply in `every` is taken, so that a dialog does
    not fill the set with its own prefixes.
    """
    found = []
    for number, row in rows(path):
        turns = field(path, number, row, "content", list)
        texts = [tidy(field(path, number, turn, "text")) for turn in turns]
        dialog = human_dialog(path, number, row)
        for i in range(2, len(turns), every):
            rating = TOPICAL_RATINGS.get(str(turns[i].get("rating")))
            if rating is not None and all(texts[max(0, i - 4) : i + 1]):
                record = QualityRecord(
                    context=context_of(texts[max(0, i - 4) : i]),
                    response=texts[i],
                    sensible=1.0,
                    specific=1.0,
                    interesting=rating,
                    source="topical-chat",
                )
                found.append((dialog, record))
    return found


def human_dialogs(path: Path) -> list[list[str]]:
    """People's dialogs as lists of texts, from chit-chat, CMU_DoG or Topical-Chat files, whichever shape it has."""
    found = [human_dialog(path, number, row) for number, row in rows(path)]
    return [dialog for dialog in found if len(dialog) >= 2]


def human_dialog(path: Path, number: int, row: dict[str, Any]) -> list[str]:
    """One row's dialog. Neighbouring turns of one speaker are joined, so that speakers alternate."""
    if "content" in row:
        content = field(path, number, row, "content", list)
        spoken = [(field(path, number, turn, "agent"), field(path, number, turn, "text")) for turn in content]
    else:
        spoken = [(turn[0], turn[-1]) for turn in spoken_turns(path, number, row)]
    merged: list[tuple[str, str]] = []
    for speaker, text in spoken:
        if not (text := tidy(text)):
            continue
        if merged and merged[-1][0] == speaker:
            merged[-1] = (speaker, f"{merged[-1][1]} {text}")
        else:
            merged.append((speaker, text))
    return [text for _, text in merged]


def spoken_turns(path: Path, number: int, row: dict[str, Any], parts: int = 2) -> list[Sequence[Any]]:
    """The field `turns`: lists of at least `parts`, speaker first and text last. Raises DataError."""
    turns = field(path, number, row, "turns", list)
    for turn in turns:
        if not isinstance(turn, list) or len(turn) < parts or not isinstance(turn[-1], str):
            raise DataError(
                f"{path.name}, line {number}: field 'turns' must hold lists of {parts} or more, the speaker first and "
                f"the text last, got {turn!r:.60}."
            )
    return turns


def dialog_text(dialog: Sequence[str]) -> str:
    """A dialog as one text, a turn a line."""
    return "\n".join(dialog)
