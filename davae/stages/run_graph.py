"""The stages of a whole run: the method's, those of what it is compared with, and the no-detail
twin's."""

from __future__ import annotations

from dataclasses import replace

from davae.core.experiment import Experiment
from davae.models.families.registry import family_of
from davae.stages.graph import graph
from davae.stages.methods import METHODS
from davae.stages.stage import Stage

OF_A_METHOD = ("sampled", "samples", "generation", "latent_distance")
"""Roles that every method has for itself."""


def compared_methods(e: Experiment, methods: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The methods beside `davae` whose images the run judges: those named, or the family's
    controls; `tuned` only where there are adapters.

    Raises ValueError for an unknown one.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {', '.join(unknown)}; methods: {', '.join(METHODS)}")
    usual = [n for n in family_of(e).controls if n != "tuned" or e.adapt.lora_rank]
    return tuple(name for name in methods or usual if name != "davae")


def run_stages(e: Experiment, methods: tuple[str, ...] = ()) -> dict[str, Stage]:
    """The graph of `e`, its no-detail twin's roles `no_detail*`, and those of every other method.

    no_detail: the same decoder trained with D = 0, where a method that is compared with decodes by
    it. The roles of the family's control start with `control`, those of further methods with their
    names."""
    if e.method != "davae" or not e.davae.detail_channels:
        raise ValueError(
            "a run compares the method with others: leave method and detail_channels as they "
            "are, and name what it is "
            "compared with by --methods"
        )
    stages = graph(e)
    without_detail = stages.pop("no_detail_decoder")
    compared = compared_methods(e, methods)
    if not methods or any(decodes_without_detail(e, name) for name in compared):
        twin = graph(replace(e, davae=replace(e.davae, detail_channels=0)))
        stages |= {"no_detail_decoder": without_detail, "no_detail": twin["reconstruction"]}
    for name in compared:
        other = graph(replace(e, method=name))
        prefix, built = role_prefix(e, name), {stage.key for stage in stages.values()}
        own = [role for role in OF_A_METHOD if role in other]
        stages |= {f"{prefix}_{role}": other[role] for role in own}
        for role, stage in other.items():
            if role in ("no_detail_decoder", *OF_A_METHOD):
                continue
            if stage.key not in built:
                stages[role if role not in stages else f"{prefix}_{role}"] = stage
    return stages


def decodes_without_detail(e: Experiment, method: str) -> bool:
    """Whether the method's images come from the decoder that is trained with D = 0."""
    stages = graph(replace(e, method=method))
    decoder = stages["samples"].upstream.get("davae")
    return decoder is not None and decoder.key == stages["no_detail_decoder"].key


def role_prefix(e: Experiment, method: str) -> str:
    """What the roles of a method's stages start with."""
    return "control" if method == family_of(e).controls[0] else method
