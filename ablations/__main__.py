"""`python -m ablations NAME|FILE.py|--all [--preset P] [--seeds 0 1 2] [--jobs 2]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from davae.cli.flags import switched_on
from davae.cli.guard import guard, say
from davae.core.extend import extended, load_extensions
from davae.core.ranks import one_process
from davae.core.runtime import Runtime

if TYPE_CHECKING:
    from davae.sweep.sweep import Sweep


ON_RAY = (
    "On Ray as many arms run at a time as the cluster has room for; the time above is of as many "
    "as --jobs says."
)


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

    name: Annotated[str, tyro.conf.Positional] = ""
    """An ablation of this package (adapt_length, align_method, align_weight, alignment_cost,
    channels, clip_judge, components, davae_length, denoising, detail_use, from_scratch, guidance,
    init, latent_structure, learning_rate, native_length, proxies, schedule, tokens), or the path of
    a file of your own that defines ABLATION."""
    preset: str = "smoke"
    """The experiment that the arms start from. At tiny and smoke they train less than `davae run`
    does, on the shipped DA-VAE or on one of their own; --dry-run says which."""
    seeds: tuple[int, ...] = ()
    """One number: how many seeds, from 0 on. Several: these seeds. None: one, and with --draw those
    that are recorded. They are seeds of the adaptation and the samples; the base models are shared,
    and so is a DA-VAE, unless the ablation asks what training it costs. --dry-run says which
    networks an arm's seeds share."""
    base_seed: int = 0
    """Seed of the base transformer that all arms share; another than 0 has a folder of its own."""
    arms: tuple[str, ...] = ()
    """Run these arms only, by name; empty: all."""
    eval: Judging = field(default_factory=Judging)
    runtime: Runtime = field(default_factory=Runtime)
    all: bool = False
    """Every ablation of this package, one after the other; but for tunings (learning_rate), which
    have a seed of their own and are asked for by name."""
    jobs: int = 1
    """Arms at a time. More than one run in processes of their own, which share the cores (or the
    threads that --runtime.threads sets each) and write OUT/PRESET/ablations/NAME/logs. Ray runs as
    many as it has room for, each with such a share of this machine's cores."""
    launcher: Literal["local", "ray"] = "local"
    """ray: arms as Ray tasks, with one GPU or their share of the cores each, on the cluster that
    RAY_ADDRESS names or on this machine (pip install davae[ray])."""
    dry_run: bool = False
    """Say what would be trained, what is there already and how long it takes, and stop."""
    draw: bool = False
    """Run nothing: tables and figures from the records that there are."""
    out: Path = Path("runs")
    """Where records, table and figure go: OUT/PRESET/ablations/NAME."""
    store: Path = Path("store")
    """Where finished stages are kept."""


def main() -> int:
    """Parse, run, and say where the results are."""
    try:
        argv = load_extensions(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    words = switched_on(argv, ("--dry-run", "--all", "--draw"))
    options = tyro.cli(
        Options, prog="python -m ablations", args=words, config=(tyro.conf.FlagConversionOff,)
    )
    extensions = tuple(Path(file).absolute() for file in extended(sys.argv[1:]))

    def action() -> None:
        one_process("python -m ablations, which has --jobs and --launcher ray,")
        sweep(options, extensions)

    return guard(action)


def sweep(options: Options, extensions: tuple[Path, ...]) -> None:
    """Run, or say what would be run."""
    from functools import partial

    from ablations._load import Loaded, load, names
    from davae.stages.inputs import extractor_problems, judged_count
    from davae.stages.stage import Pipeline
    from davae.sweep.dry_run import dry_run
    from davae.sweep.execute import run_sweeps
    from davae.sweep.launch import Launcher, drawing, here, in_processes, on_ray
    from davae.sweep.sweep import Sweep

    if bool(options.name) == options.all:
        raise ValueError("name an ablation or give --all, and not both")
    if options.jobs < 1:
        raise ValueError(f"--jobs {options.jobs}: give 1 or more")
    if options.all and options.arms:
        raise ValueError("--arms are those of one ablation; name it instead of --all")
    asked = {name: value for name, value in vars(options.eval).items() if value}
    sweeps = []
    every = [name for name in names() if not load(name).own_seeds]  # tunings are asked for
    own = Path(options.name)  # of another process with another working directory, too
    named = str(own.absolute()) if own.suffix == ".py" else options.name
    for name in every if options.all else [named]:
        loaded = Loaded(name)
        base = replace(loaded().base(options.preset), base_seed=options.base_seed)
        base = replace(base, eval=replace(base.eval, **asked))
        if asked and (wrong := extractor_problems(base.eval, judged_count(base))):
            raise ValueError("; ".join(wrong))
        sweeps.append(
            Sweep(
                loaded,
                base,
                options.preset,
                seeds_of(options.seeds or (1,)),
                options.out,
                options.arms,
                extensions,
            )
        )
    if options.dry_run:
        store = Pipeline.at(options.store, options.runtime, say).store
        start = process_time()  # of what a run does before its first arm, too
        print(dry_run(sweeps, store, options.runtime, options.jobs, start))
        if options.launcher == "ray":
            print(f"{ON_RAY}\n")
        return
    launch: Launcher
    stale: list[str] = []
    if options.draw:
        (sweeps, stale), launch = recorded(sweeps, options.seeds), drawing
    elif options.launcher == "local" and options.jobs == 1:
        launch = partial(here, pipeline=Pipeline.at(options.store, options.runtime, say))
    else:
        chosen = on_ray if options.launcher == "ray" else in_processes
        launch = partial(chosen, store=options.store, runtime=options.runtime, jobs=options.jobs)
    say_results(sweeps, run_sweeps(sweeps, launch))
    if stale:
        raise ValueError("; ".join(stale))


def recorded(sweeps: Sequence[Sweep], seeds: tuple[int, ...] = ()) -> tuple[list[Sweep], list[str]]:
    """Those that have values of their arms as they are now, at their seeds where none are asked
    for, and a sentence on each that has others alone, whose tables are left as they are; raises
    ValueError where there is nothing to draw."""
    found = [one if seeds else one.as_recorded() for one in sweeps if one.file.exists()]
    if not found:
        raise ValueError(f"there are no records to draw: no {sweeps[0].file}, for one")
    current = [one for one in found if len(one.rows().measured)]
    stale = [
        f"{one.folder} is left as it is: none of its records has values of these arms and seeds as "
        "they are declared now (run it without --draw)"
        for one in found
        if one not in current
    ]
    if not current:
        raise ValueError("; ".join(stale))
    return current, stale


def seeds_of(asked: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds that are meant: a count, or those named; raises ValueError for fewer than one."""
    if min(asked) < 0:
        raise ValueError(f"--seeds {' '.join(map(str, asked))}: seeds are 0 or above")
    if len(asked) != 1:
        return tuple(dict.fromkeys(asked))
    if asked[0] < 1:
        raise ValueError(
            f"--seeds {asked[0]}: one number is how many seeds, from 1 on; to choose them, name "
            "several: --seeds 0 1"
        )
    return tuple(range(asked[0]))


def say_results(sweeps: Sequence[Sweep], failed: int) -> None:
    """Print the tables, or where they are if there are several; raises ValueError where arms
    failed, recorded or not."""
    recorded = 0
    for one in sweeps:
        if len(sweeps) == 1:
            print(f"\n{(one.folder / 'table.md').read_text()}")
        print(f"Records, tables and figures: {one.folder}")
        recorded += len(one.rows().failed)
    if failed or recorded:
        count = max(failed, recorded)
        raise ValueError(f"{count} arms failed, see above; they are tried again when it is run")


if __name__ == "__main__":
    sys.exit(main())
