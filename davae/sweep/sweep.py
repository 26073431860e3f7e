"""An ablation at a preset: its arms at every seed, their keys, and where their records go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from davae.core import records
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm
from davae.sweep.arm import FAILURES, rows_of


@dataclass(frozen=True)
class Sweep:
    """Which arms of an ablation at which seeds."""

    load: Callable[[], Ablation]
    base: Experiment
    """What the arms start from, before the seed."""
    preset: str
    asked: tuple[int, ...]
    """Seeds, where the ablation has none of its own."""
    out: Path
    names: tuple[str, ...] = ()
    """Arms; empty: all."""
    extensions: tuple[Path, ...] = ()
    """Files of the user's own that other processes run first, absolute."""

    def absolute(self) -> Sweep:
        """The same for a process with another working directory."""
        return replace(self, out=self.out.absolute())

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that are run."""
        return self.load().own_seeds or self.asked

    def as_recorded(self) -> Sweep:
        """The same at the seeds of which there are records of the arms as they are now; as it is
        where there are none."""
        everything = records.load_records(self.file)
        rows = self.own(everything)[0] if len(everything) else everything
        if rows.empty:
            return self
        seeds = sorted(set(rows["seed"].astype(int)))
        now = {(*pair, key) for pair, key in self.keys(seeds).items()}
        there = {*zip(rows["arm"], rows["seed"].astype(int), rows["key"], strict=True)} & now
        return replace(self, asked=tuple(sorted({seed for _, seed, _ in there})) or self.asked)

    @property
    def folder(self) -> Path:
        """OUT/PRESET/ablations/NAME, with the base seed where it is not 0."""
        name = self.load().name
        other = f"-base{self.base.base_seed}" if self.base.base_seed else ""
        return self.out / self.preset / "ablations" / f"{name}{other}"

    @property
    def file(self) -> Path:
        """Of the records."""
        return self.folder / "records.jsonl"

    def arms(self, seed: int = 0) -> tuple[Arm, ...]:
        """Every declared arm at a seed, in order; raises ValueError for whatever their declaration
        raises."""
        ablation = self.load()
        try:
            return ablation.arms(ablation.seeded(self.base, seed))
        except FAILURES as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise ValueError(f"its arms cannot be declared: {kind}{error}") from error

    def chosen(self) -> tuple[str, ...]:
        """The names of the arms that are run; raises ValueError for a name that no arm or that two
        arms have."""
        there = [arm.name for arm in self.arms()]
        if twice := sorted({name for name in there if there.count(name) > 1}):
            raise ValueError(f"{self.load().name} has two arms called {', '.join(twice)}")
        unknown = [name for name in self.names if name not in there]
        if unknown:
            raise ValueError(
                f"{self.load().name} has no arm {'; '.join(unknown)}. Its arms: {'; '.join(there)}"
            )
        return tuple(name for name in there if not self.names or name in self.names)

    def keys(self, seeds: Iterable[int]) -> dict[tuple[str, int], str]:
        """The key of every declared arm at these seeds, as it is now; empty for an arm that cannot
        be built."""
        ablation, found, chosen = self.load(), {}, self.chosen()
        for seed in seeds:
            for arm in self.arms(seed):
                try:
                    found[arm.name, seed] = ablation.key(arm)
                except FAILURES:
                    found[arm.name, seed] = ""  # its run records why
            absent = [name for name in chosen if (name, seed) not in found]
            if absent:
                raise ValueError(
                    f"{ablation.name} has no arm {', '.join(absent)} at seed {seed}: declare the "
                    "same arms at every seed"
                )
        return found

    def notes(self) -> list[str]:
        """On each claim that will not be judged, for it names an arm that is not declared."""
        ablation, arms = self.load(), [arm.name for arm in self.arms()]
        return [
            f"{ablation.name}: the claim {claim.text!r} will not be judged: no arm is called "
            f"{gone}. Its arms: {'; '.join(arms)}"
            for claim, gone in ablation.undeclared(arms).items()
        ]

    def rows(self) -> Rows:
        """The records, sorted into what is shown and what is not."""
        everything = rows_of(self.file)
        foreign: list[str] = []
        if len(everything):
            everything, foreign = self.own(everything)
        if everything.empty:
            return Rows(everything, everything, foreign, [], [])
        keys = self.keys(dict.fromkeys([*self.seeds, *map(int, everything["seed"].unique())]))
        pairs = list(zip(everything["arm"], everything["seed"].astype(int), strict=True))
        now = pd.Series([keys.get(pair) for pair in pairs], everything.index)
        current = everything["key"] == now
        measured = everything[current & (everything["status"] == "ok")]
        done = {*zip(measured["arm"], measured["seed"], strict=True)}
        asked = measured["seed"].isin(self.seeds)
        unasked = measured[~asked].groupby("arm", sort=False)["seed"].unique()
        failed = everything[current & (everything["status"] != "ok")]
        failed = failed.drop_duplicates(["arm", "seed"], keep="last")
        chosen = self.chosen()
        open_pairs = [
            (arm, seed) not in done and seed in self.seeds and arm in chosen
            for arm, seed in zip(failed["arm"], failed["seed"], strict=True)
        ]
        before = everything[~current].groupby("arm", sort=False)["seed"].unique()
        others = {str(arm): list(seeds) for arm, seeds in before.items()}
        tried = {*zip(everything["arm"][current], everything["seed"][current], strict=True)}
        unrun: dict[str, list[int]] = {}
        for arm, seed in keys:
            if seed in self.seeds and (arm, seed) not in tried:
                unrun.setdefault(arm, []).append(seed)
        further = named({str(arm): list(seeds) for arm, seeds in unasked.items()})
        shown, open_ones = self.declared(records.latest(measured[asked])), failed[open_pairs]
        return Rows(shown, open_ones, [*named(others), *foreign], named(unrun), further)

    def own(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """The rows of this ablation at this preset, and how many others there are."""
        about = {"ablation": self.load().name, "preset": self.preset}
        ours = (rows[list(about)] == pd.Series(about)).all(axis=1)
        others = int((~ours).sum())
        return rows[ours], [f"{others} rows of other ablations or presets"] if others else []

    def declared(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with what their arms are called now: a name of a level or a series is in no key,
        so that rows of before it was changed are still theirs."""
        arms = {arm.name: arm for arm in self.arms()}
        now = {
            column: [getattr(arms[name], column) for name in rows["arm"]]
            for column in ("factor", "level", "series", "reference")
        }
        return rows.assign(**now)

    def at(self, arm: str, seed: int) -> Arm:
        """One arm at a seed; raises ValueError where none is called so any more."""
        for one in self.arms(seed):
            if one.name == arm:
                return one
        raise ValueError(f"{self.load().name} has no arm {arm} at seed {seed} any more")


@dataclass(frozen=True)
class Rows:
    """The records of a sweep."""

    measured: pd.DataFrame
    """Of the declared arms as they are now, at the seeds that are asked for."""
    failed: pd.DataFrame
    """The last failure of each chosen arm and seed that is asked for, has no values, and is as
    declared now."""
    left: list[str]
    """Arms with the seeds of other rows: of settings, versions or names of before."""
    unrun: list[str]
    """Arms with the seeds that are asked for and have no row as they are now."""
    unasked: list[str]
    """Arms with seeds that have values and are not asked for."""


NAMED = 6
"""Arms of the same seeds that are named, before the others are counted."""


def named(seeds: Mapping[str, Iterable[int]]) -> list[str]:
    """Arms that share their seeds, with these, as text."""
    alike: dict[str, list[str]] = {}
    for arm, of_arm in seeds.items():
        alike.setdefault(", ".join(map(str, of_arm)), []).append(arm)
    found = []
    for numbers, arms in alike.items():
        more = f" and {len(arms) - NAMED} more" if len(arms) > NAMED else ""
        found.append(f"{', '.join(arms[:NAMED])}{more} (seeds {numbers})")
    return found
