"""Training the shipped models."""

from dataclasses import replace

import pytest

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.run.base import make_base, shipped_stages

NANO = PRESETS["nano"]


def rounded(e: Experiment) -> Experiment:
    parts = {
        name: replace(part, train=replace(part.train, round_weights=True))
        for name, part in (("base_vae", e.base_vae), ("davae", e.davae), ("base_dit", e.base_dit))
    }
    return replace(e, shared_davae=True, **parts)


def test_models_are_trained_once_and_copied_without_what_resuming_needs(nano, tmp_path):
    e = rounded(NANO)
    announced = []
    pipeline = replace(nano[0], announce=announced.append)
    to = make_base(e, (0, 1), pipeline, tmp_path / "shipped")
    copied = sorted(str(p.relative_to(to).parent) for p in to.glob("*/*"))
    assert copied == ["base_dit", "base_dit", "base_vae", "davae", "davae"]
    assert not list(to.rglob("*.npy"))
    before = {p: p.stat().st_mtime_ns for p in to.rglob("*")}
    announced.clear()
    make_base(e, (0, 1), pipeline, to)
    assert {p: p.stat().st_mtime_ns for p in to.rglob("*")} == before
    assert len(announced) == 5  # a line a model, and no stage made
    with pytest.raises(ValueError, match="round_weights is off"):
        shipped_stages(NANO, (0,))


def test_seeds_share_what_they_should():
    tiny = PRESETS["tiny"]
    a, b = shipped_stages(tiny, (0, 1)), shipped_stages(replace(tiny, seed=5), (0, 1))
    assert {role: stage.key for role, stage in a.items()} == {r: s.key for r, s in b.items()}
    assert a["base_dit0"].key != a["base_dit1"].key
    photos = shipped_stages(PRESETS["tiny_photos"], (0,))
    for role in ("base_vae", "davae", "no_detail_decoder"):
        assert photos[role].key == a[role].key  # one autoencoder for both
    assert photos["base_dit0"].key != a["base_dit0"].key
