"""Small random pipelines of diffusers' real classes, and the text-to-image recipe on them."""

import json
from dataclasses import replace

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

from davae.core.data_config import DataConfig
from davae.core.experiment import BaseVAEConfig, EvalConfig, TrainConfig
from davae.core.presets import PRESETS

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
