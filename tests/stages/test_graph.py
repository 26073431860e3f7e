"""What enters the keys of an experiment's stages."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from davae.core.data_config import DataConfig
from davae.core.experiment import Experiment
from davae.core.presets import ARMS, PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.plan.stages import without_files
from davae.stages.graph import graph

COMMITTED = Path(__file__).parents[2] / "results" / "cpu-2core" / "store"


def test_arms_share_what_they_have_in_common():
    e = PRESETS["nano"]
    a, b = graph(e), graph(replace(e, davae=replace(e.davae, align_weight=0.5)))
    assert a["base_dit"].key == b["base_dit"].key
    assert a["davae"].key != b["davae"].key
    assert a["generation"].key != b["generation"].key
    other = graph(replace(e, seed=1))
    assert other["base_vae"].key == a["base_vae"].key
    assert other["davae"].key != a["davae"].key
    aliased = graph(replace(e, data=replace(e.data, antialias=True)))
    assert aliased["crops"].key == a["crops"].key
    assert aliased["base_vae"].key != a["base_vae"].key
    assert "adapted" not in graph(replace(e, davae=replace(e.davae, detail_channels=0)))


def test_arms_that_train_a_davae_share_its_start():
    e = ARMS["nano"].davae_seeds
    a, b = graph(e), graph(replace(e, seed=1, davae=replace(e.davae, align_weight=0.5)))
    shared = (graph(replace(ARMS["nano"].davae, seed=seed)) for seed in (0, 1))
    assert len({stages["davae"].key for stages in shared}) == 1
    assert a["davae"].key != b["davae"].key
    assert a["davae"].upstream["start"].key == b["davae"].upstream["start"].key
    plain = replace(PRESETS["nano"].davae, align_weight=0.0)
    assert a["davae"].upstream["start"].config["davae"] == plain
    without = replace(PRESETS["nano"].davae, detail_channels=0)
    assert a["no_detail_decoder"].upstream["start"].config["davae"] == without


def test_only_a_generation_aware_alignment_reads_the_base_transformer():
    e = PRESETS["nano"]
    aware = replace(e, davae=replace(e.davae, align_method="generation"))
    assert "base_dit" in graph(aware)["davae"].upstream
    assert "base_dit" not in graph(aware)["no_detail_decoder"].upstream
    assert "base_dit" not in graph(e)["davae"].upstream


def test_runtime_is_in_no_key():
    inputs = json.dumps([stage.inputs() for stage in graph(Experiment()).values()])
    for field in Runtime.__dataclass_fields__:
        assert f'"{field}"' not in inputs
    with pytest.raises(ValueError, match="torch sees"):
        Runtime(device="cuda:99").apply()
    with pytest.raises(ValueError, match="cpu, cuda or cuda:N"):
        Runtime(device="tpu").apply()


def test_the_bytes_of_outside_files_are_in_the_key(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"1")

    def key():
        data = DataConfig(name="folder", path=str(tmp_path / "images"))
        return graph(Experiment(data=data))["crops"].key

    first = key()
    assert key() == first
    (tmp_path / "images" / "a.png").write_bytes(b"2")
    assert key() != first


def test_the_committed_base_models_are_found_by_key():
    shipped = Store(Path("nowhere"), COMMITTED)
    for preset in ("smoke", "tiny", "tiny_photos"):
        stages = graph(PRESETS[preset])
        for role in ("base_vae", "base_dit", "davae", "no_detail_decoder"):
            assert shipped.has(stages[role].name, stages[role].key), (preset, role)
    other = graph(replace(PRESETS["tiny"], base_seed=1))["base_dit"]
    assert shipped.has(other.name, other.key)
    arm = ARMS["tiny"].davae
    start = graph(arm)["davae"].upstream["start"]
    assert shipped.has(start.name, start.key)


def test_a_drawing_has_a_version_of_its_own():
    photographs, drawn = (
        graph(replace(Experiment(), data=DataConfig(name=n))) for n in ("photos", "scenes")
    )
    assert (photographs["crops"].version, drawn["crops"].version) == (1, 2)


def test_captions_follow_the_images_that_are_there(tmp_path):
    """Which captions are drawn depends on the files, though their own file stays as it is."""
    (tmp_path / "captions.csv").write_text("file,caption\na.png,one\nb.png,two\nc.png,three\n")
    images = tmp_path / "images"
    images.mkdir()
    data = DataConfig(
        name="folder", path=str(images), captions=str(tmp_path / "captions.csv"), min_crop_px=48
    )
    e = replace(PRESETS["sd35m_1k"], data=data)
    keys = []
    for name in ("a", "b", "c"):
        (images / f"{name}.png").write_bytes(name.encode())
        keys.append(graph(e)["captions"].key)
    assert len(set(keys)) == 3


def test_what_no_training_saw_of_files_is_held_out():
    for preset, config in (("nano", {}), ("imagenet512", {"unseen": "heldout"})):
        stages = graph(without_files(PRESETS[preset]))
        for role in ("baselines", "generation"):
            assert {k: v for k, v in stages[role].config.items() if k == "unseen"} == config
