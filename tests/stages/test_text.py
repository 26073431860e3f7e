"""Text to image through the stages, on small random pipelines of diffusers' real classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    FluxPipeline,
)
from safetensors.torch import load_file

from davae.core.presets import PRESETS
from davae.core.records import load_records
from davae.core.runtime import Runtime
from davae.core.store import Store, read_log
from davae.data.shards import Shards
from davae.models.adapt import attach
from davae.models.families.registry import FAMILIES
from davae.run.execute import run_experiment
from davae.stages.autoencoder import MODEL
from davae.stages.prompts import NO_PROMPT, prompted_by
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline, Work
from davae.stages.text import ADAPTERS
from tests.small_pipelines import experiment, save_flux, save_sd3


@pytest.fixture(scope="module")
def pipes(tmp_path_factory):
    """Folders of both pipelines."""
    folders = {}
    for family, save in (("sd3", save_sd3), ("flux", save_flux)):
        top = tmp_path_factory.mktemp(family)
        save(top)
        folders[family] = str(top / "pipe")
    return folders


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_a_run_adapts_the_pipeline_and_judges_its_images(family, pipes, tmp_path):
    e = experiment(family, pipes[family])
    runtime = Runtime(checkpoint_activations=True, micro_batch=3)
    pipeline = Pipeline(Store(tmp_path / "store"), runtime, lambda text: None)
    result = run_experiment(e, "sd35m_1k", pipeline, tmp_path / "runs")
    assert "f8c8p2" in result.table
    for row in (
        "adapted with DA-VAE",
        "pretrained base model, enlarged",
        "pretrained base model, tuned by adapters, enlarged",
        "gKD of patches",
        "| DA-VAE |",
        "decoder without",
    ):
        assert row in result.table
    stages = run_stages(e)
    images = np.load(pipeline.path(stages["samples"]) / "images.npy")
    assert images.shape == (247, 3, 64, 64)
    assert images.std() > 1
    tuned, plain = (
        np.load(pipeline.path(stages[f"{name}_samples"]) / "images.npy").astype(int)
        for name in ("tuned", "control")
    )
    assert tuned.shape == images.shape
    assert np.abs(tuned - plain).max() > 0  # by adapters that were trained
    adapters = load_file(pipeline.path(stages["tuned"]) / ADAPTERS)
    assert all(value.any() for name, value in adapters.items() if "lora_B" in name)
    reference = [r for r in load_records(tmp_path / "runs").to_dict("records")
                 if r["metric"] == "gpkd_effnet"]  # fmt: skip
    assert {r["arm"] for r in reference} == {"adapted", "tuned", "base_upsampled"}
    # what the run leaves is what `attach` takes, on a fresh pipeline
    pipe = FAMILIES[family].pipeline(pipes[family], "cpu", torch.float32)
    attach(pipe, pipeline.path(stages["adapted"]) / MODEL)
    assert pipe("one red circle", height=64, width=64, num_inference_steps=1).images[0].size == (
        64,
        64,
    )
    trained = {
        n: p for n, p in pipe.transformer.named_parameters() if "lora_B" in n or ".detail." in n
    }
    assert trained
    assert [n for n, p in trained.items() if not p.any()] == []


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_our_velocity_is_the_pipelines_own_step(family, pipes):
    """One Euler step of the pipeline at sigma from 1 to 0 adds (0 - 1) v, which is ours of t = 0
    over 1."""
    pipe = FAMILIES[family].pipeline(pipes[family], "cpu", torch.float32)
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    given = latent if family == "sd3" else FluxPipeline._pack_latents(latent, 1, 4, 8, 8)
    out = pipe(
        "one red circle",
        height=32,
        width=32,
        num_inference_steps=1,
        guidance_scale=1.0,
        latents=given,
        output_type="latent",
    ).images
    if family == "flux":
        out = FluxPipeline._unpack_latents(out, 32, 32, 4)
    with torch.no_grad():
        base_model = FAMILIES[family]
        text = base_model.encode_prompts(pipe, ["one red circle"])
        u = base_model.velocity(pipe, latent, torch.zeros(1), text)
    torch.testing.assert_close(out, latent + u, rtol=1e-4, atol=1e-5)
    text = base_model.encode_prompts(pipe, ["two blue square"])
    other = base_model.velocity(pipe, latent, torch.zeros(1), text)
    assert (other - u).abs().max() > 1e-5  # the prompt is heard


@pytest.mark.parametrize("preset", ["imagenet512", "sd35m_1k", "sd35m_2k", "flux_1k"])
def test_a_run_without_its_inputs_lists_all_of_them_at_once(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), lambda text: None)
    with pytest.raises(ValueError, match="what is not there") as caught:
        run_experiment(PRESETS[preset], preset, pipeline, tmp_path / "runs")
    needs = ["data.path is"]
    if preset == "imagenet512":
        needs += [
            "base_vae.pretrained is 'weights/vavae'",
            "base_dit.pretrained is 'weights/lightningdit_xl'",
        ]
    else:
        needs += ["data.captions is"]
    assert all(need in str(caught.value) for need in [*needs, "vgg16"])
    assert not (tmp_path / "store").exists() or not any((tmp_path / "store").iterdir())


def test_a_pipeline_that_is_not_there_or_another_is_an_error(pipes, tmp_path):
    with pytest.raises(ValueError, match=r"cannot be loaded .* give its folder"):
        FAMILIES["sd3"].pipeline(str(tmp_path / "none"), "cpu", torch.float32)
    with pytest.raises(ValueError, match="holds a FluxPipeline"):
        FAMILIES["sd3"].pipeline(pipes["flux"], "cpu", torch.float32)


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_stored_prompts_train_as_prompts_encoded_at_every_step(family, pipes, tmp_path):
    e = experiment(family, pipes[family])
    data = replace(e.data, train_crops=26, eval_crops=96)
    logs = []
    for stored in (False, True):
        adapt = replace(e.adapt, stored_prompts=stored)
        pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), lambda text: None)
        stages = run_stages(replace(e, data=data, adapt=adapt))
        assert ("prompts" in stages) == stored
        logs.append(read_log(pipeline.path(stages["adapted"])))
    rows = Shards(pipeline.path(stages["prompts"]) / "prompts")
    assert len(rows) == 26 + 64 + 1
    for one, other in zip(*logs, strict=True):
        for name in one:
            if "loss" in name or "base" in name or "detail" in name:
                assert one[name] == pytest.approx(other[name], rel=1e-5)


def test_compiled_blocks_train_as_they_are(pipes, tmp_path):
    e = experiment("sd3", pipes["sd3"])
    data = replace(e.data, train_crops=26, eval_crops=96)
    e = replace(e, data=data, adapt=replace(e.adapt, stored_prompts=True))
    adapted = run_stages(e)["adapted"]
    plain, compiled = (
        Pipeline(Store(tmp_path / "store"), Runtime(compile=c), lambda text: None)
        for c in (False, True)
    )
    for upstream in adapted.upstream.values():
        plain.path(upstream)
    logs = []
    for name, pipeline in (("plain", plain), ("compiled", compiled)):
        (tmp_path / name).mkdir()
        inputs = {role: pipeline.path(up) for role, up in adapted.upstream.items()}
        adapted.make(Work(tmp_path / name, inputs, pipeline.runtime), **adapted.config)
        logs.append(read_log(tmp_path / name))
    for one, other in zip(*logs, strict=True):
        assert one.keys() == other.keys()
        assert one.get("loss", 0.0) == pytest.approx(other.get("loss", 0.0), rel=1e-4)


def test_a_row_of_stored_prompts_is_what_the_encoders_say(pipes, tmp_path):
    e = experiment("sd3", pipes["sd3"])
    e = replace(e, data=replace(e.data, train_crops=5, eval_crops=96),
                adapt=replace(e.adapt, stored_prompts=True))  # fmt: skip
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), lambda text: None)
    stages = run_stages(e)
    folder = pipeline.path(stages["prompts"])
    said = json.loads((pipeline.path(stages["captions"]) / "train_captions.json").read_text())
    pipe = FAMILIES["sd3"].pipeline(pipes["sd3"], "cpu", torch.float32)
    rows, seen = Shards(folder / "prompts"), []
    told = FAMILIES["sd3"].encode_prompts(pipe, [*said[:2], ""])
    pipe.transformer.forward = lambda x, timestep, return_dict, **text: seen.append(text) or (x,)
    denoiser = prompted_by(pipe, "sd3", folder, 0)
    denoiser.velocity(torch.zeros(3, 4, 8, 8), torch.zeros(3), torch.tensor([0, 1, NO_PROMPT]))
    assert pipe.text_encoder is pipe.text_encoder_3 is None
    assert len(rows[:][0]) == sum(x[0].numel() for x in told.values())
    for name, expected in told.items():
        torch.testing.assert_close(seen[0][name], expected, rtol=1e-5, atol=1e-6)
