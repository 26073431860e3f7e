"""The claims of an ablation, on one data set beside the other."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from davae.analysis.findings import DECIDED, is_small, limit, percent, with_interval
from davae.analysis.tables import cell
from reports.results import Results
from reports.sections.findings import EXPLORATORY, all_findings_of


def side_by_side(results: Results, name: str) -> pd.DataFrame:
    """A row a claim of the ablation NAME and a column a preset it ran at, one for each base seed:
    the verdict and the difference with its 95% interval by the first network, and what other
    networks say.

    Raises ValueError where no folder of results has findings of it."""
    frames = []
    for kept in results.ablations:
        ablation, _, base_seed = kept.folder.name.partition("-base")
        if ablation == name and len(frame := all_findings_of(kept)):
            frames.append((frame, f", base seed {base_seed}" if base_seed else ""))
    if not frames:
        raise ValueError(f"there are no findings of the ablation {name} below {results.top}")
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for frame, base in frames:
        frame = frame.fillna({"published": "", "extractor": ""})
        for (claim, metric), part in frame.groupby(["claim", "metric"], sort=False):
            first = part.iloc[0].to_dict()
            kind = " (mechanism)" if first["kind"] == "mechanism" else ""
            about = {"claim": f"{claim}{kind}", "metric": metric, "published": first["published"]}
            row = rows.setdefault((str(claim), str(metric)), about)
            row[f"{first['data']}, `{first['preset']}`{base}"] = in_a_cell(part.to_dict("records"))
    shown = pd.DataFrame(list(rows.values()))
    return shown[[*(c for c in shown if c != "published"), "published"]]


def in_a_cell(judged: list[dict[Hashable, Any]]) -> str:
    """A finding, as the networks that judge it have it: the first one's difference, and the others'
    verdicts, or their differences where there are no verdicts yet."""
    row, *others = judged
    unit = percent if row["scale"] == "share of b" else cell
    interval = with_interval(row, unit)
    if row["verdict"] == EXPLORATORY:
        said = f"{row['seeds']} seed{'s' * (row['seeds'] > 1)}: {interval}"
        apart = ", ".join(unit(other["difference"]) for other in others)
    else:
        small = " by less than the margin" if is_small(row) else ""
        said = f"{row['verdict']}{small}: {interval}"
        verdicts = [other["verdict"] for other in others]
        apart = "the same" if set(verdicts) == {row["verdict"]} else ", ".join(verdicts)
    if row["verdict"] not in DECIDED and row["detectable"] == row["detectable"]:
        said += f", detectable {limit(row)}"
    return f"{said}; other networks: {apart}" if others else said
