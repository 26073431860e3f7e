"""A tree of files as ImageNet's are, and a narrow copy of `imagenet512` for it."""

from dataclasses import replace

import numpy as np
from PIL import Image

from davae.core.experiment import EvalConfig, TrainConfig
from davae.core.presets import PRESETS
from davae.models.base_vae import build_base_vae
from davae.models.families.registry import FAMILIES

CLASSES = 4
SIZES = ((75, 75), (500, 375), (375, 500), (90, 400), (640, 480))
LARGE = (4000, 3000)


def picture(random, size):
    """Coarse noise, enlarged."""
    small = random.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)


def write_tree(top, count):
    """`count` files in CLASSES folders: of many sizes, in CMYK and grey, of 16 bits,
    turned by EXIF."""
    random = np.random.default_rng(0)
    for i in range(count):
        folder = top / f"n{i % CLASSES:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        image = picture(random, LARGE if i % 500 == 7 else SIZES[i % len(SIZES)])
        kind, path = i % 11, folder / f"{i:05d}.jpg"
        if kind == 1:
            image.convert("CMYK").save(path)
        elif kind == 2:
            image.convert("L").save(path)
        elif kind == 3:
            deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
            Image.fromarray(deep).save(path.with_suffix(".png"))
        elif kind == 4:
            exif = image.getexif()
            exif[0x0112] = 6
            image.save(path, exif=exif)
        else:
            image.save(path)


def truncate(top):
    """Cut the middle file off and return its path."""
    files = sorted(top.rglob("*.jpg"))
    path = files[len(files) // 2]
    path.write_bytes(path.read_bytes()[:-600])
    return path


def narrow(top, weights, side, count):
    """`imagenet512` at `side` px on the tree, its networks narrow and of random weights, without
    LPIPS, whose weights would have to be downloaded."""
    e = PRESETS["imagenet512"]
    vae = replace(
        e.base_vae, pretrained="", block_out_channels=(8, 8, 8, 16, 32), layers_per_block=1,
        norm_num_groups=8, mid_attention=False,
    )  # fmt: skip
    build_base_vae(vae).save_pretrained(weights / "vae")
    dit = replace(e.base_dit, pretrained="", hidden_size=32, depth=2, num_heads=2)
    FAMILIES["lightning"].network(dit, 32, side // 32, CLASSES).save_pretrained(weights / "dit")
    train = TrainConfig(steps=6, batch_size=8, epochs=True)
    held = round(count * e.data.heldout_fraction / CLASSES) * CLASSES
    return replace(
        e,
        data=replace(
            e.data, path=str(top), resolution_px=side, train_crops=count - held,
            eval_crops=max(16, held),
        ),
        base_vae=replace(vae, pretrained=str(weights / "vae")),
        base_dit=replace(dit, pretrained=str(weights / "dit")),
        davae=replace(
            e.davae, lpips_weight=0.0, gan_start_step=2, train=replace(train, betas=(0.5, 0.9))
        ),
        adapt=replace(
            e.adapt, detail_warmup_steps=2, train=replace(train, batch_size=16, ema_decay=0.9)
        ),
        sample=replace(e.sample, num_inference_steps=4),
        eval=EvalConfig(metrics=("kd", "psnr"), input_px=64, blocks=8, probe_px=64),
    )  # fmt: skip
