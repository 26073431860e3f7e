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

from davae.features.extract import Extractor
from davae.features.weights import MissingWeights, file_hash, weights_folder

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
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


@lru_cache(maxsize=2)
def load_clip(spec: str, device: str = "cpu") -> Clip:
    """`MODEL/TAG` of open_clip's lists, as ViT-B-32/openai, or a folder with open_clip_config.json.

    The weights of MODEL/TAG are looked for in the weights folder, as open_clip/MODEL-TAG with the
    ending .safetensors, .pt or .bin; without them MissingWeights says where to get them.
    """
    import open_clip

    folder = Path(spec)
    if (folder / CONFIG).is_file():
        weights = folder / WEIGHTS
        if not weights.is_file():
            raise MissingWeights(weights, "the place that the folder came from", INSTEAD)
        source, pretrained, name = f"local-dir:{folder}", None, folder.name
    else:
        source, name = spec.partition("/")[0], spec
        weights = _find(spec)
        pretrained = str(weights)
    model, preprocess = open_clip.create_model_from_pretrained(source, pretrained=pretrained, device=device)
    return Clip(name, file_hash(weights), model.eval(), open_clip.get_tokenizer(source), preprocess, device)


def _find(spec: str) -> Path:
    """The weights file of MODEL/TAG."""
    import open_clip

    model, _, tag = spec.partition("/")
    if not open_clip.is_pretrained_cfg(model, tag):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none: there is no such model"
        raise ValueError(
            f"the CLIP model is {spec!r}: neither a folder with {CONFIG} nor MODEL/TAG of open_clip "
            f"(tags of {model!r}: {tags})"
        )
    candidates = [weights_folder() / "open_clip" / f"{model}-{tag}{end}" for end in (".safetensors", ".pt", ".bin")]
    for path in candidates:
        if path.is_file():
            return path
    known = open_clip.get_pretrained_cfg(model, tag)
    source = known.get("url") or f"https://huggingface.co/{known['hf_hub'].rstrip('/')}"
    raise MissingWeights(candidates[0], source, INSTEAD)


def image_tower(clip: Clip) -> Extractor:
    """The image tower as an extractor; its preprocessing is open_clip's own, on uint8 images."""

    def prepare(image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            raise ValueError("CLIP's preprocessing takes uint8 images; choose the quantisation rounded or truncated")
        return clip.preprocess(Image.fromarray(image)).numpy()

    def network(batch: torch.Tensor) -> torch.Tensor:
        return clip.model.encode_image(batch, normalize=True)

    size = clip.model.visual.image_size
    size = size if isinstance(size, int) else size[0]
    known = f"open_clip {clip.model.visual.preprocess_cfg['interpolation']} {size} px"
    return Extractor(f"clip {clip.name}", clip.weights, _width(clip), known, prepare, network)


def _width(clip: Clip) -> int:
    """Dimensions of the shared space."""
    projection = clip.model.text_projection
    return int(projection.shape[1] if isinstance(projection, torch.Tensor) else projection.out_features)


@torch.inference_mode()
def text_features(clip: Clip, captions: list[str], batch: int = 256) -> np.ndarray:
    """Unit-length features [N, d] of captions; one longer than the context keeps its end token."""
    parts = []
    for start in range(0, len(captions), batch):
        tokens = clip.tokenizer(captions[start : start + batch]).to(clip.device)
        parts.append(F.normalize(clip.model.encode_text(tokens), dim=-1).float().cpu().numpy())
    return np.concatenate(parts)
