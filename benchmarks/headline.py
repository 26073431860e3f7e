"""`python -m benchmarks.headline`: SD3.5-Medium as it is and with the DA-VAE, at 1024 and 2048 px.

Exact FLOPs by stage; seconds of a denoising step and of a decode measured on this machine at random
weights, and the throughput composed from them; the throughput of a GPU predicted from one MFU; the
published figures beside. Nothing predicted or composed is called measured.
"""

from __future__ import annotations

import gc
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
import tyro

from benchmarks.prediction import (
    PRESET,
    PUBLISHED_IMG_S,
    PUBLISHED_SPEEDUP,
    Work,
    fit_mfu,
    predicted_img_s,
    unexplained_seconds,
    work_of,
)
from benchmarks.scenarios import Form, Scenario
from benchmarks.workloads import workload
from davae.analysis.tables import to_markdown
from davae.core import records
from davae.core.runtime import Runtime
from davae.measure.roofline import convolution_rate, matmul_rate
from davae.measure.timing import Clock
from davae.plan.describe import PEAK_TFLOPS

FORMS: tuple[Form, ...] = ("native", "widened")
ROUNDS = {512: 5, 1024: 3, 2048: 1}
"""Timed runs by resolution, after one that is not counted (2048: none, it takes minutes)."""


@dataclass(frozen=True)
class Options:
    """Count, measure, compose and predict the headline table."""

    resolutions: tuple[int, ...] = (512, 1024, 2048)
    """Sides in px."""
    measure: bool = True
    """Time a denoising forward and a decode of each here: about half an hour on 2 cores, 12 GB."""
    out: Path = Path("runs/headline")
    """Where records and table go."""
    runtime: Runtime = field(default_factory=Runtime)


def seconds_of(stage: str, form: Form, px: int, runtime: Runtime) -> list[float]:
    """Seconds of one forward or decode of one image, round by round."""
    scenario = Scenario(PRESET, stage, form, resolution_px=px)  # type: ignore[arg-type]
    clock = Clock(runtime.device)
    with torch.inference_mode():
        built = workload(scenario, runtime.device)
        if ROUNDS[px] > 1:
            built.run()
        times = [clock.timed(built.run)[0] for _ in range(ROUNDS[px])]
    del built
    gc.collect()
    return times


def measured_rows(options: Options, works: list[Work]) -> list[dict]:
    """Seconds of a forward and of a decode, and the rates that they are."""
    rows = []
    for work in works:
        for stage, tflop in (("denoise", work.forward), ("decode", work.decode)):
            times = seconds_of(stage, work.form, work.resolution_px, options.runtime)
            seconds = statistics.median(times)
            print(f"{work.form} {work.resolution_px} px {stage}: {seconds:.2f} s", flush=True)
            rows.append(row(work, f"{stage}_s", seconds, "measured", len(times)))
            rate = tflop * 1e12 / seconds
            rows.append(row(work, f"{stage}_flops_per_second", rate, "measured", len(times)))
    ceilings = {"matmul": matmul_rate, "convolution": convolution_rate}
    for name, rate_of in ceilings.items():
        rows.append(row(works[0], f"{name}_ceiling", rate_of(options.runtime.device), "measured"))
    return rows


def composed_rows(works: list[Work], measured: list[dict]) -> list[dict]:
    """Images a second from the measured seconds of a forward and of a decode; text is left out."""
    seconds = {(m["arm"], m["metric"]): m["value"] for m in measured}
    rows = []
    for work in works:
        image = work.forwards * seconds[arm(work), "denoise_s"] + seconds[arm(work), "decode_s"]
        rows.append(row(work, "img_per_s", 1 / image, "composed"))
    return rows


def counted_rows(works: list[Work]) -> list[dict]:
    """Tokens, and TFLOP of an image by stage."""
    rows = []
    for work in works:
        rows.append(row(work, "tokens", float(work.tokens), "counted"))
        for stage in ("text", "denoise", "decode", "image"):
            rows.append(row(work, f"{stage}_tflop", getattr(work, stage), "counted"))
    return rows


def predicted_rows(works: list[Work], mfu: float) -> list[dict]:
    """Images a second of every GPU at one MFU."""
    return [
        row(work, f"img_per_s_{gpu}", predicted_img_s(work, mfu, gpu), f"predicted, MFU {mfu:.3f}")
        for work in works
        for gpu in PEAK_TFLOPS
    ]


def arm(work: Work) -> str:
    """The row's name."""
    return f"{work.form} {work.resolution_px} px"


def row(work: Work, metric: str, value: float, kind: str, n: int = 1) -> dict:
    """A record; its protocol says whether it is counted, measured, composed or predicted."""
    return records.row(
        run_id=RUN, suite="headline", arm=arm(work), key="", preset=PRESET, seed=0,
        metric=metric, value=value, n_samples=n, higher_is_better=None, protocol=kind,
    )  # fmt: skip


RUN = records.new_run_id()


def table(rows: list[dict]) -> pd.DataFrame:
    """A form and resolution a row."""
    frame = pd.DataFrame(rows)
    frame["column"] = frame["metric"] + " (" + frame["protocol"] + ")"
    wide = frame.pivot_table(index="arm", columns="column", values="value", sort=False)
    return wide.reset_index()


def sentences(works: list[Work]) -> str:
    """What the predictions say of the published figures."""
    by = {(w.form, w.resolution_px): w for w in works}
    if not PUBLISHED_IMG_S.keys() <= by.keys():
        return ""
    fit = fit_mfu(works, PUBLISHED_IMG_S)
    errors = ", ".join(
        f"{form} {px} px {PUBLISHED_IMG_S[form, px]} img/s {error:+.1%}"
        for (form, px), error in fit.errors.items()
    )
    text = f"One MFU of {fit.mfu:.3f} on an A100 predicts the published throughputs: {errors}.\n"
    for px, speedup in PUBLISHED_SPEEDUP.items():
        if ("native", px) not in by:
            continue
        native, widened = by["native", px], by["widened", px]
        gap = unexplained_seconds(native, widened, fit.mfu, speedup, "A100")
        share = widened.decode / (gap * PEAK_TFLOPS["A100"]) if gap > 0 else float("nan")
        text += (
            f"{px} px: {native.image / widened.image:.2f} times by FLOPs, {speedup} published; "
            f"{gap:.2f} s an image beyond these FLOPs, alike in both, would explain it"
        )
        text += f" (a decode at an MFU of {share:.3f}).\n" if gap > 0 else ".\n"
    return text


def main() -> None:
    """Parse, count, measure, and write records and table."""
    options = tyro.cli(
        Options, prog="python -m benchmarks.headline", config=(tyro.conf.FlagConversionOff,)
    )
    options.runtime.apply()
    works = [work_of(form, px) for px in options.resolutions for form in FORMS]
    rows = counted_rows(works)
    if PUBLISHED_IMG_S.keys() <= {(w.form, w.resolution_px) for w in works}:
        rows += predicted_rows(works, fit_mfu(works, PUBLISHED_IMG_S).mfu)
    records.append(options.out / "records.jsonl", rows)
    if options.measure:
        measured = measured_rows(options, works)
        measured += composed_rows(works, measured)
        records.append(options.out / "records.jsonl", measured)
        rows += measured
    text = f"{to_markdown(table(rows))}\n{sentences(works)}"
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
