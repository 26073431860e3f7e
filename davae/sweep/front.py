"""The front of an ablation's two metrics, as of reconstruction and generation, from its records."""

from __future__ import annotations

import numpy as np
import pandas as pd

from davae.analysis.pareto import LEAST_RESAMPLED, front_shares
from davae.analysis.tables import of_first_extractor, to_markdown
from davae.sweep.ablation import Ablation


def pareto_values(ablation: Ablation, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Arm to its values of the two metrics of the front, a row a seed that has both, under the
    first extractor, turned so that lower is better; arms whose detail has not collapsed."""
    columns = []
    better = frame.drop_duplicates("metric").set_index("metric")["higher_is_better"]
    kept = frame[~frame["arm"].isin(ablation.collapsed(frame))]
    first = of_first_extractor(kept)
    for metric in ablation.pareto:
        rows = first[first["metric"] == metric]
        wide = rows.pivot_table(index="seed", columns="arm", values="value", sort=False)
        columns.append(-wide if better[metric] else wide)
    arms = [arm for arm in columns[0].columns if all(arm in c.columns for c in columns)]
    both = {arm: pd.concat([c[arm] for c in columns], axis=1).dropna() for arm in arms}
    return {arm: values for arm, values in both.items() if len(values)}


def with_every_seed(values: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """The arms that have every seed that any of them has, which can be resampled together: their
    values [seeds, 2]."""
    seeds = sorted({seed for rows in values.values() for seed in rows.index})
    whole = {arm: rows for arm, rows in values.items() if len(rows) == len(seeds)}
    return {arm: rows.loc[seeds].to_numpy() for arm, rows in whole.items()}


def pareto_text(ablation: Ablation, frame: pd.DataFrame) -> str:
    """Which arms lie on the front of the ablation's two metrics, and how surely."""
    if not ablation.pareto or not set(ablation.pareto) <= set(frame["metric"]):
        return ""
    x, y = (ablation.metrics[metric] for metric in ablation.pareto)
    values = pareto_values(ablation, frame)
    whole = with_every_seed(values)
    if len(whole) < 2:
        low = set(frame["arm"]) <= ablation.collapsed(frame).keys()
        why = "the detail of every arm collapsed" if low else "no two arms have every seed of both"
        return f"\nNo front of {x} and {y}: {why}.\n"
    count = len(next(iter(whole.values())))
    if count < LEAST_RESAMPLED:
        return f"\nNo front of {x} and {y}: {count} seeds are too few to say how sure it is.\n"
    rows = pd.DataFrame(
        front_shares(whole).items(), columns=["arm", "share of resampled seeds on the front"]
    )
    short = [f"{arm} ({len(values[arm])})" for arm in values if arm not in whole]
    less = f" Left out, of fewer seeds: {', '.join(short)}." if short else ""
    for i, title in enumerate((x, y)):
        if all(np.ptp(seeds[:, i]) == 0 for seeds in whole.values()):
            less += f" {title} is one figure an arm, so that the shares are sure of it as it is."
    return f"\nFront of {x} and {y}, {count} seeds.{less}\n\n{to_markdown(rows)}"
