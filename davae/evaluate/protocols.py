"""The same images under every protocol that is available: what the protocol alone changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from davae.data.pixels import Quantisation
from davae.evaluate.reference import open_request, read_moments
from davae.evaluate.request import EvalRequest
from davae.evaluate.score import Scores, of_features
from davae.features.clip import TINY
from davae.features.registry import EXTRACTORS, parse, with_option
from davae.features.weights import MissingWeights
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.stage import Pipeline


class Unavailable(ValueError):
    """A protocol whose network is not there."""


@dataclass(frozen=True)
class Variation:
    """A request, and what of its protocol is another's."""

    change: str
    request: EvalRequest
    ddof: int = 1


def variations(request: EvalRequest, floats: bool) -> list[Variation]:
    """The request's own protocol, then one change at a time.

    floats: whether some of the images are float, so that their quantisation matters.
    """
    changes = [Variation("as asked", request)]
    name, _ = parse(request.extractor)
    if name == "effnet_lite0":
        resizes = [("torch", "torch bilinear, not antialiased")]
        if not floats or request.quantisation != "float":
            resizes.append(("pil-uint8", "PIL bicubic, rounded to uint8"))
        for resize, title in resizes:
            other = replace(request, extractor=with_option(request.extractor, "resize", resize))
            changes.append(Variation(f"resize: {title}", other))
    if floats:
        kinds: tuple[Quantisation, ...] = ("rounded", "truncated", "float")
        for kind in kinds:
            if kind != request.quantisation:
                changes.append(
                    Variation(f"quantisation: {kind}", replace(request, quantisation=kind))
                )
    changes.append(Variation("covariance over N, not N - 1", request, ddof=0))
    half = len(open_request(request.images, request)) // 2
    changes.append(Variation("half the samples", replace(request, samples=half)))
    others = [other for other in EXTRACTORS if other != name]
    if request.clip_model != TINY and name != "clip":
        others = [f"clip:model={request.clip_model}" if o == "clip" else o for o in others]
    return changes + [
        Variation(f"extractor: {other}", replace(request, extractor=other)) for other in others
    ]


def check_trained(request: EvalRequest, pipeline: Pipeline) -> None:
    """Raise `Unavailable` where the request would train clip_tiny as a side effect."""
    name, options = parse(request.extractor)
    stage = clip_tiny_stage()
    if (
        name == "clip"
        and options.get("model", TINY) == TINY
        and not pipeline.store.has(stage.name, stage.key)
    ):
        raise Unavailable("clip_tiny is not trained yet; davae eval --metrics clip does it")


def all_protocols(request: EvalRequest, pipeline: Pipeline) -> tuple[Scores, pd.DataFrame]:
    """fd and kd of the same images under each variation, and a table of the differences.

    A protocol that is not available, as where its weights are missing, has a row that says why.
    """
    if request.reference is None or read_moments(request.reference) is not None:
        raise ValueError(
            "--protocols all compares two sets of images: name images with --reference"
        )
    reference = request.reference
    request = replace(request, metrics=("fd", "kd"))
    kinds = [open_request(path, request).kind for path in (request.images, reference)]
    total = Scores()
    lines: list[dict[str, Any]] = []
    for variation in variations(request, kinds != ["uint8", "uint8"]):
        line: dict[str, Any] = {"protocol": variation.change}
        lines.append(line)
        changed = variation.request
        try:
            check_trained(changed, pipeline)
            scores = of_features(
                changed, open_request(changed.images, changed), pipeline, variation.ddof
            )
        except (MissingWeights, Unavailable) as error:
            line["note"] = f"not available: {error}"
            continue
        total.measured += scores.measured
        total.protocols |= scores.protocols
        for column, m in zip(("FD", "KD"), scores.measured, strict=True):
            line |= {"N": m.n, column: m.value}
            line["note"] = "; ".join(note for note in (line.get("note", ""), m.note) if note)
    table = pd.DataFrame(lines)
    same = ~table["protocol"].str.startswith("extractor")
    for column in ("FD", "KD"):
        table[f"{column} change %"] = (100 * (table[column] / table[column].iloc[0] - 1)).where(
            same
        )
    return total, table[["protocol", "N", "FD", "FD change %", "KD", "KD change %", "note"]].fillna(
        {"note": ""}
    )
