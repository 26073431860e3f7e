"""Settings under which every stage of a run fits a GPU, found before anything starts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from davae.core.experiment import Experiment
from davae.core.runtime import Runtime
from davae.stages.memory import Need, like, need_of
from davae.stages.stage import Stage

GPUS = {"a100": 79.0, "h100": 78.0, "h200": 139.0}
"""GiB that torch sees of the boards of 80, 80 and 141 GB."""
SHARE = 0.9
"""Of a GPU's memory that is planned with: the rest is the driver's, kernels' workspaces and gaps
between tensors."""


@dataclass(frozen=True)
class Fit:
    """How a stage runs on a GPU."""

    role: str
    stage: Stage
    need: Need
    count: int
    """Samples at once."""
    recomputed: bool = False
    on_host: bool = False
    """Whether the average of the weights is in the host's memory."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        need = self.need.varied(self.recomputed, self.on_host)
        assert need is not None
        return need.bytes(self.count)

    @property
    def settings(self) -> dict[str, Any]:
        """Fields of the runtime, where they are not as usual."""
        found: dict[str, Any] = {}
        if self.count < self.need.most:
            found[self.need.setting] = self.count
        if self.recomputed:
            found["checkpoint_activations"] = True
        if self.on_host:
            found["ema_on_host"] = True
        return found


WAYS = ((False, False), (True, False), (False, True), (True, True))
"""(activations recomputed, average on the host), in the order in which they are tried."""


def at_once(need: Need, room: int) -> int:
    """Samples that fit, as equal parts of `most` where that costs less than half of them; 0: none
    does."""
    most = need.most
    if need.bytes(most) > room:
        most = min(most - 1, (room - need.bytes(1) + need.of_one) // max(1, need.of_one))
    parts = [n for n in range(1, max(0, most) + 1) if need.most % n == 0]
    return parts[-1] if parts and 2 * parts[-1] > most else max(0, most)


def fit(role: str, stage: Stage, need: Need, room: int, asked: Runtime) -> Fit:
    """The stage in `room` bytes: as asked for, otherwise as many samples at once as fit, in the
    first of WAYS in which one does.

    Raises ValueError where what is asked for does not fit, with the settings that would, or where
    nothing does."""
    found = None
    for way in WAYS:
        varied = need.varied(*way) if found is None else None
        if varied is not None and at_once(varied, room):
            found = Fit(role, stage, need, at_once(varied, room), *way)
    given = getattr(asked, need.setting)
    if need.setting == "micro_batch":
        given = min(given, need.most)  # a part is never larger than the batch
    recompute = asked.checkpoint_activations and need.recompute is not None
    on_host = asked.ema_on_host and bool(need.average)
    if given or recompute or on_host:
        of = need.varied(recompute, on_host) or need
        as_asked = Fit(role, stage, need, given or at_once(of, room) or 1, recompute, on_host)
        if as_asked.bytes <= room:
            return as_asked
        whole = " (its whole batch)" if given == need.most else ""
        taken = f"{gib(as_asked.bytes)} with {words(as_asked)}{whole}"
    else:
        taken = f"{gib(need.bytes(1))} with one sample at once"
    if found is None or given or recompute or on_host:
        would = words(found) if found else larger(need)
        name = role if role == stage.name else f"{role} ({stage.name})"
        raise ValueError(f"{name} takes {taken}; what fits: {would}")
    return found


def larger(need: Need) -> str:
    """The GPUs on which one sample fits."""
    least = next(n for way in reversed(WAYS) if (n := need.varied(*way)))
    able = [name for name, memory in GPUS.items() if SHARE * memory * 2**30 >= least.bytes(1)]
    return f"no setting; on {' or '.join(able)} it would" if able else "no setting on any GPU here"


def words(fit: Fit) -> str:
    """A fit's settings as they are given on a command line."""
    flags = {fit.need.setting: fit.count, **fit.settings}
    return " ".join(f"--runtime.{name} {value}" for name, value in flags.items())


def gib(size: float) -> str:
    """Bytes as GiB."""
    return f"{size / 2**30:.1f} GiB"


def fits(
    e: Experiment, stages: Mapping[str, Stage], memory_gib: float, asked: Runtime
) -> dict[str, Fit]:
    """Every stage that takes much of a GPU, by role; raises ValueError that says of each that does
    not fit what `fit` says of it."""
    room, found, problems = int(SHARE * memory_gib * 2**30), {}, []
    counted: dict[Hashable, Need | None] = {}
    for role, stage in stages.items():
        if like(stage) not in counted:
            counted[like(stage)] = need_of(e, stage)
        need = counted[like(stage)]
        if need is None:
            continue
        try:
            found[role] = fit(role, stage, need, room, asked)
        except ValueError as error:
            problems.append(f"\n  - {error}")
    if problems:
        raise ValueError(
            f"{gib(room)} are planned with ({SHARE:.0%} of the GPU's memory), in which not all "
            f"stages fit:{''.join(problems)}"
        )
    return found


def settings(found: Mapping[str, Fit]) -> dict[str, dict[str, Any]]:
    """Key of a stage to its fields of the runtime, for `Pipeline.settings`."""
    return {one.stage.key: one.settings for one in found.values() if one.settings}
