"""Fixtures that all rooms' tests share: the real default model, and the shared data where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("GROUNDLING_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The folder of the default model's safetensors; fetched and converted on the first use."""
    from serve.store import DEFAULT_MODEL, ModelStore

    return ModelStore().pull(DEFAULT_MODEL).path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real evaluation data (`GROUNDLING_DATA`); users do not have it, so these tests then skip."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no evaluation data at {SHARED_DATA}; set GROUNDLING_DATA to run this test")
    return SHARED_DATA
