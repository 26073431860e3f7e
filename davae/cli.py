"""The command line: `davae run`, `davae eval`, `davae convert` and `davae plan`, built from the dataclasses by tyro."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def guard(action: Callable[[], None], stopped: str = "the same command goes on from the last checkpoint") -> int:
    """Run it; user errors become one line and exit code 2, Ctrl-C exit code 130 and the word `stopped`."""
    try:
        action()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
    return 0


def _run(argv: Sequence[str]) -> int:
    from davae.options import parse_run
    from davae.presets import PRESETS

    usage = f"usage: davae run PRESET [options], PRESET one of {', '.join(PRESETS)}"
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{usage}\n\nThe options, with their defaults at the preset 'smoke':\n")
        argv = ["smoke", "--help"]
    preset = argv[0]
    if preset not in PRESETS:
        print(f"error: there is no preset {preset!r}; {usage}", file=sys.stderr)
        return 2
    options = parse_run(preset, PRESETS[preset], list(argv[1:]))

    def action() -> None:
        from davae.run import run_experiment
        from davae.stages.stage import Pipeline
        from davae.store import Store

        options.runtime.apply()
        pipeline = Pipeline(Store(options.store), options.runtime, lambda text: print(text, flush=True))
        result = run_experiment(options.experiment, preset, pipeline, options.out)
        print(f"\n{result.table}\nRecords, table and pictures: {result.folder}")
        print(f"Samples, for davae eval: {result.samples}")

    return guard(action)


def _eval(argv: Sequence[str]) -> int:
    from davae.options import parse_eval

    def action() -> None:
        options = parse_eval(list(argv))
        from davae.evaluate import run_eval
        from davae.stages.stage import Pipeline
        from davae.store import Store

        options.runtime.apply()
        pipeline = Pipeline(Store(options.store), options.runtime, lambda text: print(text, flush=True))
        text, folder = run_eval(options.request, pipeline, options.out)
        print(f"\n{text}\nRecord and table: {folder}")

    return guard(action, "features finished so far are kept in the store")


def _convert(argv: Sequence[str]) -> int:
    import tyro

    from davae.convert import ConvertOptions, convert

    options = tyro.cli(ConvertOptions, prog="davae convert", args=list(argv))
    return guard(lambda: print(convert(options)))


def _plan(argv: Sequence[str]) -> int:
    from davae.options import parse_plan
    from davae.presets import PRESETS

    usage = f"usage: davae plan PRESET [options], PRESET one of {', '.join(PRESETS)}"
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{usage}\n\nCounts a preset's networks without their weights and predicts what it costs.")
        print("`davae plan PRESET --help` lists the options: every field of the experiment, and the assumptions.")
        return 0 if argv else 2
    if argv[0] not in PRESETS:
        print(f"error: there is no preset {argv[0]!r}; {usage}", file=sys.stderr)
        return 2
    options = parse_plan(argv[0], PRESETS[argv[0]], list(argv[1:]))

    def action() -> None:
        from davae.plan import Assumptions, describe

        print(describe(argv[0], options.experiment, Assumptions(options.sampling_mfu, options.training_mfu)))

    return guard(action, "nothing was written")


COMMANDS = {"run": _run, "eval": _eval, "convert": _convert, "plan": _plan}
HELP = """usage: davae COMMAND ...

  davae run PRESET [--seed N] [--davae.align-weight X] ...      all stages of a preset, as one table
  davae eval IMAGES --reference IMAGES|STATS [--metrics M ...]  metrics of any two sets of images
  davae convert SRC --out DIR                                   a checkpoint into a from_pretrained folder
  davae plan PRESET [options]                                   what a preset computes and would cost, uncomputed

`davae COMMAND --help` lists the options. Ablations: python -m ablations --help.
Benchmarks: pytest benchmarks/ --benchmark-json out.json. Report: python -m reports --help.
"""


def main() -> None:
    """Entry point of the `davae` command."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        sys.exit(0)
    if argv[0] not in COMMANDS:
        print(f"error: there is no command {argv[0]!r}; commands: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(COMMANDS[argv[0]](argv[1:]))
