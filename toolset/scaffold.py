"""Writes a new plugin package, and finds the tools of a package that is checked, installed or not.

Boundary: the files are a person's from then on; nothing here is needed when the plugin runs.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from string import Template

from toolset.clean import describe_error
from toolset.errors import PluginError
from toolset.plugins import GROUP, load_object
from toolset.tool import NAME, Tool

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "groundling-$slug"
version = "0.1.0"
description = "The $name tool for Groundling."
requires-python = ">=3.11"
dependencies = ["groundling"]

[project.optional-dependencies]
test = ["pytest"]

# Groundling finds the tool by this line: NAME = "MODULE:OBJECT".
[project.entry-points."groundling.tools"]
$name = "$module:$variable"

[tool.setuptools]
py-modules = ["$module"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""

_MODULE = '''\
"""The $name tool. Replace the pattern and the answer with your own."""

import re

from toolset import Result, Source, tool

QUERY = re.compile(r"how many words are in (?P<text>.+?)\\??", re.IGNORECASE)


@tool(name="$name", timeout=2.0)
def $variable(query: str) -> Result | None:
    """Counts the words of a text: "how many words are in to be or not to be"."""
    match = QUERY.fullmatch(query.strip())
    if match is None:
        return None  # not mine: every tool is asked every query
    count = len(match["text"].split())
    return Result(text=f"{count} words", source=Source(title="The $name tool"))
'''

_TEST = '''\
"""Run with `python -m pytest`."""

from toolset.conformance import check_tool

from $module import $variable


def test_answers():
    assert $variable("How many words are in to be or not to be?").text == "6 words"


def test_leaves_alone_what_is_not_its_own():
    assert $variable("hello") is None


def test_keeps_the_contract():
    check_tool($variable, examples=["how many words are in a b c"], foreign=["what is 2 + 2"])
'''

_README = """\
# groundling-$slug

The $name tool for [Groundling]: it answers queries such as "how many words are in to be or not to be".

    python -m pip install -e ".[test]"
    python -m pytest
    groundling tools run $name "how many words are in to be or not to be"

Settings, in the file that `groundling tools list` names:

    [tools.$name]
    timeout = 1.0       # seconds
    # enabled = false   # leaves the tool out

[Groundling]: https://pypi.org/project/groundling/
"""


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write an installable plugin with the tool `name` into the new `folder`; returns its files.

    Raises PluginError where the name is none or the folder holds something.
    """
    if not NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} is no tool name. Use a lower-case letter followed by at most 39 letters, digits, '_' or '-'."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PluginError(f"{folder} exists and is not empty. Choose another name or folder.")
    variable = re.sub(r"\W", "_", name)
    slug = re.sub(r"[-_]+", "-", name).strip("-")
    module = "groundling_" + slug.replace("-", "_")
    values = {"name": name, "slug": slug, "module": module, "variable": "the_" * _reserved(variable) + variable}
    files = {
        "pyproject.toml": _PYPROJECT,
        f"{module}.py": _MODULE,
        f"tests/test_{module}.py": _TEST,
        "README.md": _README,
    }
    written = []
    for place, template in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(template).substitute(values), encoding="utf-8")
        written.append(path)
    return written


def find_tools(target: str) -> list[tuple[str, Callable[[], list[Tool]]]]:
    """Entry points of `target`, each with a function that loads its tools.

    `target` is an installed package, a folder with a `pyproject.toml`, or a Python file. Importing happens in the
    functions, which raise PluginError for whatever goes wrong; this raises it where the target has no tools.
    """
    path = Path(target)
    if path.suffix == ".py" and path.is_file():
        return [(path.name, lambda: _load(lambda: _tools_of_file(path)))]
    if path.is_dir():
        points = _declared(path)
    else:
        try:
            points = [point for point in importlib.metadata.distribution(target).entry_points if point.group == GROUP]
        except (importlib.metadata.PackageNotFoundError, ValueError):
            raise PluginError(
                f"{target!r} is neither an installed package, nor a folder with a pyproject.toml, nor a Python file."
            ) from None
        if not points:
            raise PluginError(f"package {target!r} has no entry point in the group {GROUP!r}.")
    return [(point.name, lambda point=point: _load(lambda: load_object(point.load(), {}))) for point in points]


def _declared(folder: Path) -> list[importlib.metadata.EntryPoint]:
    """The entry points that a source folder declares; the folder becomes importable."""
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        declared = dict(project.get("entry-points", {}).get(GROUP, {}))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"{file} cannot be used: {describe_error(error)}.") from None
    if not declared:
        raise PluginError(f'{file} declares no tool. Add [project.entry-points."{GROUP}"] with NAME = "MODULE:OBJECT".')
    for place in (folder.resolve(), (folder / "src").resolve()):
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))
    return [importlib.metadata.EntryPoint(name, str(value), GROUP) for name, value in declared.items()]


def _tools_of_file(path: Path) -> list[Tool]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, Tool)]
    found += [
        value()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Tool) and value.__module__ == module.__name__
    ]
    if not found:
        raise PluginError(f"{path} has no tool. Put @tool on a function, or derive a class from toolset.Tool.")
    return found


def _load(load: Callable[[], list[Tool]]) -> list[Tool]:
    try:
        return load()
    except (PluginError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"does not load: {describe_error(error)}.") from None


def _reserved(variable: str) -> bool:
    """Whether a function of that name would hide something that the generated files use, or is no name at all."""
    used = {"re", "tool", "match", "query", "count", "str", "len", "check_tool"}
    special_to_pytest = ("test", "setup", "teardown", "pytest")  # it would run the tool as a test or as its set-up
    return keyword.iskeyword(variable) or variable in used or variable.startswith(special_to_pytest)
