"""Captioned images in WebDataset shards, to latents and stored prompts: killed twice on the way."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import webdataset

from davae.core.data_config import DataConfig
from davae.core.runtime import Runtime
from davae.data.shards import SUMS, Shards
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline
from tests.small_pipelines import experiment, save_sd3

IMAGES = 2_000
WORDS = ("red", "green", "blue", "circle", "square", "one", "two", "three")
BUILT = ("base_latents", "prompts")
CODE = """
import sys
from pathlib import Path
from tests.run.test_shards_of_text import build
build(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def write_images(top):
    """IMAGES grey images and captions in ten .tar files; a caption counts in words of base 8."""
    top.mkdir()
    with webdataset.ShardWriter(str(top / "%03d.tar"), maxcount=IMAGES // 10, verbose=0) as sink:
        for i in range(IMAGES):
            image = np.full((70, 90, 3), 30 + i // 10, np.uint8)
            said = " ".join(WORDS[i // 8**k % 8] for k in range(4))
            sink.write({"__key__": f"{i:05d}", "jpg": image, "txt": said})


def asked(top):
    e = experiment("sd3", str(top / "pipe"))
    data = DataConfig(
        name="webdataset", path=str(top / "data"), crop="center", resolution_px=64,
        train_crops=1_900, eval_crops=100, heldout_fraction=0.05,
    )  # fmt: skip
    return replace(e, data=data, adapt=replace(e.adapt, stored_prompts=True))


def build(top, store):
    pipeline = Pipeline.at(store, Runtime(images_at_once=16), lambda text: None)
    stages = run_stages(asked(top))
    return {role: pipeline.path(stages[role]) for role in BUILT}


def killed_at(top, store, pattern):
    """Start the work in a process of its own and kill it when a file is there."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", CODE, str(top), str(store)], cwd=root)
    while not list(store.glob(pattern)):
        assert process.poll() is None, f"ended before there was {pattern}"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return {path: path.stat().st_mtime_ns for path in store.rglob("0*.safetensors")}


def test_captioned_shards_go_to_latents_and_prompts_through_two_kills(tmp_path):
    save_sd3(tmp_path)
    write_images(tmp_path / "data")
    store = tmp_path / "store"
    made = killed_at(tmp_path, store, "base_latents/*.partial/train/000001.safetensors")
    made |= killed_at(tmp_path, store, "prompts/*.partial/prompts/000000.safetensors")
    folders = build(tmp_path, store)
    for path, when in made.items():  # not made twice
        now = Path(str(path).replace(".partial", ""))
        assert now.stat().st_mtime_ns == when
    assert len({path.parent.name for path in made} & {"train", "prompts"}) == 2
    whole = build(tmp_path, tmp_path / "undisturbed")
    sets = [("base_latents", split) for split in ("train", "heldout", "fresh")]
    for role, name in [*sets, ("prompts", "prompts")]:
        found, undisturbed = (Shards(where[role] / name) for where in (folders, whole))
        found.check()
        words = ["sha256sum", "--check", "--quiet", SUMS]
        subprocess.run(words, cwd=found.folder, check=True)
        assert torch.equal(found[:], undisturbed[:])
    assert len(Shards(folders["base_latents"] / "train")) == 1_900
    rows = Shards(folders["prompts"] / "prompts")
    assert len(rows) == 1_900 + 64 + 1
    latent = Shards(folders["base_latents"] / "train")[:]
    assert len(latent.flatten(1)[:, 0].unique()) > 150  # of 200 greys
    assert len(rows[:].sum(1).unique()) > 1_500  # captions differ
