"""The tables of README and docs, written from the records between markers.

A block is `<!-- generated: NAME -->`, anything, `<!-- end generated -->`; NAME is a key of BLOCKS,
`runs:PRESET`, `claims:PRESET`, `findings:ABLATION`, `full_size:MACHINE`, or, of a file below the
results, `file:PATH` of a .csv or .md and `gpu:PATH` of a benchmark file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from davae.analysis.tables import to_markdown
from reports.exports import to_read
from reports.published import IMG_S, SPEEDUP
from reports.results import Kept, Results, read_results
from reports.sections.full_size import full_size_table, ratios
from reports.sections.headline import METRICS, ROWS, of_headline, quality
from reports.sections.runs import claims, latest_of, summary
from reports.sections.throughput import SAMPLED, sampled_on_gpu
from reports.side_by_side import side_by_side

BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end generated -->)", re.DOTALL)
FILES = ("README.md", "docs/*.md")
PUBLISHED = {
    "native": ("native, 64x64 tokens", "not among these runs; the ablation `tokens` has it",
               str(IMG_S["native"])),
    "base_upsampled": ("512 px enlarged, 32x32 tokens", "the base model as it is, enlarged",
                       str(IMG_S["enlarged"])),
    "control": ("the same, fine-tuned as long", "the base trained longer, enlarged", "–"),
    "control_decoded": ("the same through a decoder without detail", "", "–"),
    "adapted": ("with DA-VAE, 32x32 tokens", "the same tokens", str(IMG_S["davae"])),
}  # fmt: skip
"""Row: its title, what stands for it here, and the published img/s (Table 3 of the paper)."""


def headline(results: Results) -> str:
    """The README's table: what was seen here in small beside what is published."""
    _, runs = of_headline(results)
    if not runs:
        raise ValueError(f"there are no runs with a control below {results.top}")
    measured = quality(runs).set_index(["arm", "metric"])
    gpu, rates = sampled_on_gpu(results) or ("a GPU", {})
    timed = {"native": rates.get("native"), "adapted": rates.get("widened")}
    lines = []
    for arm, (title, what, published) in PUBLISHED.items():
        if arm in ROWS and (arm, next(iter(METRICS))) in measured.index:
            seen = (measured.loc[(arm, metric)] for metric in METRICS)
            figures = [f"{m['mean']:.2f} ({m['min']:.2f} to {m['max']:.2f})" for m in seen]
            what = f"{what}: " if what else ""
            what += f"lines {figures[0]}; content {figures[1]}"
        rate = timed.get(arm)
        lines.append((title, what, published, f"{rate:.3g}" if rate else "–"))
    head = (
        "SD3.5-Medium, 1024 px",
        "measured here in small (**reduced scale**: scenes of 64 px, 2 CPU cores): samples that "
        "show the lines of their class, of which chance is 0.25; shape and colour right",
        "img/s on an A100, published (paper, Table 3)",
        f"img/s on one {gpu}, measured here at random weights",
    )
    seeds = ", ".join(
        f"seed {kept.frame['seed'].iloc[0]} on base {kept.frame['base_seed'].iloc[0]}"
        for kept in runs
    )
    table = to_markdown(pd.DataFrame(lines, columns=pd.Index(head)))
    return f"{table}\nMeans over {len(runs)} runs ({seeds}), lowest to highest in brackets.\n"


def runs(of_preset: list[Kept]) -> str:
    """The main columns of one preset's runs, by base seed: means over seeds, with the 95%
    interval's half width where there are several."""
    parts = []
    for base_seed, part in latest_of(of_preset).groupby("base_seed"):
        seeds = ", ".join(str(seed) for seed in sorted(part["seed"].unique()))
        parts += [f"Base seed {base_seed}, seeds {seeds}:\n", to_markdown(summary(part))]
    return "\n".join(parts)


def claimed(of_preset: list[Kept]) -> str:
    """What is claimed of the runs, with the computed verdicts."""
    return to_markdown(claims(of_preset))


def of_file(path: Path) -> str:
    """A .csv as a table, or the text of a .md; raises ValueError where it is not there."""
    if not path.exists():
        raise ValueError(f"there is no {path}")
    if path.suffix != ".csv":
        return path.read_text()
    return to_markdown(to_read(path))


def shares(results: Results) -> str:
    """Cases of the newest file of the suite's history that have a ceiling: how much of it they
    reach.

    Raises ValueError where there is no file."""
    kept = [bench for bench in results.benchmarks if bench.path.parent.name == "history"]
    if not kept:
        raise ValueError(f"there is no history of the benchmark suite below {results.top}")
    frame = kept[-1].frame
    frame = frame[frame["share_of_ceiling"].notna()]
    table = pd.DataFrame({
        "case": frame["case"],
        "seconds": frame["median_s"].map("{:.3g}".format),
        "share of the ceiling": frame["share_of_ceiling"].map("{:.2f}".format),
        "by the products run": frame["share_of_ceiling_by_products_run"].map("{:.2f}".format),
        "ceiling": frame["ceiling"],
        "its GFLOP/s": (frame["ceiling_flops_per_second"] / 1e9).map("{:.0f}".format),
    })  # fmt: skip
    return to_markdown(table)


def findings(results: Results, ablation: str) -> str:
    """The claims of an ablation, a column a data set; raises ValueError where there are none."""
    return to_markdown(side_by_side(results, ablation))


def full_size(results: Results, machine: str) -> str:
    """SD3.5-Medium's own shapes; raises ValueError where they were not measured there."""
    for kept in results.full_size:
        if kept.folder.parent.name == machine:
            return f"{to_markdown(full_size_table(kept))}\n{ratios(kept)}\n"
    raise ValueError(f"there are no records of benchmarks.headline below {results.top / machine}")


def of_gpu(results: Results, path: str) -> str:
    """A GPU's cases that ran; raises ValueError where there is no such file."""
    found = [bench for bench in results.benchmarks if bench.path == results.top / path]
    if not found:
        raise ValueError(f"there is no benchmark file {results.top / path}")
    frame, about = found[0].frame, found[0].about
    frame = frame[frame["status"] == "ok"]
    bounds = zip(frame["img_per_s_low"], frame["img_per_s_high"], strict=True)
    table = pd.DataFrame({
        "case": frame["case"],
        "img/s": frame["img_per_s"].map("{:.3g}".format),
        "slowest to fastest round": [f"{low:.3g} to {high:.3g}" for low, high in bounds],
        "share of the ceiling": frame["share_of_ceiling"].map("{:.2f}".format),
        "ceiling": frame["ceiling"],
        "its TFLOP/s": (frame["ceiling_flops_per_second"] / 1e12).map("{:.0f}".format),
        "peak GB": (frame["peak_bytes"] / 1e9).map("{:.1f}".format),
    })  # fmt: skip
    gpus, torch = ", ".join(about["machine"]["gpus"]), about["versions"]["torch"]
    said = f"{gpus}, torch {torch}; a case is in float32 unless its name says bfloat16."
    return f"{whole_images(frame)}{said}\n\n{to_markdown(table)}"


def whole_images(frame: pd.DataFrame) -> str:
    """A paragraph on whole samplings, native and widened; empty where a file lacks one."""
    cases = frame.set_index("case")
    if not set(SAMPLED.values()) <= set(cases.index):
        return ""
    native, widened = (cases.loc[SAMPLED[form]] for form in ("native", "widened"))
    times = widened["img_per_s"] / native["img_per_s"]
    text = (
        f"Whole images, {native['steps']:.0f} steps with guidance and text, batch "
        f"{native['batch']:.0f}, {native['resolution_px']:.0f} px: {native['img_per_s']:.3g} img/s "
        f"native and {widened['img_per_s']:.3g} with the DA-VAE, {times:.2f} times (published on "
        f"an A100: {IMG_S['native']} and {IMG_S['davae']}, {SPEEDUP[1024]} times)."
    )
    for name, case in (("native", native), ("widened", widened)):
        parts = ", ".join(
            f"{case[f'{part}_s']:.3g} {part}" for part in ("text", "denoise", "decode")
        )
        text += (
            f" Of the {case['p50_s']:.3g} s of a {name} batch: {parts}; "
            f"{case['joules_image']:,.0f} J an image by the board's counter."
        )
    return f"{text}\n\n"


BLOCKS: dict[str, Callable[[Results], str]] = {
    "headline": headline,
    "shares": shares,
}
OF_RESULTS: dict[str, Callable[[Results, str], str]] = {
    "findings": findings, "full_size": full_size, "gpu": of_gpu,
}  # fmt: skip
OF_PRESET: dict[str, Callable[[list[Kept]], str]] = {"runs": runs, "claims": claimed}


def block(name: str, results: Results) -> str:
    """A block's content; raises ValueError for a name that is not there."""
    kind, _, preset = name.partition(":")  # of a preset, or whatever else the kind is of
    if kind == "file":
        return of_file(results.top / preset)
    if kind in OF_RESULTS and preset:
        return OF_RESULTS[kind](results, preset)
    if kind in OF_PRESET and preset:
        of_preset = [kept for kept in results.runs if kept.preset == preset]
        if not of_preset:
            raise ValueError(f"there are no runs of {preset} below {results.top}")
        return OF_PRESET[kind](of_preset)
    if name not in BLOCKS:
        known = ", ".join(
            (
                *BLOCKS,
                *(f"{kind}:PRESET" for kind in OF_PRESET),
                "findings:ABLATION",
                "full_size:MACHINE",
                "gpu:PATH",
                "file:PATH",
            )
        )
        raise ValueError(f"there is no block {name!r}; blocks: {known}")
    return BLOCKS[name](results)


def rewritten(text: str, results: Results) -> str:
    """The text with every block made again; raises ValueError for a mark without its block."""
    marks, found = len(re.findall(r"<!--\s*generated\b", text)), len(BLOCK.findall(text))
    if marks != found:
        raise ValueError(
            f"{marks} marks of generated blocks and {found} blocks: a block is "
            "`<!-- generated: NAME -->` on a line, NAME without spaces, and `<!-- end "
            "generated -->`"
        )
    return BLOCK.sub(lambda found: found[1] + block(found[2], results) + found[3], text)


def outdated(top: Path, root: Path) -> dict[Path, str]:
    """The files of README and docs below `root` whose blocks are not those of the results, and
    their text with these; raises ValueError where no file has a block."""
    results, found = read_results(top), {}
    texts = {path: path.read_text() for pattern in FILES for path in sorted(root.glob(pattern))}
    if not any(BLOCK.search(text) for text in texts.values()):
        raise ValueError(f"no generated block in {' or '.join(FILES)} below {root}: run it there")
    for path, text in texts.items():
        try:
            new = rewritten(text, results)
        except ValueError as error:
            raise ValueError(f"{path.relative_to(root)}: {error}") from error
        if new != text:
            found[path] = new
    return found


def update(top: Path, root: Path) -> list[Path]:
    """Write the blocks of README and docs below `root` again; the files that changed."""
    changed = outdated(top, root)
    for path, text in changed.items():
        path.write_text(text)
    return list(changed)
