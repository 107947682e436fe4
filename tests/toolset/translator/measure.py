"""Measures the translator on parallel text: time a sentence, by server and by process, and chrF against a reference.

    python tests/toolset/translator/measure.py ../shared/data/grounding/xquad_parallel.jsonl

Reads records with the parallel paragraphs `context.en` and `context.es` and parallel questions (timed: they are
single sentences); prints one JSON object. chrF (Popović
2015) is the F-score, recall weighing twice, of character n-grams of 1 to 6 over the whole set, times 100.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter

from toolset.translator.apertium import Apertium, run_subprocess
from toolset.translator.apy import ApyServer

TIMED = 100
"""Questions timed each way."""


def chrf(hypotheses: list[str], references: list[str], order: int = 6, beta: float = 2.0) -> float:
    """Corpus chrF, 0 to 100; white space does not count."""
    scores = []
    for n in range(1, order + 1):
        matched = made = wanted = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            a, b = (_ngrams("".join(text.split()), n) for text in (hypothesis, reference))
            matched += sum((a & b).values())
            made += a.total()
            wanted += b.total()
        if matched:
            precision, recall = matched / made, matched / wanted
            scores.append((1 + beta**2) * precision * recall / (beta**2 * precision + recall))
        elif made and wanted:
            scores.append(0.0)
    return 100 * statistics.mean(scores) if scores else 0.0


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def timed(run, mode: str, sentences: list[str]) -> list[float]:
    """Milliseconds of each sentence, after one that warms up."""
    run(mode, sentences[0])
    times = []
    for sentence in sentences:
        start = time.perf_counter()
        run(mode, sentence)
        times.append(1000 * (time.perf_counter() - start))
    return times


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pairs = [(row["context"]["en"], row["context"]["es"]) for row in rows]
    sentences = [qa["question"]["en"] for row in rows for qa in row["qas"]][:TIMED]
    server = ApyServer()
    backend = Apertium(server)
    report: dict[str, object] = {"paragraphs": len(pairs), "sentences_timed": len(sentences)}
    report["server_median_ms"] = round(statistics.median(timed(server, "eng-spa", sentences)), 1)
    report["process_median_ms"] = round(statistics.median(timed(run_subprocess, "eng-spa", sentences)), 1)
    for name, source, target, texts in (
        ("en_es", "en", "es", pairs),
        ("es_en", "es", "en", [(spanish, english) for english, spanish in pairs]),
    ):
        found = [backend.translate(text, source, target) for text, _ in texts]
        references = [reference for _, reference in texts]
        report[f"chrf_{name}"] = round(chrf([t.text if t else "" for t in found], references), 1)
        report[f"chrf_{name}_untranslated"] = round(chrf([text for text, _ in texts], references), 1)
        report[f"known_words_{name}"] = round(statistics.mean(t.confidence if t else 0.0 for t in found), 3)
    server.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
