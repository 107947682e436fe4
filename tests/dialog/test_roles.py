from __future__ import annotations

from pathlib import Path

import pytest

from dialog.errors import RoleError
from dialog.roles import load_role, shipped_roles


def test_three_roles_are_shipped_and_load() -> None:
    assert set(shipped_roles()) == {"assistant", "everest", "home-helper"}
    assert "Everest" in load_role("everest").persona
    assert load_role("everest").opening
    assert load_role("assistant").tools is None


@pytest.mark.parametrize(
    ("text", "says"),
    [("persona: x", "name"), ("name: [", "YAML"), ("name: a\npersona: b\ntols: [x]", "tols"), ("\xff", "UTF-8")],
)
def test_a_bad_role_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "role.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RoleError, match=says):
        load_role(str(path))


def test_a_name_that_is_too_long_is_refused_with_the_bound_and_the_name(tmp_path: Path) -> None:
    path = tmp_path / "role.yaml"
    path.write_text(f"name: {'a' * 61}\npersona: You are long.\n")
    with pytest.raises(RoleError, match="name: String should have at most 60 characters, got 'aaa"):
        load_role(str(path))


def test_an_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(RoleError, match=r"'pirate'.*assistant, everest, home-helper"):
        load_role("pirate")
