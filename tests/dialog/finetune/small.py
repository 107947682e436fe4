"""What tests of whole runs share: a small data set and its configuration."""

from __future__ import annotations

import json
from pathlib import Path

from dialog.finetune.config import Config

WORDS = "sun moon river stone tree house bread water light road hill field cloud rain wind snow".split()


def files(folder: Path) -> Path:
    """Safety records, the same as replies, and general text."""
    folder.mkdir(exist_ok=True)
    rows = [
        {"context": [{"role": "user", "content": f"say {a}"}], "response": f"{a} {b}", "unsafe": int(i % 2)}
        for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS[:4])
    ]
    (folder / "safety.jsonl").write_text("\n".join(map(json.dumps, rows)))
    replies = [{key: value for key, value in row.items() if key != "unsafe"} for row in rows]
    (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
    (folder / "general.txt").write_text("\n\n".join(f"{' '.join(WORDS)} {i} " * 6 for i in range(30)))
    return folder


def config(**changes) -> Config:
    """Three steps on those files."""
    value = {
        "name": "small",
        "model": "small",
        "method": "ewc",
        "held_out": 0.3,
        "lora": {"rank": 2},
        "ewc": {"weight": 1.0, "samples": 4, "sample_tokens": 16},
        "retention": {"texts": ["general.txt"], "licence": "CC0-1.0", "tokens": 256, "max_ratio": 2.0},
        "train": {"steps": 3, "batch_size": 4, "max_tokens": 64, "save_every": 1, "evaluate_every": 2, "device": "cpu"},
        "tasks": {
            "safety": {"sources": [{"path": "safety.jsonl", "licence": "own"}]},
            "reply": {"sources": [{"path": "replies.jsonl"}]},
        },
    }
    return Config.model_validate(value | changes)
