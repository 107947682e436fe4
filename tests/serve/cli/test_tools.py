"""`groundling tools`: what a plugin's author does, from a new package to an installed one that answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from serve.cli.main import main

HOME = os.environ.get("GROUNDLING_HOME")
QUESTION = "How many words are in to be or not to be?"


@pytest.fixture(autouse=True)
def groundling_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["tools", *map(str, arguments)])


def test_list_names_tools_their_origin_and_problems(groundling_home: Path):
    (groundling_home / "tools.toml").write_text("[tools.missing]\nenabled = true\n")
    listed = json.loads(call("list", "--json").stdout)
    first = listed["tools"][0]
    assert (first["name"], first["from"], first["needs"]) == ("calculator", "built in", [])
    assert listed["problems"][0]["what"] == "tool missing"
    assert listed["config"] == str(groundling_home / "tools.toml")
    text = call("list")
    assert "calculator" in text.stdout
    assert "not loaded: tool missing: is configured, but no tool or plugin has that name." in text.stderr


def test_list_says_what_is_here_and_who_made_the_texts():
    status = {tool["name"]: tool["status"] for tool in json.loads(call("list", "--json").stdout)["tools"]}
    assert status["calculator"] == ""
    assert "Apertium" in status["translator"]
    assert "CC-BY-SA-4.0" in status["retrieval"]
    assert "CC-BY-SA-4.0" in call("list").stdout


def test_run_says_why_a_query_was_left_alone():
    alone = call("run", "translator", "what is 2 + 2")
    assert alone.stderr.startswith("translator left the query alone. Not read as a request for a translation.")


def test_settings_reach_a_built_in_tool(groundling_home: Path):
    (groundling_home / "tools.toml").write_text("[tools.translator]\nsettings = { beams = 2, colour = 1 }\n")
    refused = call("list")
    assert refused.exit_code == 1
    assert "settings of the tool 'translator'" in refused.stderr


def test_run_answers_leaves_alone_and_fails_clearly():
    assert call("run", "calculator", "15% of 80").stdout == "15% of 80 = 12\n"
    record = json.loads(call("run", "calculator", "15% of 80", "--json").stdout)
    assert (record["tool"], record["results"][0]["text"], record["error"]) == ("calculator", "15% of 80 = 12", None)
    alone = call("run", "calculator", "hello")
    assert (alone.exit_code, alone.stdout, alone.stderr) == (0, "", "calculator left the query alone.\n")
    unknown = call("run", "nope", "x")
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("groundling: no tool is named 'nope'. There are: calculator, ")


def test_a_mistake_in_the_configuration_is_one_line(groundling_home: Path, tmp_path: Path):
    (groundling_home / "tools.toml").write_text("plugins = perhaps\n")
    for arguments in (["list"], ["run", "calculator", "1+1"]):
        result = call(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"groundling: {groundling_home / 'tools.toml'} is not TOML: ")
        assert result.stderr.count("\n") == 1
    missing = call("list", "--config", tmp_path / "none.toml")
    assert (missing.exit_code, "does not exist" in missing.stderr) == (1, True)


def test_new_refuses_bad_names_and_folders_in_use(tmp_path: Path):
    for name in ("Weather", "../x", "a b", "-x", "<|system|>"):
        refused = call("new", "--in", tmp_path, "--", name)
        assert refused.exit_code == 1
        assert "is no tool name" in refused.stderr
    made = call("new", "weather", "--in", tmp_path)
    assert made.exit_code == 0
    assert f"  {sys.executable} -m pip install -e {tmp_path / 'groundling-weather'}\n" in made.stdout
    again = call("new", "weather", "--in", tmp_path)
    assert again.exit_code == 1
    assert "exists and is not empty" in again.stderr


@pytest.mark.parametrize("name", ["weather", "my-tool", "her_tool", "tool", "re", "class", "x" * 40])
def test_check_passes_a_new_package_of_any_name(name: str, tmp_path: Path):
    made = json.loads(call("new", name, "--in", tmp_path, "--json").stdout)
    checked = call("check", made["folder"], "--query", QUESTION, "--foreign", "hello", "--json")
    report = json.loads(checked.stdout)
    assert (checked.exit_code, report["passed"], report["tools"][0]["tool"]) == (0, True, name)


NAMES = (
    "check_tool tool re query match count len class none testimony test_answers setup_module teardown pytest_plugins"
)


def test_a_new_packages_tests_pass_whatever_its_name(tmp_path: Path):
    folders = [json.loads(call("new", name, "--in", tmp_path, "--json").stdout)["folder"] for name in NAMES.split()]
    path = os.pathsep.join([*folders, *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *folders],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"{3 * len(folders)} passed" in done.stdout


def test_check_fails_a_bad_tool_and_names_what_is_wrong(tmp_path: Path):
    file = tmp_path / "chatty.py"
    file.write_text(
        "from toolset import tool\n\n@tool\ndef chatty(query: str) -> str:\n    'Chats.'\n    return 'hm'\n"
    )
    checked = call("check", file)
    assert checked.exit_code == 1
    assert "FAIL  empty input    '' got 'hm'. Return None for what is not the tool's." in checked.stdout
    assert checked.stdout.endswith("The contract is not kept.\n")


def test_check_explains_what_cannot_be_checked(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "pyproject.toml").write_text("[project]\nname = 'bare'\n")
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere")
    (tmp_path / "nothing.py").write_text("x = 1")
    for target, message in {
        "no-such-package": "is neither an installed package, nor a folder with a pyproject.toml, nor a Python file.",
        "click": "package 'click' has no entry point in the group 'groundling.tools'.",
        tmp_path / "empty": "cannot be used: FileNotFoundError",
        tmp_path / "bare": "declares no tool. Add [project.entry-points.",
        tmp_path / "broken.py": "does not load: ModuleNotFoundError: No module named 'no_such_module_anywhere'.",
        tmp_path / "nothing.py": "has no tool. Put @tool on a function, or derive a class from toolset.Tool.",
    }.items():
        checked = call("check", target)
        assert checked.exit_code == 1
        assert message in checked.stderr
        assert checked.stderr.count("\n") == 1


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the new package installed; its Python, and the package's folder."""

    python: Path
    package: Path

    def run(self, *arguments: str | Path, home: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run its Python; with `home` as Groundling's home folder, or the one that the tests began with."""
        place = {"GROUNDLING_HOME": str(home)} if home else {} if HOME is None else {"GROUNDLING_HOME": HOME}
        environment = {
            **{name: value for name, value in os.environ.items() if name != "GROUNDLING_HOME"},
            **place,
            **more,
        }
        return subprocess.run(
            [self.python, *map(str, arguments)],
            capture_output=True, text=True, timeout=300, cwd=self.package.parent, env=environment,
        )  # fmt: skip

    def groundling(self, *arguments: str, home: Path | None = None) -> dict[str, Any]:
        done = self.run("-m", "serve.cli.main", *arguments, "--json", home=home)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """`tools new`, then `pip install` into a new environment; it sees what is installed here, not the other way."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    base = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    ours, theirs = sysconfig.get_path("purelib"), sysconfig.get_path("purelib", vars=base)
    Path(theirs, "groundling.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    call("new", "wordcount", "--in", folder)
    made = Environment(folder / "env" / "bin" / "python", folder / "groundling-wordcount")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", made.python, "install", *options, made.package],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


def test_a_new_packages_own_tests_pass(environment: Environment):
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", environment.package]
    tested = environment.run(*command, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout


def test_an_installed_package_is_found_and_answers(environment: Environment, groundling_home: Path):
    assert "wordcount" not in call("list").stdout  # here it is not installed
    listed = environment.groundling("tools", "list", home=groundling_home)
    assert {tool["name"]: tool["from"] for tool in listed["tools"]}["wordcount"] == "groundling-wordcount 0.1.0"
    answer = environment.groundling("tools", "run", "wordcount", QUESTION, home=groundling_home)
    source = {"title": "The wordcount tool", "url": None, "id": None, "score": None}
    assert answer["results"] == [{"text": "6 words", "source": source}]
    checked = environment.groundling(
        "tools", "check", "groundling-wordcount", "--query", QUESTION, home=groundling_home
    )
    assert checked["passed"]


@pytest.mark.slow
def test_an_installed_package_answers_in_a_chat(default_model: Path, environment: Environment):
    settings = ["--corpus", "none", "--candidates", "1", "--max-tokens", "16", "--threads", "1", "--seed", "1"]
    turn = environment.groundling("chat", "--once", QUESTION, *settings)
    assert turn["reply"] == "6 words [1]"
    assert [(citation["title"], citation["tool"]) for citation in turn["citations"]] == [
        ("The wordcount tool", "wordcount")
    ]
