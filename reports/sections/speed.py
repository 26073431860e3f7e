"""What a run's samples are worth at the images a second that its own sampling reached."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from davae.analysis.plots import svg_of
from davae.analysis.sweep_plots import draw_means
from davae.analysis.tables import RUN_ROWS, STAGE_PREFIX, of_first_extractor
from davae.core import records
from reports.html import Svg, figure, paragraph
from reports.results import Kept, Results
from reports.section import Section

PANELS = {
    "detail_accuracy": "detail", "content_accuracy": "content", "gkd_effnet": "gKD, better below",
}  # fmt: skip
SPEED = "img_per_s"
WHAT = (
    "Images a second are those of the runs' own sampling and decoding: samples over the seconds of "
    "both stages. All have the same tokens: rows of one run differ little in them, runs of several "
    "days and machines more. No native model with 4 times the tokens is among them; its forwards "
    "are timed under “Throughput”."
)


def speeds(kept: Kept) -> pd.DataFrame:
    """PANELS and SPEED of every row of a run whose sampling was timed, as rows of records, each
    with its row's title under `arm`."""
    frame = of_first_extractor(records.latest(kept.frame))
    stages = frame[frame["arm"].str.startswith(STAGE_PREFIX) & (frame["metric"] == "seconds")]
    seconds = stages.set_index(stages["arm"].str.removeprefix(STAGE_PREFIX))["value"]
    parts = []
    for arm, rows in frame[frame["metric"].isin(PANELS)].groupby("arm", sort=False):
        roles = [
            f"{arm}_{stage}" if arm != "adapted" else stage for stage in ("sampled", "samples")
        ]
        if set(roles) <= set(seconds.index):
            rate = rows["n_samples"].max() / seconds[roles].sum()
            last = rows.iloc[-1:].assign(metric=SPEED, value=rate, protocol="")
            parts.append(pd.concat([rows, last]).assign(arm=RUN_ROWS.get(str(arm), str(arm))))
    return pd.concat(parts) if parts else frame.iloc[:0]


def of_group(name: str, runs: list[Kept]) -> Markup | None:
    """The figure of one preset's runs, each a point a row; a row that runs share is one."""
    frames = [speeds(kept).assign(seed=number) for number, kept in enumerate(runs)]
    frame = pd.concat(frames, ignore_index=True).drop_duplicates(["arm", "metric", "key"])
    if frame.empty:
        return None
    drawn = draw_means(frame, (SPEED, "img/s of the runs"), PANELS)
    means = frame.pivot_table(index="arm", columns="metric", values="value", sort=False)
    best = means["gkd_effnet"].idxmin() if "gkd_effnet" in means else ""
    alt = f"{name}: quality over images a second, {len(means)} ways, {len(runs)} runs."
    alt += (
        f" Nearest to real images: {best}, at {means.loc[best, SPEED]:.2g} img/s." if best else ""
    )
    return figure(Svg(svg_of(drawn), alt, alt))


def body(results: Results) -> Markup | None:
    """A figure a preset."""
    made = [
        results.tried(runs[0].folder, of_group, name, runs)
        for name, runs in results.groups().items()
    ]
    parts = [one for one in made if one]
    return Markup("\n").join([paragraph(WHAT), *parts]) if parts else None


SECTION = Section(35, "speed", "Quality at a speed", body)
