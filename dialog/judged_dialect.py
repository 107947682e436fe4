"""The `judged` dialect: the chat dialect, with discriminators that an adapter was trained for.

Replies and research are written as in the `chat` dialect, in the model's own chat format, so that an adapter for it has
only to learn to judge. The judge is read as in the `tuned` dialect: all attributes at one position, each over its own
pair of label tokens. With `·` for what ends an answer in the model's template:

    {chat prompt}{candidate}·Judge:                         one read, all attributes
    {chat prompt with sources}{answer}·Grounded:            the groundedness read

It is what two cores can train (docs/log.md); a GPU can teach the `tuned` dialect, which also writes its own queries.
"""

from __future__ import annotations

from dialog.chat_dialect import ChatDialect
from dialog.decoder import Tokenizer
from dialog.dialect import ATTRIBUTES, Read
from dialog.tokens import encode_trusted
from dialog.tuned_dialect import label_pairs


class JudgedDialect(ChatDialect):
    """Implements `dialog.dialect.Dialect` for a tokenizer that has a chat template."""

    name = "judged"
    judges_untuned = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        pairs = label_pairs(tokenizer)
        self.attribute_reads = (
            Read((self.end, *encode_trusted(tokenizer, "Judge:")), {name: pairs[name] for name in ATTRIBUTES}),
        )
        self.grounded_read = Read((self.end, *encode_trusted(tokenizer, "Grounded:")), {"grounded": pairs["grounded"]})
