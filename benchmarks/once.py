"""`python -m benchmarks.once CASE`: one scenario in this process, as a line of JSON."""

from __future__ import annotations

import json
import statistics
import sys

import torch

from benchmarks.scenarios import named
from benchmarks.workloads import trains, workload
from davae.core.environment import machine
from davae.core.runtime import Runtime
from davae.measure.timing import Clock, measure

ROUNDS = 7
BLOCK_SECONDS = 0.1


def main(name: str) -> None:
    """Time the scenario and print the median of its rounds."""
    Runtime().apply()
    scenario = named(name)
    with torch.inference_mode(not trains(scenario)):
        built = workload(scenario)
        found = measure(built.run, Clock(), rounds=ROUNDS, block_seconds=BLOCK_SECONDS)
    seconds = statistics.median(found.seconds)
    found = {"case": name, "seconds": seconds, "images": built.images, "machine": machine()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
