"""FAMILIES: every base model by name. A new one is a file and a line here, or `register` from a
file of your own."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from davae.core.experiment import Experiment
from davae.models.families import flux, lightning, sd3
from davae.models.families.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family for family in (lightning.FAMILY, sd3.FAMILY, flux.FAMILY)
}


def register(family: Family) -> None:
    """Add a base model; raises ValueError for a name that is taken."""
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already; give yours another name")
    FAMILIES[family.name] = family


def family_of(e: Experiment) -> Family:
    """The experiment's base model; raises ValueError for an unknown one and for settings that it
    does not read."""
    name = e.base_dit.family
    if name not in FAMILIES:
        raise ValueError(f"base_dit.family is {name!r}; families: {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    unread = [f"{field} ({why})" for field, why in family.refuses.items() if _is_set(e, field)]
    if unread:
        raise ValueError(
            f"the family {name!r} does not read {'; '.join(unread)}: leave it at its default"
        )
    if family.patch_size and e.base_dit.patch_size != family.patch_size:
        raise ValueError(
            f"base_dit.patch_size is {e.base_dit.patch_size}; the pretrained transformer of the "
            f"family {name!r} has {family.patch_size}"
        )
    return family


def _is_set(e: Experiment, field: str) -> bool:
    """Whether a field, as `adapt.lora_rank` or `snapshot_step`, differs from its default."""
    part, _, leaf = field.rpartition(".")
    config: Any = getattr(e, part) if part else e
    default = next(f for f in fields(config) if f.name == leaf).default
    assert default is not MISSING, f"{field} has no default to be left at"
    return getattr(config, leaf) != default
