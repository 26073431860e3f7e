"""How fast everything is, against what the machine can do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from davae.analysis.bench_plots import roofline_svg
from reports.html import Svg, figure, folded, paragraph, table
from reports.results import Bench, Results
from reports.section import Section

COLUMNS = {
    "case": "case", "img_per_s": "img/s", "median_s": "median s", "p90_s": "90% s",
    "tokens": "tokens", "batch": "batch", "resolution_px": "px", "dtype": "dtype",
    "compile": "compiled", "flops_image": "GFLOP an image", "share_of_ceiling": "share of ceiling",
    "peak_bytes": "peak GB", "params": "million parameters", "weights": "weights",
}  # fmt: skip
NATIVE, WIDENED = "tiny-native-denoise-b32", "tiny-widened-denoise-b32"
UNITS = {"flops_image": 1e9, "peak_bytes": 1e9, "params": 1e6}


def cases(bench: Bench) -> pd.DataFrame:
    """The cases that ran, with the columns shown."""
    frame = bench.frame[bench.frame["status"] == "ok"].copy()
    for name, unit in UNITS.items():
        frame[name] = frame[name] / unit if name in frame else None
    there = [name for name in COLUMNS if name in frame]
    return frame[there].rename(columns=COLUMNS)


def pairs(bench: Bench) -> pd.DataFrame:
    """The cases that were timed on the native model, which has 4 times the tokens or none, and on
    the widened one alike."""
    every = cases(bench).reindex(columns=["case", "img/s"])  # a damaged file may lack them
    rates = every.set_index("case")["img/s"].dropna()
    rows: list[dict[str, object]] = []
    for case, native in rates.items():
        widened = rates.get(str(case).replace("-native-", "-widened-"))
        if "-native-" in str(case) and widened is not None and native > 0:
            name = str(case).replace("-native-", ", ")
            rows.append({"case": name, "native img/s": native, "widened img/s": widened,
                         "times": widened / native})  # fmt: skip
    return pd.DataFrame(rows)


def roofline_points(bench: Bench) -> pd.DataFrame:
    """The eager cases whose FLOPs and bytes were counted."""
    frame = bench.frame[bench.frame["status"] == "ok"]
    if "bytes_moved" not in frame:
        return pd.DataFrame()
    kept = frame[(frame["bytes_moved"] > 0) & (frame["flops_forward"] > 0)]
    kept = kept[kept["compile"] == "off"]
    return pd.DataFrame(
        {
            "case": kept["case"],
            "intensity": kept["flops_forward"] / kept["bytes_moved"],
            "flops_per_second": kept["flops_forward"] / kept["median_s"],
        }
    )


def ceilings(bench: Bench) -> tuple[float, float, float]:
    """The machine's own rates in the file: product and convolution, FLOP/s, and copy, bytes/s."""
    names = ("matmul_flops", "convolution_flops", "copy_bytes")
    product, convolution, copy = (bench.about[f"{name}_per_second"] for name in names)
    return product, convolution, copy


def of_file(results: Results, bench: Bench) -> list[Markup]:
    """A file's tables and roofline."""
    about = bench.about
    name = str(bench.path.relative_to(results.top)).removesuffix(".benchmark.json")
    rates = ceilings(bench)
    where = f"{about['machine']['cpu']}, {about['machine']['cores']} cores"
    where = ", ".join(about["machine"]["gpus"]) or where
    dtype = about.get("rates_of", "torch.float32").removeprefix("torch.")
    parts = [
        Markup("<h3>{}</h3>").format(where),
        paragraph(
            f"{name}: in the same run its matrix product in {dtype} reached "
            f"{rates[0] / 1e9:,.0f} GFLOP/s, its convolution "
            f"{rates[1] / 1e9:,.0f}, a copy {rates[2] / 1e9:,.0f} GB/s. "
            "A share is of the rate of its own "
            "kind and dtype, measured beside the case. Weights are random where that is said."
        ),
    ]
    both, every = pairs(bench), cases(bench)
    if len(both):
        parts.append(table(both, f"Native and widened, {name}"))
    parts.append(
        folded(f"All {len(every)} cases, with their share of what the machine can do",
               table(every, f"Cases of {name}"))
    )  # fmt: skip
    for _, row in bench.frame[bench.frame["status"] != "ok"].iterrows():
        parts.append(paragraph(f"Failed: {row['arm']}: {row['error']}"))
    points = roofline_points(bench)
    if len(points):
        alt = f"Roofline of {len(points)} cases: rate over FLOPs a byte, with the machine's two "
        alt += f"roofs, of {dtype} products and convolutions; cases in another type may lie above "
        alt += "or far below them."
        parts.append(figure(Svg(roofline_svg(points, *rates), alt, alt)))
    return parts


def forward_ratio(results: Results) -> tuple[float, int] | None:
    """Forwards a second of the widened tiny transformer over the native one's, which has 4 times
    the tokens, both at batch 32 in one file, and that machine's cores; None where no file has
    both."""
    for bench in results.benchmarks:
        rates = cases(bench).reindex(columns=["case", "img/s"]).set_index("case")["img/s"]
        if {WIDENED, NATIVE} <= set(rates[rates > 0].index):
            cores = int(bench.about["machine"]["cores"])
            return float(rates[WIDENED] / rates[NATIVE]), cores
    return None


SAMPLED = {form: f"sd35m_1k-{form}-sample-b10-bfloat16" for form in ("native", "widened")}
"""Whole samplings of SD3.5-Medium at 1024 px, 10 images at once."""


def sampled_on_gpu(results: Results) -> tuple[str, dict[str, float]] | None:
    """A GPU's name and its images a second by form, of the first file that has both of SAMPLED."""
    for bench in results.benchmarks:
        gpus, frame = bench.about["machine"]["gpus"], cases(bench)
        if not gpus or not {"img/s", "weights"} <= set(frame):
            continue
        rates = frame[frame["weights"] == "random"].set_index("case")["img/s"]
        if set(SAMPLED.values()) <= set(rates[rates > 0].index):
            return gpus[0], {form: float(rates[case]) for form, case in SAMPLED.items()}
    return None


def counters(results: Results) -> list[Markup]:
    """The committed work counters."""
    parts = []
    for path in sorted(results.top.rglob("counters.json")):
        one = results.tried(path, of_counters, results, path)
        parts += one or []
    return parts


def of_counters(results: Results, path: Path) -> list[Markup]:
    """One file of counters."""
    content = json.loads(path.read_text())
    rows = [
        {"case": case, "operator calls": sum(c["calls"].values()), "FLOP": c["flops"],
         "bytes read": c["bytes_read"], "bytes written": c["bytes_written"],
         "peak live bytes": c["peak_live_bytes"], "host waits": c["host_waits"]}
        for case, c in content["cases"].items()
    ]  # fmt: skip
    return [
        Markup("<h3>Work counters</h3>"),
        paragraph(
            f"Exact, under torch {content['torch']}: every change of the code is compared with "
            "them (davae track counters)."
        ),
        folded(
            f"The counters of {len(rows)} cases",
            table(pd.DataFrame(rows), f"Counters of {path.relative_to(results.top)}"),
        ),
    ]


def body(results: Results) -> Markup | None:
    """Every benchmark file, and the counters."""
    parts = []
    for bench in results.benchmarks:
        one = results.tried(bench.path, of_file, results, bench)
        parts += one or []
    parts += counters(results)
    return Markup("\n").join(parts) if parts else None


SECTION = Section(30, "throughput", "Throughput", body)
