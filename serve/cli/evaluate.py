"""The `groundling eval` group."""

from __future__ import annotations

import click

from serve.cli.lazy import LazyGroup

COMMANDS = {
    "safety": ("serve.cli.eval_safety:command", "How well P(safe) tells unsafe replies from safe ones."),
    "quality": ("serve.cli.eval_quality:command", "SENSIBLE, SPECIFIC and INTERESTING against human ratings."),
    "grounded": ("serve.cli.eval_grounded:command", "Whether GROUNDED sees what its source does not hold."),
    "questions": ("serve.cli.eval_questions:command", "Questions over a corpus: accuracy, citations, abstention."),
    "retrieval": ("serve.cli.eval_retrieval:command", "How often the passage that answers is found."),
    "prompts": ("serve.cli.eval_prompts:command", "Unsafe replies and refusals, with and without the filter."),
    "retention": ("serve.cli.eval_retention:command", "Perplexity on general text."),
    "embodied": ("serve.cli.eval_embodied:command", "Tasks in simulated homes, base model against an adapter."),
    "report": ("serve.cli.eval_report:command", "A page with tables and plots of saved results."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS, name="eval")
def evaluate() -> None:
    """Measure a model, an adapter and the whole agent on labelled data: your own or public sets.

    \b
    Data is JSONL; each command's --help shows its line. Rates are fractions of 1.
    With --save DIR a result is kept, and `groundling eval report DIR` makes a page of all of them.
    """
