"""`python -m ablations NAME|FILE.py [--preset P] [--seeds 0 1 2]`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

import ablations
from davae.cli.flags import switched_on
from davae.cli.guard import guard, say
from davae.core.extend import load_extensions, load_file
from davae.core.runtime import Runtime

if TYPE_CHECKING:
    from davae.sweep.ablation import Ablation


@dataclass(frozen=True)
class Judging:
    """What every arm is judged by; the ablation shows the metrics that it names."""

    metrics: tuple[str, ...] = ()
    """Entries of METRICS; empty: the preset's."""
    also: tuple[str, ...] = ()
    """Further extractors, as effnet_lite0:input_px=224,blocks=15, each a protocol of its own;
    empty: the preset's."""


@dataclass(frozen=True)
class Options:
    """Run an ablation: every arm at every seed, over cached stages, then its table and figure.

    Arms that have records already are not run again. --extend FILE.py runs a file of yours first,
    which may register metrics, extractors, base models and methods."""

    name: Annotated[str, tyro.conf.Positional]
    """An ablation of this package (align_method, align_weight, channels, components, guidance,
    init, latent_structure, schedule, tokens), or the path of a file of your own that defines
    ABLATION."""
    preset: str = "smoke"
    """The experiment that the arms start from. At tiny and smoke they adapt 0.4 and 0.5 times as
    long as `davae run` does, on the shipped DA-VAE or on one of their own, unless the ablation
    looks at the models of the run itself; --dry-run says which."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the DA-VAE, the adaptation and the samples, or of the samples alone where arms train
    nothing; the base models are shared."""
    arms: tuple[str, ...] = ()
    """Run these arms only, by name; empty: all."""
    eval: Judging = field(default_factory=Judging)
    runtime: Runtime = field(default_factory=Runtime)
    dry_run: bool = False
    """Say what would be trained and what is there already, and stop."""
    out: Path = Path("runs")
    """Where records, table and figure go: OUT/PRESET/ablations/NAME."""
    store: Path = Path("store")
    """Where finished stages are kept."""


def load(name: str) -> Ablation:
    """The `ABLATION` of a module here, or of a file; raises ValueError if there is none."""
    names = sorted(
        m.name for m in pkgutil.iter_modules(ablations.__path__) if not m.name.startswith("_")
    )
    if name in names:
        return importlib.import_module(f"ablations.{name}").ABLATION
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        listed = ", ".join(names)
        raise ValueError(f"there is no ablation {name!r}: name one of {listed}, or a .py file")
    module = load_file(path)
    if not hasattr(module, "ABLATION"):
        raise ValueError(f"{path} defines no ABLATION; see ablations/align_weight.py for the form")
    return module.ABLATION


def main() -> int:
    """Parse, run, and say where the results are."""
    try:
        argv = load_extensions(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    prog = "python -m ablations"
    words = switched_on(argv, ("--dry-run",))
    options = tyro.cli(Options, prog=prog, args=words, config=(tyro.conf.FlagConversionOff,))

    def action() -> None:
        ablation = load(options.name)
        from davae.core.records import load_records
        from davae.stages.stage import Pipeline
        from davae.sweep.dry_run import dry_run
        from davae.sweep.execute import run_ablation
        from davae.sweep.report import still_failed

        pipeline = Pipeline.at(options.store, options.runtime, say)
        seeds = list(options.seeds)
        base = ablation.base(options.preset)
        asked = {name: value for name, value in vars(options.eval).items() if value}
        base = replace(base, eval=replace(base.eval, **asked))
        if options.dry_run:
            print(dry_run(ablation, base, seeds, pipeline.store, options.arms))
            return
        folder = run_ablation(
            ablation,
            base,
            preset=options.preset,
            seeds=seeds,
            pipeline=pipeline,
            out=options.out,
            names=options.arms,
        )
        print(f"\n{(folder / 'table.md').read_text()}\nRecords, table and figure: {folder}")
        failed = still_failed(load_records(folder))
        if len(failed):
            raise ValueError(
                f"{len(failed)} arms failed, see above; the same command tries them again"
            )

    return guard(action)


if __name__ == "__main__":
    sys.exit(main())
