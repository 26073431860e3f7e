"""What an ablation would train, and what it takes from the store, before it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from davae.analysis.tables import to_markdown
from davae.core.experiment import Experiment
from davae.core.store import Store
from davae.stages.stage import Stage
from davae.sweep.ablation import Ablation
from davae.sweep.execute import chosen_arms


def needed(stages: Sequence[Stage], store: Store) -> Iterator[Stage]:
    """The stages that these read, themselves last, down to those that the store has."""
    for stage in stages:
        if not store.has(stage.name, stage.key):
            yield from needed(list(stage.upstream.values()), store)
        yield stage


def steps_of(stage: Stage) -> int:
    """Training steps of a stage; 0 where it trains nothing."""
    configs = [c.train for c in stage.config.values() if hasattr(c, "train")]
    return configs[0].steps if configs else 0


def dry_run(
    ablation: Ablation,
    base: Experiment,
    seeds: Sequence[int],
    store: Store,
    names: tuple[str, ...] = (),
) -> str:
    """A row a network: its stage and key, the steps it would train (0: it is there already), and
    the arms and seeds that use it."""
    rows = []
    for seed in seeds:
        for arm in chosen_arms(ablation, ablation.seeded(base, seed), names):
            stages = arm.stages()
            measured = [stages[role] for role in ablation.measured if role in stages]
            for stage in needed(measured, store):
                if steps_of(stage):
                    to_train = 0 if store.has(stage.name, stage.key) else steps_of(stage)
                    rows.append((stage.name, stage.key, to_train, f"{arm.name} (seed {seed})"))
    frame = pd.DataFrame(rows, columns=["network", "key", "steps to train", "arms"])
    networks = frame.drop_duplicates().groupby(
        ["network", "key", "steps to train"], sort=False, as_index=False
    )
    return to_markdown(networks.agg("; ".join))
