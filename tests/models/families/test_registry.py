"""Base models by name, and the settings that they do not read."""

from dataclasses import replace

import pytest

from davae.core.presets import PRESETS
from davae.models.families.registry import FAMILIES, family_of, register


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_sets_only_what_its_family_reads(preset):
    e = PRESETS[preset]
    assert family_of(e) is FAMILIES[e.base_dit.family]


def test_settings_that_do_nothing_are_refused():
    image, text, flux = (PRESETS[name] for name in ("nano", "sd35m_1k", "flux_1k"))
    with pytest.raises(ValueError, match=r"'lightning' does not read adapt\.stored_prompts"):
        family_of(replace(image, adapt=replace(image.adapt, stored_prompts=True)))
    with pytest.raises(ValueError, match=r"'sd3' does not read base_dit\.depth"):
        family_of(replace(text, base_dit=replace(text.base_dit, depth=7)))
    limited = replace(flux, sample=replace(flux.sample, guidance_interval=(0.2, 1.0)))
    with pytest.raises(ValueError, match=r"'flux' does not read sample\.guidance_interval"):
        family_of(limited)
    assert family_of(replace(text, sample=limited.sample)).name == "sd3"  # it acts there


def test_unknown_and_taken_names():
    e = PRESETS["nano"]
    with pytest.raises(ValueError, match="families: lightning, sd3, flux"):
        family_of(replace(e, base_dit=replace(e.base_dit, family="unet")))
    with pytest.raises(ValueError, match="'sd3' already"):
        register(FAMILIES["sd3"])
