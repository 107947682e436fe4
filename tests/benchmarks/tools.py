"""`groundling bench tools`: how right and how fast the calculator and the translator are on this machine.

The calculator runs its table of queries, each with a value that was computed without it, beside a calculator that
gives the line to Python's `eval` after a character check: what most assistants ship. The translator runs its table's
phrases, and translates where a backend is installed.
"""

from __future__ import annotations

import inspect
import json
import re
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tests.toolset.calculator.golds import agrees, value
from tests.toolset.calculator.table import NOW, TABLE
from toolset.calculator import Calculator
from toolset.tool import as_results

TRANSLATIONS = ("hello in Spanish", "butterfly in French", "translate 'the house is red' to Catalan")


def timed(work: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median milliseconds of a call, by the wall's clock or another."""
    seconds = []
    for _ in range(repeats):
        began = clock()
        work()
        seconds.append(clock() - began)
    return 1000 * statistics.median(seconds)


def naive(query: str) -> str | None:
    """The calculator this one is compared to: signs alone, straight to Python; large powers are cut, or it hangs."""
    text = re.sub(r"^(?:what is|what's|calculate)\s+", "", query.strip(), flags=re.I).rstrip(" ?=").replace("^", "**")
    if not re.fullmatch(r"[\d\s.+\-*/()%]+", text) or text.count("**") > 1 or re.search(r"\*\*\s*\d{5}", text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return str(eval(text, {"__builtins__": {}}))
    except Exception:
        return None


def accuracy(answer: Callable[[str], str | None]) -> dict[str, float]:
    """Shares of the table: right, left alone though answerable, wrong, and answered though it should be left alone."""
    counts = {"right": 0, "left_alone": 0, "wrong": 0, "answered_what_it_should_not": 0}
    answerable = others = 0
    for rows in TABLE.values():
        for query, expected, gold in rows:
            line = answer(query)
            if expected is None or gold is None:
                others += 1
                counts["answered_what_it_should_not"] += line is not None
                continue
            answerable += 1
            kind = "left_alone" if line is None else "right" if agrees(line, value(gold)) else "wrong"
            counts[kind] += 1
    return {"n": answerable, "n_to_leave_alone": others, **counts}


def measure_calculator(repeats: int) -> dict[str, Any]:
    """Accuracy on the table, and latencies in milliseconds: of getting ready, of first uses then, and warm."""
    began = time.perf_counter()
    calculator = Calculator(now=lambda: NOW)
    load = timed(calculator.load, 1)
    first = {"arithmetic": "135 + 7721", "irrational": "sqrt(2)", "units": "5 miles in km", "currency": "1 USD in EUR"}
    first_use = {name: timed(lambda query=query: calculator.run(query), 1) for name, query in first.items()}

    def answer(query: str) -> str | None:
        results = calculator.run(query)
        return results[0].text if results else None

    answered = [query for rows in TABLE.values() for query, expected, _ in rows if expected is not None]
    refused = [query for rows in TABLE.values() for query, expected, _ in rows if expected is None]
    medians = [timed(lambda query=query: calculator.run(query), repeats) for query in answered]
    refusals = [timed(lambda query=query: calculator.run(query), repeats) for query in refused]
    cpu = [timed(lambda query=query: calculator.run(query), repeats, time.process_time) for query in refused]
    return {
        **accuracy(answer),
        "median_ms": statistics.median(medians),
        "slowest_ms": max(medians),
        "refusal_median_ms": statistics.median(refusals),
        "refusal_slowest_ms": max(refusals),
        "refusal_slowest_cpu_ms": max(cpu),
        "load_ms": load,
        "first_use_ms": first_use,
        "eval_after_a_character_check": accuracy(naive),
        "seconds": time.perf_counter() - began,
    }


async def measure_translator() -> dict[str, Any] | None:
    """Latency of refusals, and of translations where a backend is installed; None without the translator."""
    try:
        from toolset.translator import Translator
    except ImportError:
        return None
    translator = Translator()

    async def ask(query: str) -> tuple[list[str], float]:
        began = time.perf_counter()
        run: Callable[[str], Any] = translator.run
        output = run(query)
        if inspect.isawaitable(output):
            output = await output
        return [result.text for result in as_results(output)], 1000 * (time.perf_counter() - began)

    try:
        refusals = [(await ask(query))[1] for query in ("what is 135 + 7721", "who won in 1998", "I live in Paris") * 5]
        rows = []
        for query in TRANSLATIONS:
            texts, first = await ask(query)
            again = [(await ask(query))[1] for _ in range(3)] if texts else []
            rows.append({"query": query, "result": texts[0] if texts else None, "first_ms": first,
                         "median_ms": statistics.median(again) if again else None})  # fmt: skip
        return {"refusal_median_ms": statistics.median(refusals), "translations": rows}
    finally:
        close: Callable[[], Any] = translator.close
        closing = close()
        if inspect.isawaitable(closing):
            await closing


def measure_marks(data: Path, calculator: Calculator) -> dict[str, int]:
    """GSM8K's `<<48/2=24>>` marks in a folder of evaluation data: right, left alone, wrong."""
    from tests.toolset.calculator.golds import read
    from tests.toolset.calculator.oracle import evaluate

    counts = {"n": 0, "right": 0, "left_alone": 0, "wrong": 0}
    with (data / "tools" / "gsm8k_train.jsonl").open(encoding="utf-8") as lines:
        marks = [mark for line in lines for mark in re.findall(r"<<(.*?)=", json.loads(line)["answer"])]
    for mark in marks:
        if not re.search(r"[\d)]\s*[-+*/]", mark):
            continue
        counts["n"] += 1
        results = calculator.run(mark)
        if not results:
            counts["left_alone"] += 1
            continue
        expected, shown = evaluate(mark), read(re.split(r" [=≈] ", results[0].text)[-1])
        counts["right" if abs(shown - expected) <= abs(expected) / 10**9 else "wrong"] += 1
    return counts


@click.command()
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1, 1000), help="Calls of each query.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of evaluation data: adds GSM8K's calculator marks (tools/gsm8k_train.jsonl).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(repeats: int, data: Path | None, as_json: bool) -> None:
    """The calculator's accuracy and latency, beside `eval` after a character check; the translator's latency.

    \b
    Examples:
      groundling bench tools
      groundling bench tools --data ../shared/data --json
    """
    import asyncio

    report: dict[str, Any] = {"calculator": measure_calculator(repeats)}
    if data is not None:
        if not (data / "tools" / "gsm8k_train.jsonl").is_file():
            raise click.ClickException(f"{data} holds no tools/gsm8k_train.jsonl. Name the folder that does.")
        report["gsm8k_marks"] = measure_marks(data, Calculator(now=lambda: NOW))
    report["translator"] = asyncio.run(measure_translator())
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    ours, other = report["calculator"], report["calculator"]["eval_after_a_character_check"]
    click.echo(f"calculator, {ours['n']} queries with a value, {ours['n_to_leave_alone']} to leave alone")
    click.echo(f"{'':24}{'right':>8}{'left alone':>12}{'wrong':>8}{'answered, should not':>22}")
    for name, row in (("this one", ours), ("eval after a check", other)):
        click.echo(
            f"{name:24}{row['right']:>8}{row['left_alone']:>12}{row['wrong']:>8}{row['answered_what_it_should_not']:>22}"
        )
    click.echo(f"a query {ours['median_ms']:.2f} ms (median), {ours['slowest_ms']:.1f} ms (slowest), warm")
    click.echo(
        f"a refusal {ours['refusal_median_ms']:.2f} ms (median), {ours['refusal_slowest_ms']:.1f} ms (slowest; "
        f"{ours['refusal_slowest_cpu_ms']:.1f} ms of processor time; limit 10 ms)"
    )
    first = ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in ours["first_use_ms"].items())
    click.echo(f"loading {ours['load_ms']:.0f} ms; first use then: {first}")
    if "gsm8k_marks" in report:
        marks = report["gsm8k_marks"]
        click.echo(
            f"GSM8K marks: {marks['n']}, right {marks['right']}, "
            f"left alone {marks['left_alone']}, wrong {marks['wrong']}"
        )
    if report["translator"]:
        click.echo(f"translator: a refusal {report['translator']['refusal_median_ms']:.2f} ms (median)")
        for row in report["translator"]["translations"]:
            speed = f"{row['median_ms']:.0f} ms" if row["result"] else "no backend installed for it"
            click.echo(f"  {row['query']}: {row['result'] or '-'} ({speed})")
