"""Fits and measures when retrieval shows no evidence: `python -m tests.benchmarks.abstention CORPUS MODEL DATA WORK`.

CORPUS is the default corpus's folder, MODEL the embedding model's, DATA the shared evaluation data; WORK keeps the
joint corpus between runs. Three corpora: "default"; "large", that with the paragraphs of xquad_parallel.jsonl added;
and "small", those paragraphs alone. Sets of questions:

- in xquad: all of XQuAD's, over large and small. off xquad: the same, every document of their title held out; over
  the default corpus, those whose article it lacks.
- in nq: of nq_open_dev.jsonl, those whose answer stands in the best-ranked summary (`kb_rank` 1) and whose words
  name that summary's title (the others are mostly chance). off nq: the same with that article held out.
- unanswered nq: those whose answer no summary holds (their subject often is in the corpus); reported, not fitted.
- in title, off title: "What is <title>?" for every twentieth article, there and held out; reported, not fitted.
- off chitchat: first lines of open-domain talk.

Articles are split in two by a hash of their title: weights and threshold come from the first half, the figures from
the second.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np

from toolset.english.question import answerable
from toolset.english.words import terms
from toolset.retrieval import Corpus, Document, Embedder, Found, abstain
from toolset.retrieval.evaluate import Question

TOP = 3
Sets = dict[str, list[tuple[str, bool, np.ndarray, bool]]]
"""By name: (question, in the first half, features of up to TOP passages, whether the first passage is right)."""


def half(title: str) -> bool:
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def paragraphs(data: Path) -> list[Document]:
    return [
        Document(
            id=f"{row['article']}/{row['para']}", title=row["article"].replace("_", " "), text=row["context"]["en"]
        )
        for row in lines(data / "grounding" / "xquad_parallel.jsonl")
    ]


def questions_of(data: Path) -> list[Question]:
    """XQuAD's English questions, with the ids that `paragraphs` gives."""
    return [
        Question(question=pair["question"]["en"], source_ids=[f"{row['article']}/{row['para']}"])
        for row in lines(data / "grounding" / "xquad_parallel.jsonl")
        for pair in row["qas"]
    ]


def search(corpus: Corpus, question: str, without: str | None) -> list[Found]:
    """The best passages, with every document of one title held out."""
    found = corpus.search(question, TOP if without is None else TOP + 8)
    return [each for each in found if without is None or each.document.title.lower() != without.lower()][:TOP]


def describe(corpus: Corpus, question: str, without: str | None, right: str | None) -> tuple[np.ndarray, bool]:
    found = search(corpus, question, without)
    lexicon = corpus.index().lexicon
    usable = [each for each in found if answerable(question) and abstain.binds(question, each)]
    values = [abstain.features(question, each, lexicon) for each in usable]
    first = (
        bool(usable)
        and found[0] is usable[0]
        and right is not None
        and found[0].document.title.lower() == right.lower()
    )
    return np.array(values).reshape(-1, len(abstain.FEATURES)), first


def named(question: str, title: str) -> bool:
    """Whether a question holds a word of a title."""
    return bool(set(terms(question)) & set(terms(without_parenthesis(title))))


def without_parenthesis(title: str) -> str:
    return re.sub(r" \(.*\)$", "", title)


def collect(default: Corpus, large: Corpus, small: Corpus, data: Path) -> Sets:
    sets: Sets = {}

    def put(name: str, corpus: Corpus, question: str, title: str, held_out: bool, known: bool = True) -> None:
        values, right = describe(corpus, question, title if held_out else None, title if known else None)
        sets.setdefault(name, []).append((question, half(title), values, right))

    titles = sorted(set(default.index().documents))
    for row in lines(data / "grounding" / "xquad_parallel.jsonl"):
        title = row["article"].replace("_", " ")
        for pair in row["qas"]:
            question = pair["question"]["en"]
            for kind, corpus in (("large", large), ("small", small)):
                put(f"in xquad {kind}", corpus, question, title, False)
                put(f"off xquad {kind}", corpus, question, title, True)
            if title not in titles:
                put("off xquad default", default, question, title, False, False)
    questions = lines(data / "grounding" / "nq_open_dev.jsonl")
    for row in questions:
        if row["kb_rank"] == 1 and named(row["question"], row["kb_title"]):
            put("in nq", default, row["question"], row["kb_title"], False)
            put("off nq", default, row["question"], row["kb_title"], True)
    for row in [row for row in questions if row["kb_rank"] is None][:1000]:
        put("unanswered nq", default, row["question"], row["question"], False, False)
    for title in titles[::20]:
        question = f"What is {without_parenthesis(title)}?"
        put("in title", default, question, title, False)
        put("off title", default, question, title, True)
    for row in lines(data / "retention" / "chitchat.jsonl")[:600]:
        put("off chitchat", default, row["turns"][0][1][:300], row["turns"][0][1], False, False)
    return sets


def scores(values: np.ndarray, weights: np.ndarray, bias: float) -> float:
    """The best passage's logit."""
    return float((values @ weights + bias).max()) if len(values) else -99.0


def fit(sets: Sets) -> tuple[np.ndarray, float]:
    """Logistic weights on the first half: right first passages against all passages of held-out questions."""
    from sklearn.linear_model import LogisticRegression

    rows, labels, weight = [], [], []
    for name, items in sets.items():
        if name.startswith("unanswered") or name.endswith("title"):
            continue
        chosen = [(values, right) for _, first, values, right in items if first and len(values)]
        good = name.startswith("in")
        taken = [v[:1] for v, right in chosen if right] if good else [v for v, _ in chosen]
        stack = np.concatenate(taken)
        rows.append(stack)
        labels += [good] * len(stack)
        weight += [(2.0 if good else 1.0) / len(stack)] * len(stack)  # every set counts alike
    model = LogisticRegression(C=1e4, max_iter=10_000)
    x = np.concatenate(rows)
    model.fit(x, labels, sample_weight=np.array(weight) * 1000)
    return model.coef_[0], float(np.ravel(model.intercept_)[0])


def main() -> None:
    corpus, model, data, work = map(Path, sys.argv[1:5])
    embedder = Embedder(model)
    default = Corpus(corpus, embedder)
    if not (work / "large").is_dir():
        shutil.copytree(corpus, work / "large")
    large, small = Corpus(work / "large", embedder), Corpus(work / "small", embedder, create=True)
    large.add(paragraphs(data))
    small.add(paragraphs(data))
    sets = collect(default, large, small, data)
    weights, bias = fit(sets)
    print("FEATURES", abstain.FEATURES)
    print("WEIGHTS", np.round(weights, 3).tolist(), "BIAS", round(bias, 3))
    report(sets, weights, bias)


def report(sets: Sets, weights: np.ndarray, bias: float) -> None:
    logits = {
        name: {side: [scores(v, weights, bias) for _, first, v, _ in items if first == side] for side in (True, False)}
        for name, items in sets.items()
    }
    print(
        "share that gets no evidence, second half; threshold chosen on the first for that share of in-corpus questions"
    )
    names = list(logits)
    print("false", "threshold", *names, sep=" | ")
    for false in (0.01, 0.02, 0.03, 0.05, 0.08, 0.12):
        inside = np.concatenate([logits[name][True] for name in names if name.startswith(("in xquad", "in nq"))])
        cut = float(np.quantile(inside, false))
        shares = [f"{np.mean(np.array(logits[name][False]) < cut):.3f}" for name in names]
        print(false, f"{1 / (1 + np.exp(-cut)):.4f}", *shares, sep=" | ")


if __name__ == "__main__":
    main()
