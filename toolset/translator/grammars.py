"""How a translation is asked for, language by language: the words that `forms` reads by.

Patterns are matched at the start of the question, ignoring case. Boundary: data, no logic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NEVER = re.compile(r"(?!)")
SPACE = r"(?:\s+|(?=[\"'“‘«„:]))"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


@dataclass(frozen=True)
class Grammar:
    """The forms of one asking language. Prepositions and word lists are folded (no case, no accents)."""

    code: str
    translate: re.Pattern[str]
    say: re.Pattern[str]
    mean: re.Pattern[str]
    into: frozenset[str]
    in_: frozenset[str]
    out_of: frozenset[str]
    article: re.Pattern[str] = NEVER
    """Stands between a preposition and a language's name."""
    language_word: re.Pattern[str] = NEVER
    noun: re.Pattern[str] = NEVER
    """"the word" before what is to be translated."""
    of: re.Pattern[str] = NEVER
    named_word: re.Pattern[str] = NEVER
    """"the Spanish word" before a word whose meaning is asked for."""
    this: re.Pattern[str] = NEVER
    """What stands for the text where that comes last: "translate the following sentence to L: X"."""
    said: re.Pattern[str] = NEVER
    """What may stand after the text: "how is X said in L"."""
    mean_end: re.Pattern[str] | None = None
    mean_open: re.Pattern[str] = NEVER
    """Starts of `mean` that ask for a meaning only where `mean_end` follows."""
    function_words: frozenset[str] = frozenset()
    """Words of the asking language: with one of these, a text is hardly of another language."""
    what_is: re.Pattern[str] = NEVER
    polite: re.Pattern[str] = NEVER
    polite_end: re.Pattern[str] = NEVER
    pronouns: frozenset[str] = frozenset()
    determiners: frozenset[str] = frozenset()
    not_first: frozenset[str] = field(default_factory=frozenset)
    not_inside: frozenset[str] = field(default_factory=frozenset)


ENGLISH = Grammar(
    code="en",
    translate=_pattern(
        r"(?:(?:what(?:'s|’s| is| would be)|give me|show me|i need|i want|find|provide) )?(?:(?:the|a) )?"
        rf"(?:translate|translating|translation(?= (?:of|for)\b)){SPACE}"
    ),
    say=_pattern(
        r"(?:(?:do you know|show me|teach me|i want to know|i'd like to know|learn) )?"
        r"(?:how (?:do|would|can|could|should|does|might) (?:you|we|i|one|people|they|someone|somebody)"
        r" (?:say|translate|pronounce)|how (?:to|do i|do you|d'you) (?:say|translate)|how(?: is|'s|’s| are| would)"
        r"(?= .+ (?:said|translated|expressed|called)\b)|what do (?:you|they|we|people) call"
        rf"|(?:(?:other |different |some |the |a |best |another )*ways? (?:to say|of saying|you can say))"
        rf"|(?:i want to |i would like to |i'd like to |help me )?say|what(?:'s|’s| is) the way to say){SPACE}"
    ),
    mean=_pattern(
        r"(?:what (?:does|do|did|would)|(?:what(?:'s|’s| is) )?(?:the )?meaning of|what(?:'s|’s| is) meant by"
        r"|what (?:is|are) the (?:meaning|definition|sense) of)"
        r"(?: the (?:word|words|phrase|term|expression|sentence))? "
    ),
    mean_end=_pattern(r"\s(?:mean|means|meaning|translate to|stand for)$"),
    mean_open=_pattern(r"^what (?:does|do|did|would)\b"),
    function_words=_words(
        "of in the on and with for to at by is are was my your his her their our not you we they life love money time"
    ),
    into=_words("into to"),
    in_=_words("in"),
    out_of=_words("from"),
    article=_pattern(r"^(?:the|plain|simple|modern|standard) "),
    language_word=_pattern(r" (?:language|please)$"),
    noun=_pattern(
        r"^(?:the |this |my |a )?(?:following )?(?:english )?(?:words?|phrase|sentence|text|term|expression|saying)"
        r"(?:\s*:\s*|\s+(?=[\"'“‘«„]|\S+$))"
    ),
    of=_pattern(r"^(?:of|for) "),
    this=_pattern(
        r"(?:this|it|these|the following|following)(?: (?:words?|phrase|sentences?|text|paragraph))?:? "
        r"(?=(?:in)?to |from |in )"
    ),
    said=_pattern(r" (?:said|translated|expressed|called|be|be said|be called|be translated)$"),
    what_is=_pattern(r"^(?:what(?:'s|’s|s| is| are| was| would)) "),
    polite=_pattern(
        r"^(?:(?:hi|hello|hey|ok|okay|so|and)(?=,| there,) ?(?:there,)?|please(?! in(?: \S+){1,4}[?!. ]*$)|kindly|"
        r"(?:can|could|would|will) you (?:please |kindly )?(?:tell me |help me )?"
        r"(?=how |what |translate |say |the translation)|tell me(?= how | what | the )|do you know(?= how | what )|"
        r"i want to know(?= how | what )|i wonder(?= how | what )|can i ask(?= how | what ))"
    ),
    polite_end=_pattern(r"[ ,]+(?:please|for me|thanks|thank you very much indeed)[?!. ]*$"),
    pronouns=_words("something anything nothing so it this that these those he she they you we i one everything all"),
    determiners=_words("it this that these those he she they you we i the a an my your his her its our their"),
    named_word=_pattern(r"^(?:the )?(.{2,40}?) (?:words?|phrase|term|expression|saying|sentence) "),
    not_first=_words(
        "who whom whose what when where why which how is are was were do does did can could will would shall "
        "should may might must has have had am be been write tell give explain answer reply respond speak "
        "speaking talk sing read count list show name describe summarize summarise find recommend teach learn "
        "learning help make create compose draft generate use using put ask continue play spell discuss "
        "repeat greet chat converse study studying compare define provide search look best most top popular "
        "largest biggest longest shortest first last famous common main major several many some any all every "
        "number numbers grammar verbs nouns words books movies films songs music lessons courses people "
        "someone he she it they that this there these those fluent interested available born in on at from by "
        "major degree phd translate translated translation made seen lost found ever never"
    ),
    not_inside=_words(
        "say written wrote writes spoken spoke speaks speak sung published printed released recorded filmed "
        "composed called titled named known meaning lives live lived living born died won fluent fluently "
        "translated translate conjugated conjugate pronounced pronounce grammar verb verbs noun nouns tense "
        "plural adjective longest shortest famous novel poem lyrics spelling alphabet vowels consonants "
        "dialects word words phrase was were did does used occur occurs rank ranked studied taught teach "
        "degree major minor available"
    ),
)

SPANISH = Grammar(
    code="es",
    translate=_pattern(
        r"(?:(?:cuál es |dame )?la )?(?:traduce(?:me)?|tradúceme|traducir|traduzca|traduzcan|traducción(?= de))" + SPACE
    ),
    say=_pattern(
        r"c[oó]mo (?:se (?:dice|dicen|diría|traduce|llama|escribe)|digo|dirías|decimos|decir|puedo decir|dices)" + SPACE
    ),
    mean=_pattern(
        r"(?:qu[eé] (?:significa|significan|quiere decir)|(?:cu[aá]l es )?(?:el )?significado de)"
        r"(?: la (?:palabra|frase|expresión))? "
    ),
    into=_words("al a"),
    in_=_words("en al a"),
    out_of=_words("del de"),
    article=_pattern(r"^(?:el|la|idioma|lengua) "),
    noun=_pattern(r"^(?:la |el |esta )?(?:palabra|frase|expresión|texto|oración)\s*:?\s+"),
    of=_pattern(r"^de "),
    this=_pattern(
        r"(?:esto|lo siguiente|(?:la siguiente|esta) (?:frase|palabra|oración)|el siguiente texto):? "
        r"(?=al? |de[l]? |en )"
    ),
    polite=_pattern(
        r"^(?:por favor|(?:me )?(?:puedes|podrías) (?:decirme |traducir(?=me ))?(?=c[oó]mo |qu[eé] |traduc)|dime)"
    ),
    polite_end=_pattern(r"[ ,]+por favor[?!. ]*$"),
    pronouns=_words("eso esto esta este ese esa aquello todo nada el ella ello"),
    determiners=_words("eso esto que tu su mi para cuando ser estar"),
)

FRENCH = Grammar(
    code="fr",
    translate=_pattern(
        r"(?:(?:quelle est |donne-moi )?la )?(?:traduis|traduisez|traduire|tradui[st]-moi|traduction(?= de))" + SPACE
    ),
    say=_pattern(
        r"comment (?:(?:est-ce qu[e'’]\s?)?(?:on )?(?:dit|traduit|appelle)(?:[- ]on)?|dire|se dit|dis-tu"
        r"|dites-vous|dirait-on|traduire|puis-je dire|je dis|tu dis)" + SPACE
    ),
    mean=_pattern(
        r"(?:(?:que|qu[e'’]est[- ]ce que) (?:signifie|signifient|veut dire|veulent dire)|(?:quel(?:le)? est )?"
        r"(?:la signification|le sens) (?:de |d['’]))(?: ?le mot| ?la phrase| ?l['’]expression)? ?"
    ),
    into=_words("en vers"),
    in_=_words("en"),
    out_of=_words("de du depuis"),
    article=_pattern(r"^(?:le |la |langue |l['’])"),
    noun=_pattern(r"^(?:le |la |cette |l['’])?(?:mot|phrase|expression|texte)\s*:?\s+"),
    of=_pattern(r"^(?:de |d['’])"),
    polite=_pattern(
        r"^(?:s['’]il (?:te|vous) pla[iî]t|(?:peux-tu|pouvez-vous|pourrais-tu|pourriez-vous)(?: me dire)?"
        r"(?= comment | traduire | ce que )|dis-moi)"
    ),
    polite_end=_pattern(r"[ ,]+s['’]il (?:te|vous) pla[iî]t[?!. ]*$"),
    pronouns=_words("cela ca ceci il elle tout rien"),
    determiners=_words("cela ca ceci ce que pour etre"),
)

GERMAN = Grammar(
    code="de",
    translate=_pattern(
        r"(?:(?:was ist )?die )?(?:übersetze?(?: mir)?|übersetzen(?: sie)?|uebersetze|übersetzung(?= von| für))" + SPACE
    ),
    say=_pattern(
        r"(?:wie (?:sagt man|sage ich|sagst du|sagen sie|heißt|heisst|lautet|heißen)|was heißt|was heisst)" + SPACE
    ),
    mean=_pattern(
        r"(?:was (?:bedeutet|bedeuten|heißt|heisst)|(?:was ist )?die bedeutung von)"
        r"(?: das wort| der satz| der ausdruck)? "
    ),
    into=_words("auf in ins nach"),
    in_=_words("auf in ins"),
    out_of=_words("aus von vom"),
    article=_pattern(r"^(?:das|dem|der|die) "),
    noun=_pattern(r"^(?:das |der |den |diesen )?(?:wort|satz|ausdruck|text)\s*:?\s+"),
    of=_pattern(r"^(?:von|für) "),
    polite=_pattern(r"^(?:bitte|(?:kannst du|können sie)(?: mir)?(?: bitte)?(?: sagen,?)?(?= wie | was )|sag mir)"),
    polite_end=_pattern(r"[ ,]+bitte[?!. ]*$"),
    pronouns=_words("das dies es er sie alles nichts hier du ihr"),
    determiners=_words("das dies es er sie es du ihr fur"),
)

ITALIAN = Grammar(
    code="it",
    translate=_pattern(r"(?:(?:qual è |dammi )?la )?(?:traduci(?:mi)?|traduca|tradurre|traduzione(?= di))" + SPACE),
    say=_pattern(r"come (?:si (?:dice|dicono|direbbe|traduce|chiama)|dico|dire|posso dire|dici)" + SPACE),
    mean=_pattern(
        r"(?:(?:che |che cosa |cosa )(?:significa|significano|vuol dire|vuole dire)|(?:qual è )?il significato di)"
        r"(?: la parola| la frase| l['’]espressione)? "
    ),
    into=_words("in"),
    in_=_words("in"),
    out_of=_words("dal dall' da"),
    article=_pattern(r"^(?:l['’]|lingua )"),
    noun=_pattern(r"^(?:la |il |questa |l['’])?(?:parola|frase|espressione|testo)\s*:?\s+"),
    of=_pattern(r"^di "),
    polite=_pattern(r"^(?:per favore|per piacere|(?:puoi|può|potresti)(?: dirmi)?(?= come | cosa | tradurre )|dimmi)"),
    polite_end=_pattern(r"[ ,]+per (?:favore|piacere)[?!. ]*$"),
    pronouns=_words("questo quello cio tutto niente lui lei"),
    determiners=_words("questo quello cio che per essere"),
)

PORTUGUESE = Grammar(
    code="pt",
    translate=_pattern(r"(?:(?:qual é )?a )?(?:traduz(?:a|ir|-me)?|tradução(?= d[eoa]))" + SPACE),
    say=_pattern(r"como (?:(?:é que )?se (?:diz|dizem|traduz|chama|fala)|digo|dizer|posso dizer|falo)" + SPACE),
    mean=_pattern(
        r"(?:o que (?:é que )?(?:significa|significam|quer dizer)|que significa|(?:qual é )?o significado d[eoa])"
        r"(?: a palavra| a frase| a expressão)? "
    ),
    into=_words("para em ao"),
    in_=_words("em para ao"),
    out_of=_words("do de"),
    article=_pattern(r"^(?:o|a|língua|idioma) "),
    noun=_pattern(r"^(?:a |o |esta |este )?(?:palavra|frase|expressão|texto)\s*:?\s+"),
    of=_pattern(r"^d[eoa] "),
    polite=_pattern(
        r"^(?:por favor|(?:podes|pode|você pode|poderia)(?: me)?(?: dizer(?:-me)?)?"
        r"(?= como | o que | traduzir )|diga-me)"
    ),
    polite_end=_pattern(r"[ ,]+por favor[?!. ]*$"),
    pronouns=_words("isso isto aquilo tudo nada ele ela"),
    determiners=_words("isso isto aquilo que para ser"),
)

CATALAN = Grammar(
    code="ca",
    translate=_pattern(r"(?:(?:quina és )?la )?(?:tradueix(?:-me)?|traduïu|traduir|traducció(?= de| d['’]))" + SPACE),
    say=_pattern(r"com (?:es (?:diu|diuen|diria|tradueix)|dic|dir|puc dir|en dius|se'n diu)" + SPACE),
    mean=_pattern(
        r"(?:qu[eè] (?:significa|signifiquen|vol dir|volen dir)|(?:quin és )?el significat de)"
        r"(?: la paraula| la frase| l['’]expressió)? "
    ),
    into=_words("al a en"),
    in_=_words("en al a"),
    out_of=_words("del de"),
    article=_pattern(r"^(?:el |la |llengua |l['’])"),
    noun=_pattern(r"^(?:la |el |aquesta |l['’])?(?:paraula|frase|expressió|text)\s*:?\s+"),
    of=_pattern(r"^(?:de |d['’])"),
    polite=_pattern(r"^(?:si us plau|(?:pots|em pots|podries)(?: dir-me| traduir-me)?(?= com | què )|digue'm)"),
    polite_end=_pattern(r"[ ,]+si us plau[?!. ]*$"),
    pronouns=_words("aixo allo tot res ell ella"),
    determiners=_words("aixo allo que per ser"),
)

GRAMMARS = (ENGLISH, SPANISH, FRENCH, GERMAN, ITALIAN, PORTUGUESE, CATALAN)

NOT_AFTER_FOR = _words(
    "beginners dummies kids children travelers travellers business tourists adults professionals reading everyone free "
    "students teachers me you us them years"
)
"""After "French for", these name a course, not a text to translate."""

SAYINGS = frozenset(
    line.strip()
    for line in """
    how are you
    how are you doing
    how are you today
    what is your name
    what's your name
    where are you from
    where is the bathroom
    where is the toilet
    where's the bathroom
    where is the train station
    how much is this
    how much does it cost
    how much is it
    what time is it
    do you speak english
    who are you
    what is this
    how old are you
    can you help me
    can i help you
    what's up
    is this yours
    where do you live
    what do you do
    how do you do
    i am
    may i come in
    do you understand
    are you ok
    """.strip().splitlines()
)
"""Questions that phrasebooks hold: "how are you in Italian" asks for a translation though it starts as a question."""
