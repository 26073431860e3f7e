"""`python -m benchmarks.headline`: SD3.5-Medium as it is and with the DA-VAE, at 512 to 2048 px.

Exact FLOPs by stage; seconds of a denoising step and of a decode measured on this machine at random
weights, and the throughput composed from them; one real image of two steps; the throughput of a GPU
predicted from one MFU; the published figures beside. Nothing predicted or composed is called
measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import tyro

from benchmarks.networks import DTYPES
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
from benchmarks.stopwatch import (
    PAIR_PX,
    PAIR_STEPS,
    TILED_PX,
    Place,
    apart,
    median,
    pair_seconds,
    seconds_of,
    tiled_seconds,
)
from davae.analysis.tables import to_markdown
from davae.core import records
from davae.core.environment import machine, versions
from davae.core.runtime import Runtime
from davae.core.store import write_json
from davae.measure.roofline import convolution_rate, matmul_rate
from davae.plan.shares import PEAK_TFLOPS

FORMS: tuple[Form, ...] = ("native", "widened")
RUN = records.new_run_id()
MATCHED = {1024: 512, 2048: 1024}
"""The native resolution that has as many tokens as the widened model at a resolution."""
CONTROL = "denoise_control_s"
"""Of the native forward with as many tokens and images at once."""


@dataclass(frozen=True)
class Options:
    """Count, measure, compose and predict the headline table.

    Committed tables: results/cpu-2core/headline, results/h200/headline; docs/benchmarks.md reads
    them."""

    resolutions: tuple[int, ...] = (512, 1024, 2048)
    """Sides in px."""
    measure: bool = True
    """Time a denoising forward and a decode of each here: more than half an hour on 2 cores,
    20 GB for the decode at 2048 px."""
    pair: bool = True
    """Also make one real image of two steps at 1024 px each way: text, denoising, decode; 17 GB."""
    small: bool = False
    """Stand-ins of a few thousand weights in place of what is measured, to test the command."""
    out: Path = Path("runs/headline")
    """Where records and table go."""
    runtime: Runtime = field(default_factory=Runtime)


def row(work: Work, metric: str, value: float, kind: str, n: int = 1) -> dict[str, Any]:
    """A record; its protocol says whether it is counted, measured, composed or predicted."""
    return records.row(
        run_id=RUN, suite="headline", arm=arm(work), key="", preset=PRESET, seed=0,
        metric=metric, value=value, n_samples=n, higher_is_better=None, protocol=kind,
    )  # fmt: skip


def arm(work: Work) -> str:
    """The row's name."""
    return f"{work.form} {work.resolution_px} px"


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
        row(work, f"img_per_s_{gpu}", predicted_img_s(work, mfu, gpu), predicted(mfu, gpu))
        for work in works
        for gpu in PEAK_TFLOPS
    ]


def predicted(mfu: float, gpu: str) -> str:
    """The protocol of a prediction."""
    return f"predicted: {mfu:.3f} of {PEAK_TFLOPS[gpu]:.0f} TFLOP/s, bfloat16"


def beside(px: int, place: Place) -> dict[str, Scenario]:
    """What a widened forward is held against: fused; and the native one with as many tokens and
    images at once, where that is not measured anyway."""
    batch, matched = place.batch(px), MATCHED[px]
    found = {"denoise_fused_s": place.scenario("denoise", "widened", px, fused=True)}
    if batch != place.batch(matched):
        found[CONTROL] = place.scenario("denoise", "native", matched, batch=batch)
    return found


def measured_rows(works: list[Work], place: Place, runtime: Runtime) -> Iterator[list[dict]]:
    """Seconds of a forward and of a decode, and the rates that they are; the fused forward; the
    machine's own rates. As they come."""
    for work in works:
        rows, kind = [], place.kind(place.batch(work.resolution_px))
        for stage, tflop in (("denoise", work.forward), ("decode", work.decode)):
            s = place.scenario(stage, work.form, work.resolution_px)
            times = apart(place, runtime, seconds_of, s, place.device)
            print(f"{arm(work)} {stage}: {median(times):.2f} s", flush=True)
            rows.append(row(work, f"{stage}_s", median(times), kind, len(times)))
            if not place.small:
                rate = tflop * 1e12 / median(times)
                rows.append(row(work, f"{stage}_flops_per_second", rate, kind, len(times)))
        if work.form == "widened" and work.resolution_px in MATCHED:
            for metric, s in beside(work.resolution_px, place).items():
                times = apart(place, runtime, seconds_of, s, place.device)
                rows.append(row(work, metric, median(times), kind, len(times)))
        yield rows
    kind = f"measured, {place.dtype}"
    for name, rate_of in {"matmul": matmul_rate, "convolution": convolution_rate}.items():
        rate = rate_of(place.device, dtype=DTYPES[place.dtype])
        yield [row(works[0], f"{name}_flops_per_second", rate, kind)]


def whole_rows(
    works: list[Work], place: Place, runtime: Runtime, pair: bool
) -> Iterator[list[dict]]:
    """The real pair of two steps, and the tiled decode, as they come."""
    by = {(w.form, w.resolution_px): w for w in works}
    for form in FORMS:
        if pair and (form, PAIR_PX) in by:
            batch = place.batch(PAIR_PX)
            kind = f"{replace(place, dtype='bfloat16').kind(batch)}, {PAIR_STEPS} steps"
            yield [
                row(by[form, PAIR_PX], f"pair_{part}_s", seconds, kind)
                for part, seconds in apart(place, runtime, pair_seconds, form, place).items()
            ]
    if ("native", TILED_PX) in by:
        yield [
            row(by["native", TILED_PX], f"decode_{name}", value, place.kind(1))
            for name, value in apart(place, runtime, tiled_seconds, place).items()
        ]


def composed_rows(works: list[Work], measured: list[dict], place: Place) -> list[dict]:
    """Images a second from the measured seconds of a forward and of a decode; text is left out."""
    seconds = {(m["arm"], m["metric"]): m["value"] for m in measured}
    rows = []
    for work in works:
        image = work.forwards * seconds[arm(work), "denoise_s"] + seconds[arm(work), "decode_s"]
        kind = f"composed from {place.kind(place.batch(work.resolution_px))}, text left out"
        rows.append(row(work, "img_per_s", 1 / image, kind))
    return rows


def parts(works: list[Work], place: Place, runtime: Runtime, pair: bool) -> Iterator[list[dict]]:
    """All that is measured and what is composed of it, part by part."""
    measured = []
    for rows in measured_rows(works, place, runtime):
        measured += rows
        yield rows
    yield composed_rows(works, measured, place)
    yield from whole_rows(works, place, runtime, pair)


def table(rows: list[dict]) -> pd.DataFrame:
    """A quantity a row, a form and resolution a column."""
    frame = pd.DataFrame(rows)
    frame["quantity"] = frame["metric"] + " (" + frame["protocol"] + ")"
    wide = frame.pivot_table(index="quantity", columns="arm", values="value", sort=False)
    return wide.reset_index()


def predictions(works: list[Work]) -> str:
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
        own = widened.decode / (fit.mfu * PEAK_TFLOPS["A100"])
        share = widened.decode / ((gap + own) * PEAK_TFLOPS["A100"]) if gap > 0 else float("nan")
        text += (
            f"{px} px: {native.image / widened.image:.2f} times by FLOPs, {speedup} published; "
            f"{gap:.2f} s an image beyond these FLOPs, alike in both, would explain it"
        )
        text += f" (a decode at an MFU of {share:.3f}).\n" if gap > 0 else ".\n"
    return text


def measurements(measured: list[dict], place: Place) -> str:
    """The ratios that the measured seconds make."""
    value = {(m["arm"], m["metric"]): m["value"] for m in measured}
    text = ""
    for px, matched in MATCHED.items():
        native, widened = f"native {px} px", f"widened {px} px"
        if (native, "img_per_s") not in value:
            continue
        ratio = value[widened, "img_per_s"] / value[native, "img_per_s"]
        text += (
            f"{px} px here: {ratio:.2f} times the images a second (composed of measured stages), "
            f"{PUBLISHED_SPEEDUP[px]} published on an A100.\n"
        )
        alike = place.batch(px) == place.batch(matched)
        control = (f"native {matched} px", "denoise_s") if alike else (widened, CONTROL)
        if control in value:
            own = value[control]
            fused = value[widened, "denoise_fused_s"]
            text += (
                f"{px} px: a forward of the widened model takes "
                f"{value[widened, 'denoise_s'] / own:.3f} times that of the native one with as "
                f"many tokens ({matched} px), {fused / own:.3f} fused: that is the widening's own "
                "cost.\n"
            )
    pair = [value.get((f"{form} {PAIR_PX} px", "pair_all_s")) for form in FORMS]
    if None not in pair:
        text += (
            f"A real image of 2 steps at {PAIR_PX} px, text and decode included: "
            f"{pair[0]:.3g} s native, {pair[1]:.3g} s widened: {pair[0] / pair[1]:.2f} times.\n"
        )
    return text


def main(argv: list[str] | None = None) -> None:
    """Parse, count, measure, and write records and table."""
    options = tyro.cli(
        Options,
        prog="python -m benchmarks.headline",
        args=argv,
        config=(tyro.conf.FlagConversionOff,),
    )
    runtime = options.runtime
    runtime.apply()
    place = Place(runtime.device, runtime.dtype or "float32", options.small)
    works = [work_of(form, px) for px in options.resolutions for form in FORMS]
    rows = counted_rows(works)
    if PUBLISHED_IMG_S.keys() <= {(w.form, w.resolution_px) for w in works}:
        rows += predicted_rows(works, fit_mfu(works, PUBLISHED_IMG_S).mfu)
    said = predictions(works)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "environment.json", {"machine": machine(), "versions": versions()})
    records.append(options.out / "records.jsonl", rows)
    measured: list[dict] = []
    try:
        for part in parts(works, place, runtime, options.pair) if options.measure else ():
            records.append(options.out / "records.jsonl", part)
            measured += part
    finally:  # what was measured is kept, whatever fails after it
        text = f"{to_markdown(table(rows + measured))}\n{said}{measurements(measured, place)}"
        (options.out / "table.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
