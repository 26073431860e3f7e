"""Where the weights of downloaded extractors are looked for; nothing is ever downloaded unasked."""

from __future__ import annotations

import os
from pathlib import Path


class MissingWeights(ValueError):
    """A weights file is not there: says which, where to get it and what to use without it."""

    def __init__(self, path: Path, source: str, instead: str):
        super().__init__(
            f"the weights file {path} is missing. Get it from {source} and put it there "
            "(the folder is $DAVAE_WEIGHTS or, for torch's own models, $TORCH_HOME/hub), or "
            "use without any "
            f"download: {instead}"
        )


def weights_folder() -> Path:
    """$DAVAE_WEIGHTS, or ~/.cache/davae/weights."""
    return Path(os.environ.get("DAVAE_WEIGHTS", "~/.cache/davae/weights")).expanduser()


def require(name: str, source: str, instead: str) -> Path:
    """The path of a file of the weights folder; raises MissingWeights if it is not there."""
    path = weights_folder() / name
    if not path.is_file():
        raise MissingWeights(path, source, instead)
    return path
