"""CLIP models through open_clip: image and text towers, for judging only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from davae.core.hashing import file_hash
from davae.features.extract import Extractor, Host
from davae.features.weights import MissingWeights, weights_folder

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TINY = "clip_tiny"
INSTEAD = "clip_tiny, trained here on the captioned scenes"


@dataclass(frozen=True)
class Clip:
    """A CLIP model with its tokenizer and preprocessing."""

    name: str
    weights: str
    """SHA-256 of its weights, first 12 digits."""
    model: Any
    tokenizer: Any
    preprocess: Any
    device: str

    @property
    def suffix(self) -> str:
        """`clip_tiny` of the toy judge, `clip` of every other model."""
        return TINY if self.name == TINY else "clip"


@lru_cache(maxsize=2)
def load_clip(spec: str, device: str = "cpu") -> Clip:
    """`MODEL/TAG` of open_clip's lists, as ViT-B-32/openai, or a folder with open_clip_config.json.

    The weights of MODEL/TAG are looked for in the weights folder, as open_clip/MODEL-TAG with the
    ending .safetensors or .bin; without them MissingWeights says where to get them.
    """
    import open_clip

    folder = Path(spec)
    if (folder / CONFIG).is_file():
        weights = folder / WEIGHTS
        if not weights.is_file():
            raise MissingWeights(weights, "the place that the folder came from", INSTEAD)
        source, name, settings = f"local-dir:{folder}", folder.name, {}
    else:
        source, name = spec.partition("/")[0], spec
        weights, settings = _find(spec), _settings(spec)
    model, preprocess = open_clip.create_model_from_pretrained(source, device=device, **settings)
    return Clip(
        name, file_hash(weights), model.eval(), open_clip.get_tokenizer(source), preprocess, device
    )


def _settings(spec: str) -> dict[str, Any]:
    """What open_clip's list knows of a tag and its weights file does not say."""
    import open_clip

    model, _, tag = spec.partition("/")
    pretrained = open_clip.get_pretrained_cfg(model, tag)
    settings = {
        "pretrained": str(_find(spec)),
        "force_quick_gelu": pretrained.get("quick_gelu", False),
    }
    names = {"mean": "image_mean", "std": "image_std", "interpolation": "image_interpolation",
             "resize_mode": "image_resize_mode"}  # fmt: skip
    return settings | {
        ours: pretrained[theirs]
        for theirs, ours in names.items()
        if pretrained.get(theirs) is not None
    }


def _find(spec: str) -> Path:
    """The weights file of MODEL/TAG."""
    import open_clip

    model, _, tag = spec.partition("/")
    if not open_clip.is_pretrained_cfg(model, tag):
        tags = (
            ", ".join(open_clip.list_pretrained_tags_by_model(model))
            or "none: there is no such model"
        )
        raise ValueError(
            f"the CLIP model is {spec!r}: neither a folder with {CONFIG} nor MODEL/TAG of "
            "open_clip "
            f"(tags of {model!r}: {tags})"
        )
    tokenizer = open_clip.get_model_config(model)["text_cfg"].get("hf_tokenizer_name")
    if tokenizer:
        raise ValueError(
            f"{spec} needs the tokenizer {tokenizer} of a hub, and nothing is downloaded "
            "unasked: give a folder with "
            f"{CONFIG}, weights and tokenizer, or use {INSTEAD}"
        )
    candidates = [
        weights_folder() / "open_clip" / f"{model}-{tag}{end}" for end in (".safetensors", ".bin")
    ]
    for path in candidates:
        if path.is_file():
            return path
    pretrained = open_clip.get_pretrained_cfg(model, tag)
    hub = pretrained.get("hf_hub", "").rstrip("/")
    source = (
        f"https://huggingface.co/{hub} (open_clip_model.safetensors)" if hub else pretrained["url"]
    )
    raise MissingWeights(candidates[0], source, INSTEAD)


def open_clip_model(model: str, host: Host) -> Clip:
    """`clip_tiny`, trained here, or what `load_clip` takes."""
    return load_clip(str(host.trained(model)) if model == TINY else model, host.device)


def clip_images(host: Host, model: str = TINY) -> Extractor:
    """The image tower of a CLIP model as an extractor."""
    return image_tower(open_clip_model(model, host))


def image_tower(clip: Clip) -> Extractor:
    """The image tower as an extractor; its preprocessing is open_clip's own, on uint8 images."""

    def prepare(image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            raise ValueError(
                "CLIP's preprocessing takes uint8 images; choose the quantisation rounded or "
                "truncated"
            )
        return clip.preprocess(Image.fromarray(image)).numpy()

    def network(batch: torch.Tensor) -> torch.Tensor:
        return clip.model.encode_image(batch, normalize=True)

    size = clip.model.visual.image_size
    size = size if isinstance(size, int) else size[0]
    steps = clip.model.visual.preprocess_cfg
    resize = (
        f"open_clip {steps['interpolation']}, {steps['resize_mode']}, mean {steps['mean']}, "
        f"std {steps['std']}, {size} px; "
    )
    width = int(clip.model.visual.output_dim)
    return Extractor(
        f"clip {clip.name}",
        clip.weights,
        width,
        resize + "unit length",
        prepare,
        network,
        suffix=clip.suffix,
    )


@torch.inference_mode()
def text_features(clip: Clip, captions: list[str], batch: int = 256) -> np.ndarray:
    """Unit-length features [N, d] of captions; one longer than the context keeps its end token."""
    parts = []
    for start in range(0, len(captions), batch):
        tokens = clip.tokenizer(captions[start : start + batch]).to(clip.device)
        parts.append(F.normalize(clip.model.encode_text(tokens), dim=-1).float().cpu().numpy())
    return np.concatenate(parts)
