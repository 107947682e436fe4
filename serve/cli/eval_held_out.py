"""Which records of a file an adapter was not trained on: --held-out, and a line where a file was trained on.

A finetuning run splits a user's own file by the first thing that a user says, groundedness by its knowledge
(`dialog.finetune.sources`). The side depends on that text and on the share alone, so it is known again from the card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from serve.cli.eval_common import chosen, opening

if TYPE_CHECKING:
    from dialog.finetune.adapters import AdapterCard
    from safety.records import GroundedRecord, QualityRecord, SafetyRecord

R = TypeVar("R", "SafetyRecord", "QualityRecord", "GroundedRecord")


def held_out_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--held-out of the commands that read labelled replies."""
    told = "Only what the adapter's finetuning held out of this file; without adapter, a tenth of the contexts."
    return click.option("--held-out", is_flag=True, help=told)(command)


def measured_records(
    data: Path, read: Callable[[int | None], list[R]], options: dict[str, Any], *, held_out: bool, limit: int | None
) -> tuple[list[R], float | None]:
    """(the records of `data` to measure on, the share that they were held out by); `read` gives the first so many.

    Without `held_out` a line on standard error says where the adapter was trained on the file. Raises SettingsError
    where the adapter holds nothing out, DataError where no record is held out, AdapterError.
    """
    from safety.errors import DataError
    from safety.split import split_by
    from serve.adapters import find_adapter
    from serve.assemble import AgentOptions

    named = AgentOptions(**chosen(**options))
    folder, card = find_adapter(named.adapter, named.model, named.engine)
    if not held_out:
        if card is not None and data.name in trained_files(card):
            click.echo(
                f"groundling: {data.name} was trained on by {card.full_name} (so its card says of a file of this "
                "name): what is measured on trained records flatters. Use --held-out.",
                err=True,
            )
        return read(limit), None
    share = held_out_share(folder, card, data.name)
    records = read(None)
    _, held = split_by(records, split_key, share, salt="held out")
    if not held:
        raise DataError(
            f"none of the {len(records)} records of {data.name} is held out at a share of {share}. Give more contexts, "
            "or leave --held-out out."
        )
    return held[:limit], share


def trained_files(card: AdapterCard) -> set[str]:
    """The names of all files that records were drawn from to train an adapter, and what it started from."""
    return {name for use in card.data if use.file and use.records for name in use.file.split(", ")}


def held_out_share(folder: Path | None, card: AdapterCard | None, file: str) -> float:
    """The share of a file's contexts that neither an adapter nor what it started from was trained on.

    Of a bare model, which was trained on none, it is a recipe's default, so that it stands beside an adapter. Raises
    SettingsError where nothing is held out, or nobody knows what is.
    """
    from dialog.finetune.config import Config
    from serve.errors import SettingsError

    if card is None and folder is not None:
        raise SettingsError(f"--held-out needs an adapter's card, and {folder} has none. Leave it out.")
    if card is None:
        return Config.model_fields["held_out"].default
    share = min(shares(card, file), default=0.0)
    if share <= 0:
        raise SettingsError(
            f"{card.full_name} holds none of {file} out (held_out 0), so --held-out has nothing to measure. Leave it "
            "out, and give data that were not trained on."
        )
    return share


def shares(card: AdapterCard, file: str) -> Iterator[float]:
    """The share that each run held out: an adapter's own, and those of what it started from that took the file too.

    What the smallest share holds out, the larger ones do too.
    """
    from dialog.errors import AdapterError
    from serve.adapters import find_adapter

    sources = (source for task in card.recipe.get("tasks", {}).values() for source in task.get("sources", ()))
    own = {Path(source["path"]).name for source in sources if source.get("path")}
    if file in own or file not in trained_files(card):
        yield float(card.recipe.get("held_out") or 0)
    for name in card.recipe.get("start") or ():
        try:
            start = find_adapter(name)[1]
        except AdapterError:
            told = f"{card.full_name} started from {name}, which is not here: what that was trained on is not known"
            click.echo(f"groundling: {told}", err=True)
            continue
        if start is not None and file in trained_files(start):
            yield from shares(start, file)


def split_key(record: SafetyRecord | QualityRecord | GroundedRecord) -> str:
    """What decides on which side of a finetuning run's split a record is, in a file of one's own."""
    from dialog.finetune.records import Generation, Groundedness
    from dialog.finetune.sources import asked_key
    from safety.records import GroundedRecord

    if isinstance(record, GroundedRecord):
        values = {"knowledge": record.knowledge, "response": record.response, "grounded": record.grounded}
        return asked_key(Groundedness(context=record.context, **values))  # type: ignore[arg-type]
    return asked_key(Generation(context=record.context, response=record.response))


def unmeasured(train: Path, examples: Sequence[SafetyRecord], records: Sequence[SafetyRecord]) -> list[SafetyRecord]:
    """The records of `train` on whose context nothing is measured, for the probe; a line says how many are left out.

    A probe that is fitted on the rows which it is scored on knows their labels. Raises DataError where none is left.
    """
    from safety.errors import DataError
    from safety.split import plain

    measured = {plain(opening(record.context, record.response)) for record in records}
    kept = [one for one in examples if plain(opening(one.context, one.response)) not in measured]
    if not kept:
        raise DataError(
            f"the contexts of all {len(examples)} records of --train {train.name} are measured on too, so the probe "
            "would be scored on what it was fitted on. Give other records, or leave --train out."
        )
    if len(kept) < len(examples):
        click.echo(
            f"groundling: {len(examples) - len(kept)} of the {len(examples)} records of --train {train.name} are left "
            "out, as their context is measured on",
            err=True,
        )
    return kept
