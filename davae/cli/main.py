"""The command line: `davae run`, `eval`, `convert`, `plan`, `doctor`, `base`, `geneval`,
`profile` and `track`, built from dataclasses by tyro."""

from __future__ import annotations

import importlib
import os
import sys

COMMANDS = ("run", "eval", "convert", "plan", "doctor", "base", "geneval", "profile",
            "track")  # fmt: skip
HELP = """usage: davae COMMAND ...

  davae run PRESET [--seed N] [--davae.align-weight X]     all stages of a preset, as one table
  davae eval IMAGES --reference IMAGES [--metrics M ...]   metrics of any two sets of images
  davae convert SRC --out DIR                              a checkpoint into a folder, and back
  davae plan PRESET [options]                              what it would compute and cost
  davae doctor PRESET [options]                            what would stop the run, in minutes
  davae geneval PRESET --metadata FILE --adapted FOLDER    images for GenEval's public scorer
  davae base PRESET                                        train the models that are shipped
  davae profile CASE                                       where a benchmark case's time goes
  davae track paired --base REV | compare A B | counters | history DIR
                                                           is it slower, and since when

`davae COMMAND --help` lists the options. `--extend FILE.py` runs a file of yours first, which may
register metrics, extractors, base models and methods. Ablations: python -m ablations --help.
Benchmarks: pytest benchmarks/ --benchmark-json out.json. Report: python -m reports --help.
"""


def main() -> None:
    """Entry point of the `davae` command; quiet where what reads its output has ended."""
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what exit flushes
        sys.exit(141)


def command() -> None:
    """The command that the arguments name."""
    if int(os.environ.get("RANK", "0")):  # of several processes one draws progress bars
        os.environ["TQDM_DISABLE"] = "1"
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        sys.exit(0)
    if argv[0] not in COMMANDS:
        print(
            f"error: there is no command {argv[0]!r}; commands: {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    from davae.core.extend import load_extensions
    from davae.core.ranks import one_process

    try:
        if argv[0] != "run":
            one_process(f"davae {argv[0]}")
        rest = load_extensions(argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(importlib.import_module(f"davae.cli.{argv[0]}").run(rest))
