"""Translation: one tool, several backends, each result labelled with what made it.

`Translator` is the tool. Boundary: imports nothing heavy; a neural model is loaded on its first use.
"""

from toolset.translator.translator import Translator

__all__ = ["Translator"]
