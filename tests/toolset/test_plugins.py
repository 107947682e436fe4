"""How tools are found and configured, and what broken plugins cannot do to the others."""

from __future__ import annotations

import importlib.metadata
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.tools import builtin_tools, configurable
from toolset import Tool, ToolConfigError, tool
from toolset.config import ToolsConfig, read_config
from toolset.plugins import GROUP, load_toolset

Install = Callable[..., None]

TOOL = """
    from toolset import tool

    @tool
    def {name}(query: str) -> str:
        "Answers for {name} of {package}."
        return "{package}"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts packages with entry points on the path, as an installer leaves them; `importlib.metadata` finds them."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def _install(package: str, source: str, *entry_points: str, version: str = "1.0") -> None:
        module = package.replace("-", "_").lower()
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        lines = "\n".join(entry_points).replace("MODULE", module)
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")

    yield _install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@tool
def calculator(query: str) -> str:
    """Stands for the built-in tool."""
    return "built in"


def load(config: ToolsConfig | None = None, builtin: list[Tool] | None = None):
    loaded = load_toolset(config, [calculator] if builtin is None else builtin)
    return loaded, [str(problem) for problem in loaded.problems]


def answers(loaded) -> dict[str, list[str]]:
    with loaded.toolset as toolset:
        return {call.tool: [result.text for result in call.results] for call in toolset.run("q").calls}


def test_an_installed_plugin_is_found_and_answers(install: Install):
    install("groundling-echo", TOOL.format(name="echo", package="groundling-echo"), "echo = MODULE:echo")
    loaded, problems = load()
    assert problems == []
    assert loaded.origins == {"calculator": "built in", "echo": "groundling-echo 1.0"}
    assert answers(loaded) == {"calculator": ["built in"], "echo": ["groundling-echo"]}


def test_every_form_of_entry_point(install: Install):
    install(
        "forms",
        """
        from toolset import Tool, tool

        class Greeter(Tool):
            name, description = "greeter", "Greets."

            def __init__(self, greeting="hello"):
                self.greeting = greeting

            async def run(self, query):
                return self.greeting

        @tool
        def one(query: str) -> str:
            "One."
            return "1"

        @tool
        def two(query: str) -> str:
            "Two."
            return "2"

        both = [one, two]

        def make(word="default"):
            @tool(name="made")
            def made(query: str) -> str:
                "Made by a function."
                return word
            return made
        """,
        "greeter = MODULE:Greeter",
        "both = MODULE:both",
        "made = MODULE:make",
    )
    config = ToolsConfig.model_validate(
        {"tools": {"greeter": {"settings": {"greeting": "hi"}}, "made": {"settings": {"word": "set"}}}}
    )
    loaded, problems = load(config, [])
    assert problems == []
    assert answers(loaded) == {"one": ["1"], "two": ["2"], "greeter": ["hi"], "made": ["set"]}


def test_broken_plugins_are_named_and_skipped_while_others_load(install: Install):
    install("a-import", "import no_such_module_anywhere", "a = MODULE:a")
    install("b-exit", "import sys\nprint('noise')\nsys.exit('bye')", "b = MODULE:b")
    install("c-syntax", "def broken(:\n    pass", "c = MODULE:c")
    install("d-attribute", "x = 1", "d = MODULE:missing")
    install("e-number", "x = 1", "e = MODULE:x")
    install("f-plain", "def f(query):\n    return 'no decorator'", "f = MODULE:f")
    install("g-class", "class G:\n    pass", "g = MODULE:G")
    install("h-name", TOOL.format(name="h", package="h") + "    h.name = '<|system|>\\n'", "h = MODULE:h")
    install("i-none", "def i():\n    return None", "i = MODULE:i")
    install("j-raise", "def j():\n    raise RuntimeError('x' * 5000 + chr(27))", "j = MODULE:j")
    install("k-fine", TOOL.format(name="k", package="k-fine"), "k = MODULE:k")
    loaded, problems = load()
    assert answers(loaded) == {"calculator": ["built in"], "k": ["k-fine"]}
    expected = [
        "plugin a (a-import 1.0): does not load: ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        "plugin b (b-exit 1.0): does not load: SystemExit: bye",
        "plugin c (c-syntax 1.0): does not load: SyntaxError: ",
        "plugin d (d-attribute 1.0): does not load: AttributeError: ",
        "plugin e (e-number 1.0): is int. Point it to a tool, a Tool class, or a function that makes tools.",
        "plugin f (f-plain 1.0): does not load: TypeError: f() missing 1 required positional argument: 'query'",
        "plugin g (g-class 1.0): the class G is no tool. Derive it from toolset.Tool.",
        "tool of h-name 1.0: tool name '<|system|>\\n' is not valid. ",
        "plugin i (i-none 1.0): returned NoneType. Return a tool; put @tool on a function that is one.",
        "plugin j (j-raise 1.0): does not load: RuntimeError: xxxxx",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)
        assert "\n" not in problem
        assert len(problem) < 500


def test_noise_of_an_import_stays_off_standard_output(install: Install, capsys):
    install("noisy", "print('noise')\n" + textwrap.dedent(TOOL.format(name="n", package="n")), "n = MODULE:n")
    load()[0].toolset.close()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "noise\n")


def test_of_two_plugins_with_one_name_the_first_package_is_kept(install: Install):
    install("zeta", TOOL.format(name="echo", package="zeta"), "echo = MODULE:echo")
    install("Alpha", TOOL.format(name="echo", package="Alpha"), "other = MODULE:echo")
    message = (
        "tool of zeta 1.0: another tool is named 'echo' (Alpha 1.0); that one is kept. "
        "Leave one of the packages out with `skip` in tools.toml."
    )
    for _ in range(3):
        loaded, problems = load()
        assert problems == [message]
        assert answers(loaded)["echo"] == ["Alpha"]
    loaded, problems = load(ToolsConfig(skip=["ALPHA"]))
    assert problems == []
    assert answers(loaded)["echo"] == ["zeta"]


def test_a_plugin_cannot_take_a_built_in_tools_name(install: Install):
    install("thief", TOOL.format(name="calculator", package="thief"), "calculator = MODULE:calculator")
    loaded, problems = load()
    assert answers(loaded) == {"calculator": ["built in"]}
    assert problems[0].startswith("tool of thief 1.0: another tool is named 'calculator' (built in); that one is kept.")


def test_third_party_loading_can_be_switched_off(install: Install):
    install("echo", "raise SystemExit('was imported')", "echo = MODULE:echo")
    loaded, problems = load(ToolsConfig(plugins=False))
    assert (answers(loaded), problems) == ({"calculator": ["built in"]}, [])


def test_disabling_and_budgets(install: Install):
    install("echo", TOOL.format(name="echo", package="echo"), "echo = MODULE:echo")
    install("off", "raise SystemExit('was imported')", "off = MODULE:off")
    config = ToolsConfig.model_validate(
        {
            "tools": {
                "calculator": {"enabled": False},
                "off": {"enabled": False},
                "echo": {"timeout": 1.5, "max_chars": 3},
                "echoo": {"timeout": 1},
            }
        }
    )
    loaded, problems = load(config)
    (echo,) = loaded.toolset.tools
    assert (echo.name, echo.timeout, echo.max_chars) == ("echo", 1.5, 3)
    assert answers(loaded) == {"echo": ["ech"]}
    assert problems == [
        "tool echoo: is configured, but no tool or plugin has that name. Correct or remove it in tools.toml."
    ]


def test_a_built_in_tool_that_is_switched_off_is_no_mistake():
    config = ToolsConfig.model_validate({"tools": {"calculator": {"enabled": False}, "search": {"timeout": 3.0}}})
    loaded = load_toolset(config, builtin_tools("none", config), entry_points=(), known=configurable(config))
    with loaded.toolset as toolset:
        assert toolset.names == ("translator", "virtualhome")
    assert [problem.what for problem in loaded.problems] == ["tool search"]  # it has no provider


def test_a_plugin_that_hangs_while_it_is_imported_is_named_and_skipped(install: Install, monkeypatch):
    monkeypatch.setattr("toolset.plugins.LOAD_SECONDS", 0.3)
    install("hanging", "import time\ntime.sleep(60)", "hanging = MODULE:hanging")
    loaded, problems = load()
    assert answers(loaded) == {"calculator": ["built in"]}
    assert problems == [
        "plugin hanging (hanging 1.0): was not imported within 0.3 s. Leave it out with `skip` in tools.toml."
    ]


def test_what_is_not_admitted_is_closed(install: Install, tmp_path: Path):
    source = """
        import pathlib
        from toolset import Tool

        class Holding(Tool):
            description = "Holds something."

            def __init__(self, name):
                self.name = name

            def run(self, query):
                return self.name

            async def close(self):
                with (pathlib.Path(__file__).parent.parent / "closed.txt").open("a") as file:
                    file.write(self.name + " ")

        kept = Holding("kept")
        several = [Holding("off"), kept, Holding("kept"), kept, Holding("Not valid")]
        """
    install("holding", source, "several = MODULE:several")
    loaded, problems = load(ToolsConfig.model_validate({"tools": {"off": {"enabled": False}}}), [])
    assert (tmp_path / "closed.txt").read_text() == "off kept Not valid "
    assert len(problems) == 3
    assert answers(loaded) == {"kept": ["kept"]}
    assert (tmp_path / "closed.txt").read_text() == "off kept Not valid kept "


def test_settings_that_a_plugin_does_not_take_are_a_problem(install: Install):
    install("echo", TOOL.format(name="echo", package="echo"), "echo = MODULE:echo")
    _, problems = load(ToolsConfig.model_validate({"tools": {"echo": {"settings": {"city": "Oslo"}}}}))
    assert problems == ["plugin echo (echo 1.0): takes no settings, got city. Remove them, or offer a class."]


def test_reading_the_configuration(tmp_path: Path):
    path = tmp_path / "tools.toml"
    assert read_config(path) == ToolsConfig()
    path.write_text(
        'plugins = false\nskip = ["x"]\n[tools.weather]\ntimeout = 2\nsettings = { city = "Oslo" }\n'
        '[mcp.papers]\ncommand = "paper-server"\ntools = ["search"]\n'
    )
    config = read_config(path)
    assert (config.plugins, config.skip) == (False, ["x"])
    assert (config.entry("weather").timeout, config.entry("weather").settings) == (2.0, {"city": "Oslo"})
    assert config.entry("other").enabled
    assert (config.mcp["papers"].command, config.mcp["papers"].tools) == ("paper-server", ["search"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plugins = maybe", "is not TOML: Invalid value (at line 1, column 11)"),
        ("plugin = true", "'plugin' is not known. There are: plugins, skip, tools, mcp."),
        ("[tools.x]\nenable = 1", "'tools.x.enable' is not known. There are: enabled, timeout, "),
        ("[tools.x]\ntimeout = 0", "tools.x.timeout: Input should be greater than 0."),
        ("[mcp.x]", "mcp.x: give either `command` or `url`."),
        ('[mcp.x]\nurl = "file:///etc"', "mcp.x.url: String should match pattern '^https?://'."),
    ],
)
def test_mistakes_in_the_configuration_are_one_clear_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "tools.toml"
    path.write_text(text)
    with pytest.raises(ToolConfigError) as raised:
        read_config(path)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)


def test_a_configuration_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "latin.toml").write_bytes("x = 'ü'".encode("latin-1"))
    for path in (tmp_path / "latin.toml", tmp_path):
        with pytest.raises(ToolConfigError, match=r"cannot be read .* Make it a UTF-8 text file in TOML"):
            read_config(path)


def test_the_group_is_what_packaging_metadata_says(install: Install):
    install("echo", TOOL.format(name="echo", package="echo"), "echo = MODULE:echo")
    assert [point.name for point in importlib.metadata.entry_points(group="groundling.tools")] == ["echo"]
