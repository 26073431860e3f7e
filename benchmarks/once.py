"""`python -m benchmarks.once CASE`: one scenario in this process, timed whenever it is asked to.

It prints a line of JSON, {"case": ..., "machine": ...}, when it is warm. Then, for every line that
it reads, it times one block and prints the seconds of one run. It ends with its input."""

from __future__ import annotations

import json
import math
import sys

import torch

from benchmarks.scenarios import named
from benchmarks.workloads import trains, workload
from davae.core.environment import machine
from davae.core.runtime import Runtime
from davae.measure.timing import Clock, warm_up

BLOCK_SECONDS = 0.1


def main(name: str) -> None:
    """Warm the scenario up, say so, and time a block for every line of the input."""
    Runtime().apply()
    scenario, clock = named(name), Clock()
    with torch.inference_mode(not trains(scenario)):
        run = workload(scenario).run
        _, later = warm_up(run, clock)
        repeats = math.ceil(BLOCK_SECONDS / later[-1])
        print(json.dumps({"case": name, "machine": machine()}), flush=True)
        for _ in sys.stdin:
            run()  # other processes have used the caches meanwhile
            print(clock.block(run, repeats), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
