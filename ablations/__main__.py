"""`python -m ablations NAME|FILE.py [--preset P] [--seeds 0 1 2]`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

import ablations
from davae.cli.main import guard
from davae.core.presets import ARMS, PRESETS
from davae.core.runtime import Runtime

if TYPE_CHECKING:
    from davae.sweep.execute import Ablation


@dataclass(frozen=True)
class Options:
    """Run an ablation: every arm at every seed, over cached stages, then its table and figure.

    Arms that have records already are not run again.
    """

    name: Annotated[str, tyro.conf.Positional]
    """An ablation of this package (align_weight, latent_structure), or the path of a file of your own that
    defines ABLATION."""
    preset: str = "smoke"
    """The experiment that the arms start from. At tiny they train 0.3 to 0.4 times as long as `davae run` does,
    unless the ablation looks at the models of the run itself."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the DA-VAE, the adaptation and the samples; the base models are shared."""
    runtime: Runtime = field(default_factory=Runtime)
    out: Path = Path("runs")
    """Where records, table and figure go: OUT/PRESET/ablations/NAME."""
    store: Path = Path("store")
    """Where finished stages are kept."""


def load(name: str) -> Ablation:
    """The `ABLATION` of a module of this package, or of a file; raises ValueError if there is none."""
    known = sorted(
        m.name for m in pkgutil.iter_modules(ablations.__path__) if not m.name.startswith("_")
    )
    if name in known:
        return importlib.import_module(f"ablations.{name}").ABLATION
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(
            f"there is no ablation {name!r}: name one of {', '.join(known)}, or a .py file of your own"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "ABLATION"):
        raise ValueError(f"{path} defines no ABLATION; see ablations/align_weight.py for the form")
    return module.ABLATION


def main() -> int:
    """Parse, run, and say where the results are."""
    options = tyro.cli(Options, prog="python -m ablations", config=(tyro.conf.FlagConversionOff,))

    def action() -> None:
        ablation = load(options.name)
        if options.preset not in PRESETS:
            raise ValueError(
                f"there is no preset {options.preset!r}; presets: {', '.join(PRESETS)}"
            )
        from davae import records
        from davae.core.store import Store
        from davae.stages.stage import Pipeline
        from davae.sweep.execute import run_ablation, still_failed

        options.runtime.apply()
        pipeline = Pipeline(
            Store(options.store), options.runtime, lambda text: print(text, flush=True)
        )
        seeds = list(options.seeds)
        base = (PRESETS if ablation.full_length else ARMS)[options.preset]
        folder = run_ablation(ablation, base, options.preset, seeds, pipeline, options.out)
        print(f"\n{(folder / 'table.md').read_text()}\nRecords, table and figure: {folder}")
        failed = still_failed(records.load_records(folder))
        if len(failed):
            raise ValueError(
                f"{len(failed)} arms failed, see above; the same command tries them again"
            )

    return guard(action)


if __name__ == "__main__":
    sys.exit(main())
