"""Text to image through the stages, on small random pipelines of diffusers' real classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from davae.core.experiment import (
    BaseVAEConfig,
    DataConfig,
    EvalConfig,
    TrainConfig,
)
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.models.adapt import attach
from davae.models.families.registry import FAMILIES
from davae.run.execute import run_experiment
from davae.stages.autoencoder import MODEL
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1}


def clip(folder, projected):
    """A small CLIP text tower and a tokenizer of letters."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz,"
    vocab = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocab)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
    config = CLIPTextConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=32,
        max_position_embeddings=77,
        bos_token_id=len(vocab) - 2,
        eos_token_id=len(vocab) - 1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config), tokenizer


def t5():
    """A small T5 encoder and a tokenizer of a few words."""
    words = [
        "<pad>",
        "</s>",
        "<unk>",
        "▁",
        "▁red",
        "▁green",
        "▁blue",
        "▁circle",
        "▁square",
        "▁one",
        "▁two",
        "▁three",
    ]
    tokenizer = T5TokenizerFast(
        vocab=[(word, -float(i)) for i, word in enumerate(words)], extra_ids=0
    )
    config = T5Config(
        vocab_size=len(words), d_model=64, d_kv=16, d_ff=32, num_layers=1, num_heads=2
    )
    return T5EncoderModel(config), tokenizer


def base_vae():
    return AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        shift_factor=0.1,
        scaling_factor=1.5,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def randomised(model):
    """adaLN-zero starts at zero; a pretrained network does not."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def save_sd3(folder):
    torch.manual_seed(0)
    (one, tokens), (two, tokens_2), (three, tokens_3) = (
        clip(folder / "a", True),
        clip(folder / "b", True),
        t5(),
    )
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=8,
        **HEADS,
    )
    pipe = StableDiffusion3Pipeline(
        transformer=randomised(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=base_vae(),
        text_encoder=one,
        tokenizer=tokens,
        text_encoder_2=two,
        tokenizer_2=tokens_2,
        text_encoder_3=three,
        tokenizer_3=tokens_3,
    )
    pipe.save_pretrained(folder / "pipe")


def save_flux(folder):
    torch.manual_seed(0)
    (one, tokens), (two, tokens_2) = clip(folder / "a", False), t5()
    transformer = FluxTransformer2DModel(
        in_channels=16, joint_attention_dim=64, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
        num_single_layers=1, guidance_embeds=True, **HEADS,
    )  # fmt: skip
    pipe = FluxPipeline(
        transformer=randomised(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=base_vae(),
        text_encoder=one,
        tokenizer=tokens,
        text_encoder_2=two,
        tokenizer_2=tokens_2,
    )
    pipe.save_pretrained(folder / "pipe")


@pytest.fixture(scope="module")
def pipes(tmp_path_factory):
    """Folders of both pipelines."""
    folders = {}
    for family, save in (("sd3", save_sd3), ("flux", save_flux)):
        top = tmp_path_factory.mktemp(family)
        save(top)
        folders[family] = str(top / "pipe")
    return folders


def experiment(family, folder):
    """The SD3.5 recipe on scenes of 64 px, as `davae run sd35m_1k` with overrides would have it."""
    full = PRESETS["sd35m_1k"]
    steps = TrainConfig(steps=3, batch_size=8, lr=1e-3, lr_warmup_steps=0)
    return replace(
        full,
        data=DataConfig(name="scenes", resolution_px=64, train_crops=520, eval_crops=247),
        base_vae=BaseVAEConfig(
            pretrained=folder,
            subfolder="vae",
            block_out_channels=(8, 8, 16),
            layers_per_block=2,
            norm_num_groups=4,
        ),
        base_dit=replace(full.base_dit, family=family, pretrained=folder),
        davae=replace(full.davae, detail_channels=4, lpips_weight=0.0, train=steps),
        adapt=replace(
            full.adapt, lora_rank=3, detail_warmup_steps=2, train=replace(steps, ema_decay=0.9)
        ),
        sample=replace(full.sample, num_inference_steps=2, batch_size=64),
        eval=EvalConfig(input_px=32, blocks=3, probe_blocks=3),
    )


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
        "| DA-VAE |",
        "decoder without",
    ):
        assert row in result.table
    stages = run_stages(e)
    images = np.load(pipeline.path(stages["samples"]) / "images.npy")
    assert images.shape == (247, 3, 64, 64)
    assert images.std() > 1
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
