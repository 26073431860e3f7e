"""Training the shipped models."""

import json
from dataclasses import replace

import pytest

from davae.core.experiment import Experiment
from davae.core.presets import ARMS, PRESETS
from davae.run.base import make_base, shipped_stages, thin
from davae.stages.graph import graph

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
    assert copied == ["base_dit", "base_dit", "base_vae", "davae", "davae", "davae", "native_vae"]
    assert not list(to.rglob("*.npy"))
    before = {p: p.stat().st_mtime_ns for p in to.rglob("*")}
    announced.clear()
    make_base(e, (0, 1), pipeline, to)
    assert {p: p.stat().st_mtime_ns for p in to.rglob("*")} == before
    assert len(announced) == 7  # a line a model, and no stage made
    with pytest.raises(ValueError, match="round_weights is off"):
        shipped_stages(NANO, (0,))


def test_seeds_share_what_they_should():
    tiny = PRESETS["tiny"]
    a, b = shipped_stages(tiny, (0, 1)), shipped_stages(replace(tiny, seed=5), (0, 1))
    assert {role: stage.key for role, stage in a.items()} == {r: s.key for r, s in b.items()}
    assert a["base_dit0"].key != a["base_dit1"].key
    photos = shipped_stages(PRESETS["tiny_photos"], (0,))
    for role in ("base_vae", "davae", "no_detail_decoder", "start", "native_vae"):
        assert photos[role].key == a[role].key  # one autoencoder for both
    assert photos["base_dit0"].key != a["base_dit0"].key


def test_the_start_of_arms_is_shipped_and_their_decoders_start_from_the_shipped_one():
    shipped = shipped_stages(PRESETS["tiny"], (0,))
    stages = graph(ARMS["tiny"].davae)
    assert stages["davae"].upstream["start"].key == shipped["start"].key
    decoder = stages["no_detail_decoder"]
    assert decoder.upstream["start"].key == shipped["no_detail_decoder"].key
    steps = [s.config["davae"].train.steps for s in (stages["davae"], decoder)]
    assert steps[0] == steps[1]  # both as long


def test_a_thinned_log_keeps_every_check(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        {"step": i, "loss": 1.0} | ({"eval/heldout": 2.0} if i % 997 == 0 else {})
        for i in range(20_000)
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    thin(log)
    kept = [json.loads(line) for line in log.read_text().splitlines()]
    assert [k["step"] for k in kept if "eval/heldout" in k] == list(range(0, 20_000, 997))
    assert 1_000 <= len(kept) < 1_100
    assert kept == sorted(kept, key=lambda line: line["step"])
