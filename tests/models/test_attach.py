"""Small widened models of diffusers' classes in their own pipelines."""

from dataclasses import asdict

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    PixArtSigmaPipeline,
    StableDiffusion3Pipeline,
)

from davae.models.adapt import (
    adapt,
    attach,
    layouts,
    save_adaptation,
)
from davae.models.davae import DAVAE, DAVAEConfig
from tests.models.adaptable import (
    build,
    randomise,
)


def vae(channels, scale=2, detail=4):
    """A base VAE of factor 4 and its DA-VAE, with random weights."""
    torch.manual_seed(0)
    base = AutoencoderKL(
        block_out_channels=(8, 8, 16), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=channels, norm_num_groups=4,
        shift_factor=0.1, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    davae = DAVAE(**asdict(DAVAEConfig.of_base(base, detail, clamp_base=True, scale=scale)))
    davae.load_base(base, init_detail=True)
    return base, davae.eval()


def counted(model, seen):
    """Note the number of image tokens at every forward."""
    layout = layouts()[type(model).__name__]
    embed = model.get_submodule(layout.embed)

    def note(module, inputs, output):
        seen.append(output[0].numel() // output.shape[1 if output.ndim == 4 else 2])

    return embed.register_forward_hook(note)


NONE = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))


def pipeline(name, transformer, base):
    """The class's own pipeline without text encoders, and the arguments of a call that asks for no
    size."""
    parts = {"transformer": transformer, "vae": base}
    prompt = {"prompt_embeds": torch.randn(1, 5, 32)}
    if name == "sd3":
        pipe = StableDiffusion3Pipeline(
            **parts,
            scheduler=FlowMatchEulerDiscreteScheduler(),
            **NONE,
            text_encoder_3=None,
            tokenizer_3=None,
        )
        prompt |= {"pooled_prompt_embeds": torch.randn(1, 64)}
        return pipe, prompt | {f"negative_{k}": torch.zeros_like(v) for k, v in prompt.items()}
    if name == "flux":
        scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
        return FluxPipeline(**parts, scheduler=scheduler, **NONE), prompt | {
            "pooled_prompt_embeds": torch.randn(1, 32)
        }
    if name == "dit":
        pipe = DiTPipeline(
            **parts, scheduler=DDIMScheduler(), id2label={i: f"class {i}" for i in range(1000)}
        )
        return pipe, {"class_labels": [3]}
    pipe = PixArtSigmaPipeline(
        tokenizer=None, text_encoder=None, **parts, scheduler=DDIMScheduler()
    )
    prompt["prompt_attention_mask"] = torch.ones(1, 5)
    prompt |= {f"negative_{k}": v for k, v in prompt.items()}
    return pipe, prompt | {"negative_prompt": None, "use_resolution_binning": False}


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["sd3", "flux", "dit", "pixart"])
def test_an_unmodified_pipeline_makes_a_larger_image_from_the_same_tokens(name, scale, tmp_path):
    detail = 4 * scale // 2  # 2 D is a multiple of s^2
    model = build(name)
    adapt(model, detail)
    randomise(model)
    save_adaptation(model, tmp_path / "adapted.safetensors")
    base, davae = vae(4, scale, detail)
    davae.save_pretrained(tmp_path / "davae")
    pipe, arguments = pipeline(name, build(name), base)
    pipe.set_progress_bar_config(disable=True)

    def tokens(side):
        seen = []
        hook = counted(pipe.transformer, seen)
        size = {} if name == "dit" else {"height": side, "width": side}  # a DiT has its one grid
        image = pipe(num_inference_steps=2, output_type="np", **size, **arguments).images[0]
        hook.remove()
        assert image.shape == (side, side, 3)
        return set(seen)

    small = tokens(32)
    attach(pipe, tmp_path)
    assert type(pipe.vae) is DAVAE
    assert torch.equal(
        pipe.vae.state_dict()["decoder.conv_out.weight"], davae.decoder.conv_out.weight
    )
    assert name != "dit" or pipe.get_label_ids(["class 3"]) == [3]
    assert tokens(32 * scale) == small
