"""Tasks: 18 evaluation families and four training families, generated from worlds and verified."""

from embodied.tasks.build import build_family, build_items, plan_records, training_records
from embodied.tasks.item import FAMILIES, TRAINING_FAMILIES, Item, majority_baseline

__all__ = [
    "FAMILIES",
    "TRAINING_FAMILIES",
    "Item",
    "build_family",
    "build_items",
    "majority_baseline",
    "plan_records",
    "training_records",
]
