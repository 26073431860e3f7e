"""Images in the layout that GenEval's public scorer reads (Ghosh et al. 2023).

OUT/00000/metadata.jsonl holds a prompt's line of the metadata, OUT/00000/samples/00000.png and on
its images. The scorer itself, with its detector, is run on OUT as its authors say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from davae.core import keyed
from davae.core.experiment import Experiment
from davae.core.hashing import content_digest, digest
from davae.core.runtime import Runtime
from davae.core.store import write_json
from davae.data.pixels import to_uint8
from davae.models.families.registry import family_of
from davae.stages.samples import adapted_pipeline, noise_shape, text_images


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """The lines of GenEval's evaluation_metadata.jsonl; raises ValueError for one without a
    prompt."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}; give GenEval's evaluation_metadata.jsonl")
    lines = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
            entry["prompt"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: each is a JSON object with a prompt ({error!r})"
            ) from error
        lines.append(entry)
    if not lines:
        raise ValueError(f"{path} is empty")
    return lines


def export(
    e: Experiment, folder: Path, metadata: Path, out: Path, runtime: Runtime, images: int = 4
) -> Path:
    """Write OUT from the adaptation in `folder`, `images` a prompt, and return it.

    Image k of prompt i comes from the experiment's seed, i and k alone; prompts whose images are
    all there are left alone, so that the same command goes on where it stopped. Raises ValueError
    for a family on classes, as `read_metadata`, and where OUT holds another prompt's images."""
    if family_of(e).conditions != "captions":
        raise ValueError(f"GenEval judges text to image; {e.base_dit.family} has classes")
    if images < 1:
        raise ValueError(f"images is {images}; GenEval takes 4 a prompt")
    lines = read_metadata(metadata)
    check_same_prompts(out, lines)
    check_same_source(out, e, folder)
    pipe = adapted_pipeline(runtime, e.base_dit, folder)
    pipe.transformer.forward = runtime.compiled(pipe.transformer.forward, sampling=True)
    shape = noise_shape(pipe, e.data.resolution_px)
    at_once = runtime.images_at_once or e.sample.batch_size
    for number, line in enumerate(tqdm(lines, desc="GenEval", unit="prompt")):
        target = out / f"{number:05}"
        (target / "samples").mkdir(parents=True, exist_ok=True)
        (target / "metadata.jsonl").write_text(json.dumps(line))
        missing = [k for k in range(images) if not (target / "samples" / f"{k:05}.png").exists()]
        for start in range(0, len(missing), at_once):
            part = missing[start : start + at_once]
            noise = keyed.normal(e.seed, f"geneval/{number}", 0, part, shape)
            prompts = [line["prompt"]] * len(part)
            pixels = to_uint8(
                text_images(pipe, e.base_dit.family, prompts, noise, e.sample, runtime)
            )
            for k, image in zip(part, pixels, strict=True):
                save(image.transpose(1, 2, 0), target / "samples" / f"{k:05}.png")
    return out


def save(image: Any, path: Path) -> None:
    """Write a PNG whole or not at all."""
    temporary = path.with_suffix(".tmp")
    Image.fromarray(image).save(temporary, format="PNG")
    temporary.replace(path)


SOURCE = "source.json"
"""In OUT: what its images are of."""


def check_same_source(out: Path, e: Experiment, folder: Path) -> None:
    """Write down what the images of OUT are of; raises ValueError where it holds others'."""
    asked = {"sample": e.sample, "seed": e.seed, "resolution_px": e.data.resolution_px}
    found = {
        "adaptation": content_digest(str(folder)),
        "base": content_digest(e.base_dit.pretrained) or e.base_dit.pretrained,
        "settings": digest(asked),
    }
    file = out / SOURCE
    if file.exists() and (there := json.loads(file.read_text())) != found:
        other = ", ".join(name for name in found if there.get(name) != found[name])
        raise ValueError(f"{out} holds images of another {other}; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, found)


def check_same_prompts(out: Path, lines: list[dict[str, Any]]) -> None:
    """Raise ValueError where a folder of OUT belongs to another prompt."""
    for number, line in enumerate(lines):
        there = out / f"{number:05}" / "metadata.jsonl"
        if there.exists() and json.loads(there.read_text()) != line:
            raise ValueError(f"{there} is of another prompt; give another --out")
