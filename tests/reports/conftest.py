"""A small folder of results, as the commands leave them."""

import json

import numpy as np
import pytest
from PIL import Image

from davae.core import records

MARKUP = "<img src=x onerror=alert(1)>"


def run_rows(arm, metric, value, seed=0):
    """A row of a run."""
    return records.row(
        run_id="r", suite="run", arm=arm, key="k", preset="tiny", seed=seed, base_seed=0,
        metric=metric, value=value, n_samples=9, protocol="p", higher_is_better=True, note="",
    )  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """A run with pictures, an ablation whose names are markup, a benchmark file, counters."""
    top = tmp_path / "results"
    run = top / "tiny" / "seed0"
    values = {"adapted": 0.9, "control": 0.25, "control_decoded": 0.26}
    rows = [
        run_rows(arm, metric, value)
        for arm, value in values.items()
        for metric in ("detail_accuracy", "content_accuracy")
    ]
    rows.append(run_rows("stage:adapted", "seconds", 60.0))
    records.append(run / "records.jsonl", rows)
    for name in ("base", "adapted", "real"):
        strip = np.random.default_rng(len(name)).integers(0, 256, (8, 32, 3), np.uint8)
        Image.fromarray(strip).save(run / f"glance.{name}.png")
    ablation = top / "tiny" / "ablations" / "toy"
    row = {**rows[0], "suite": "ablation", "ablation": "toy", "arm": MARKUP}
    records.append(ablation / "records.jsonl", [row])
    table = f"| arm | value |\n| --- | --- |\n| {MARKUP} | 0.725 ± 0.1 |\n| b | 10 |\n"
    table += "| c | 0.15 |\n| d | – |\n"
    (ablation / "table.md").write_text(
        f"**Is {MARKUP} escaped?**\n\n{table}\nDetail collapsed: c (0.1, floor 1).\n"
    )
    (ablation / "figure.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><script>alert(1)</script>'
        '<g onclick="alert(1)"><title>a &lt;b&gt;, seed 0: 1</title><circle r="1"/></g></svg>'
    )
    (ablation / "findings.csv").write_text("claim,verdict\nx,seen\n")
    machine = {"cpu": MARKUP, "cores": 2, "memory_gib": 1.0, "gpus": [], "threads": 2}
    about = {
        "machine": machine, "versions": {"torch": "x"}, "matmul_flops_per_second": 2e11,
        "convolution_flops_per_second": 4e11, "copy_bytes_per_second": 1e10,
    }  # fmt: skip
    case = {
        "name": "test_scenario[tiny-widened-denoise-b1]",
        "stats": {"median": 0.5, "rounds": 3, "data": [0.5]},
        "extra_info": {
            "flops_forward": 10**10, "bytes_moved": 10**9, "compile": "off", "batch": 1,
            "weights": "random", "img_per_s": 2.0,
        },
    }  # fmt: skip
    bench = {
        "commit_info": {"git_sha": "", "git_dirty": False}, "datetime": "2026-01-01",
        "benchmarks": [case], "machine_info": {"davae": about},
    }  # fmt: skip
    (top / "suite.benchmark.json").write_text(json.dumps(bench))
    return top
