"""What docs/tools.md shows works as it stands."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from toolset.config import ToolsConfig
from toolset.conformance import check_tool

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tools.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_plugin_works_and_keeps_the_contract(tmp_path: Path):
    [source] = [block for block in blocks("python") if block.startswith('"""The weather tool."""')]
    (tmp_path / "weather_example.py").write_text(source)
    spec = importlib.util.spec_from_file_location("weather_example", tmp_path / "weather_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.weather("weather in Oslo?").text == "Oslo: 3 °C, light snow"
    check_tool(module.weather, examples=["weather in Oslo"], foreign=["what is 2 + 2"])


@pytest.mark.parametrize("text", [block for block in blocks("toml") if "entry-points" not in block])
def test_the_example_configurations_are_valid(text: str):
    ToolsConfig.model_validate(tomllib.loads(text))


def test_the_examples_of_python_compile():
    for block in blocks("python"):
        compile(block, "docs/tools.md", "exec")
