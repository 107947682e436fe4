"""What a message asks for, read from its words: its question, whether it seeks facts, and the names in it.

Boundary: looks at one message alone; English. What passages hold is the retrieval tool's, what was said before the
dialog's.
"""

from __future__ import annotations

import re

from toolset.english.sentences import split
from toolset.english.superlative import ADJECTIVE, RANK
from toolset.english.words import OPENERS, STOP_WORDS, WORD, terms

CREATIVE = re.compile(
    r"\b(?:tell|give|write|sing|make|say|read|compose)\b.{0,20}\b(?:joke|story|poem|song|riddle|haiku|limerick|rap|"
    r"compliment|something)s?\b(?! (?:of|by|is|was|are))",
    re.IGNORECASE,
)
MOMENT = re.compile(
    r"\bwhat (?:time|day|date) is it\b|\bwhat(?:'s| is) the (?:time|day|date)(?: now| today)?\W*$|"
    r"\bwhat(?:'s| is) the weather\b",
    re.IGNORECASE,
)
ASSISTANT = re.compile(
    r"\b(?:what|who|how|where|when|why)(?:'s|'re| is| are| old are)? you(?:r|rs|rself)?\b|"
    r"\byour (?:name|favou?rite|age)\b|"
    r"\b(?:are|were) you\b|\bdo you (?:like|love|feel|want|think|have|believe|enjoy|dream|remember)\b",
    re.IGNORECASE,
)
STATEMENT = re.compile(r"^\W*i(?:['’]m| am| feel| felt| (?:lov|lik|hat)e| think| had| have)\b[^?]*$", re.IGNORECASE)
GREETING = re.compile(
    r"^\W*(?:good (?:morning|afternoon|evening|night|day)|hello|hi|hey|bye|goodbye|thanks?(?: you)?|welcome)\b"
    r"[^?]{0,30}$",
    re.IGNORECASE,
)

LEADS = r"(?:please|so|and|but|ok(?:ay)?|well|hey|hi|hello|um+|now|also|then|actually|thanks|thank you)\b[\s,.!]*"
POLITE = (
    r"(?:(?:can|could|would|will) you (?:please )?(?:tell|explain|give|show|help)(?: me| us)?(?: to)?\b[\s,]*"
    r"|do you (?:happen to )?know\b[\s,]*|i(?: would|'d) like to know\b[\s,]*|i want to know\b[\s,]*"
    r"|i(?:'m| am) (?:wondering|curious)\b[\s,]*|i wonder\b[\s,]*|tell me\b[\s,]*)"
)
LEAD = re.compile(rf"^(?:{LEADS})*(?:{POLITE})?", re.IGNORECASE)
TELL = re.compile(rf"^(?:{LEADS})*{POLITE}", re.IGNORECASE)
WH = r"(?:who(?:se|m)?|what|when|where|which|why|how)(?:'s|'re|s)?"
AUXILIARY = r"(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would|should)"
ASKS = re.compile(
    rf"^(?:(?:in|on|at|from|to|of|by|for|with|during|under) )?"
    rf"(?:{WH}|{AUXILIARY}|name|list|define|describe|explain|about)\b",
    re.IGNORECASE,
)
LATER_WH = re.compile(rf"\b{WH}\b.*\?\s*$", re.IGNORECASE)
FRAGMENT = re.compile(
    r"^(?:the )?\w+(?: \w+)? of (?!this|that|these|those|them|it|course)[\w' -]+\?$"
    r"|^(?!(?:it|he|she|that|there|here|let|this|everyone|everybody|someone|nobody)['’]s)[\w. -]+['’]s [\w -]+\?$",
    re.IGNORECASE,
)
"""A question without a verb: "capital of France?", "Napoleon's birthplace?"."""
KEYWORDS = re.compile(
    rf"^(?i:(?:the )?(?:(?:{RANK})[ -])?{ADJECTIVE} [\w-]+(?: [\w-]+)?(?: (?:in|on|of|by) [\w' -]+)?)\W*$"
    r"|^(?i:the )?(?!(?i:lots|plenty|most|all|some|many|none|both|half|out|instead|because)\b)[A-Za-z]+(?: [a-z]+)? of "
    r"(?:the )?[A-Z][\w'’-]+(?: (?:of |the |and )*[A-Z][\w'’-]+)*\W*$"
)
"""What one types into a search box: "biggest planet", "capital of France"."""
# Talk about the two who talk: "how are you", "what do you think", "what should I do", "what's up".
PERSONAL = re.compile(
    r"\b(?:you|your|yours|yourself|u|i|i'm|me|my|mine|we|us|our|let's)\b|\bwhat'?s up\b|\bhow'?s it going\b",
    re.IGNORECASE,
)
IDIOMS = re.compile(r"\b(?:you know|tell me|let me know|can you|could you|would you|will you|for me)\b", re.IGNORECASE)
PEOPLE = re.compile(
    r"^(?:why|how) do we\b|\bour (?:planet|world|earth|moon|sun|solar system|galaxy|universe|atmosphere|species|"
    r"ancestors|bod(?:y|ies)|brains?|bones|blood|cells|eyes|ears|teeth|hair|skin|lungs?|hearts?|stomachs?)\b",
    re.IGNORECASE,
)
"""Where "we" is everybody: "why do we dream", "our planet"."""
ADVICE = re.compile(
    r"^how (?:do|can|should|would|could) (?:i|you)\b|^how (?:can|should|would|could) we\b|"
    r"^what (?:should|can|could) (?:i|we)\b",
    re.IGNORECASE,
)

NAME = re.compile(r"\b(?:[A-Z][\w'’-]*|\d{4})(?:\s+(?:(?:of|the|de|da|van|von)\s+)*(?:[A-Z][\w'’-]*|\d+))*")
SENTENCE_START = re.compile(r"(?:^|[.!?]\s+)[A-Z]")


def answerable(query: str) -> bool:
    """Whether a corpus can have the answer: not to a request to make something up, to what holds just now, or to
    what concerns the one who is asked ("what's your name?") or who speaks ("I feel sad")."""
    return bool(terms(query)) and not any(
        form.search(query) for form in (CREATIVE, MOMENT, ASSISTANT, STATEMENT, GREETING)
    )


def question_part(text: str) -> str:
    """The message without openers and politeness: "Hey, can you tell me who wrote Emma?" gives "who wrote Emma?"."""
    asking = [sentence for sentence in split(text) if sentence.endswith("?")]
    chosen = asking[-1] if asking else text.strip()
    return LEAD.sub("", chosen).strip() or chosen


def seeks_facts(text: str) -> bool:
    """Whether a message is `answerable` and asks about the world, so that an answer without a source says so.

    "Who painted the Mona Lisa?" and "capital of France" do; "How are you?", "I like tea." and "What should I cook?"
    do not.
    """
    part = question_part(text)
    asks = (
        bool(ASKS.match(part) or FRAGMENT.match(part) or KEYWORDS.match(part))
        or (text.strip().endswith("?") and bool(LATER_WH.search(part)))
        or (bool(TELL.match(text.strip())) and bool(NAME.search(part) or part.lower().startswith("about")))
    )
    if not asks or ADVICE.match(part) or not answerable(part):
        return False
    return not PERSONAL.search(PEOPLE.sub("", IDIOMS.sub("", part)))


def names_in(query: str) -> set[str]:
    """The stems of a question's names: words with a capital or a digit; a common opener is none."""
    found: list[str] = []
    if query.isupper():  # somebody shouts: capitals say nothing
        return set()
    for number, word in enumerate(WORD.finditer(query)):
        text = word.group()
        if text.lower() in STOP_WORDS:
            continue
        opener = number == 0 and text.lower() in OPENERS
        if any(letter.isdigit() for letter in text) or (text[0].isupper() and not opener):
            found += terms(text)
    return set(found)


def names(text: str) -> list[str]:
    """The names in a text as they are written, "Marie Curie" as one; a common opener is none."""
    starts = {match.end() - 1 for match in SENTENCE_START.finditer(text)}
    found = []
    for match in NAME.finditer(text):
        words = match.group().split()
        if match.start() in starts and (words[0].lower() in STOP_WORDS or words[0].lower() in OPENERS):
            words = words[1:]
        if words and words != ["I"]:
            found.append(" ".join(words))
    return found
