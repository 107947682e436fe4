"""The README's examples of the service, run as they stand there but for the address and what is asked."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import Running

README = Path(__file__).resolve().parents[3] / "README.md"
SECTION = README.read_text().split("\n## Serve it\n")[1].split("\n## ")[0]


async def run(service: Running, *command: str) -> str:
    """What a command prints, with the key in its environment."""
    environment = {**os.environ, "KEY": service.key}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    printed, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    return printed.decode()


def here(service: Running, example: str) -> str:
    """The example for this service, which knows no painter."""
    example = example.replace("http://127.0.0.1:8000", service.url)
    return example.replace("Who painted the Mona Lisa?", "Where does the Vistula flow?")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_curl_example_answers(service: Running):
    [example] = re.findall(r"^    (curl .*?)\n\n", SECTION, re.DOTALL | re.MULTILINE)
    printed = await run(service, "sh", "-c", here(service, example).replace("curl ", "curl -s "))
    assert json.loads(printed)["choices"][0]["message"]["content"].endswith("[1]")


async def test_the_python_example_prints_the_answer_and_its_source(service: Running):
    [example] = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    printed = (await run(service, sys.executable, "-c", here(service, example))).splitlines()
    assert printed[0].endswith("[1]")
    assert printed[1] == "https://example.org/vistula?a=1&b=2"


def test_the_picture_is_there_and_small():
    [path] = re.findall(r"!\[.*?\]\((.*?)\)", SECTION)
    assert 10_000 < (README.parent / path).stat().st_size <= 150_000
