"""`groundling bench`: what this machine does, measured. The benchmarks lie with the tests, in a source checkout."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

BENCHMARKS = {
    "turn": "A whole turn against bare generation, by stage.",
    "tools": "The calculator and translator: accuracy and latency.",
    "retrieval": "Retrieval: quality and latency, beside BM25 and plain FAISS.",
    "finetune": "EWC step against a plain LoRA step; batched Fisher.",
    "methods": "EWC at several weights, replay and plain LoRA: learned and forgotten.",
    "world": "The embodied simulator and planner against their oracle.",
    "api": "The REST API: overhead, throughput, errors.",
}
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "benchmarks"


class BenchGroup(click.Group):
    """Loads a benchmark's `command` from its file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in BENCHMARKS if (FOLDER / f"{name}.py").is_file()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in BENCHMARKS:
            return None
        path = FOLDER / f"{cmd_name}.py"
        if not path.is_file():
            raise click.ClickException(
                f"there is no {path}: benchmarks need a source checkout, installed with `make chat`."
            )
        spec = importlib.util.spec_from_file_location(f"groundling_bench_{cmd_name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(FOLDER.parents[1]))
        spec.loader.exec_module(module)
        return module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, BENCHMARKS[name]) for name in self.list_commands(ctx)])


@click.group(cls=BenchGroup)
def bench() -> None:
    """Measure this machine. Each benchmark compares in one run, so that its ratios hold on a noisy machine."""
