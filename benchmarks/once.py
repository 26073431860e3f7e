"""`python -m benchmarks.once CASE`: one scenario in this process, timed whenever it is asked to.

It prints a line of JSON, {"case": ..., "conditions": ...}, when it is warm. Then, for every line
that it reads, it times a turn of as many runs as take BLOCK_SECONDS and prints the seconds of one.
It ends with its input. What else the scenario prints goes to the error output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import torch

from benchmarks.scenarios import named
from benchmarks.workloads import trains, workload
from davae.core.environment import machine
from davae.core.runtime import Runtime
from davae.measure.timing import Clock, warm_up

BLOCK_SECONDS = 0.1


def turn_seconds(run: Callable[[], object], clock: Clock) -> float:
    """Seconds of one run, over as many as take BLOCK_SECONDS."""
    start, count, seconds = clock(), 0, 0.0
    while seconds < BLOCK_SECONDS:
        run()
        count, seconds = count + 1, clock() - start
    return seconds / count


def main(name: str) -> None:
    """Warm the scenario up, say so, and time a block for every line of the input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    Runtime().apply()
    scenario, clock = named(name), Clock()
    with torch.inference_mode(not trains(scenario)):
        run = workload(scenario).run
        run()
        warm_up(run, clock)
        about = {**machine(), "torch": torch.__version__, "block_seconds": BLOCK_SECONDS}
        print(json.dumps({"case": name, "conditions": about}), file=answers)
        for _ in sys.stdin:
            run()  # other processes have used the caches meanwhile
            print(turn_seconds(run, clock), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
