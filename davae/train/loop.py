"""One small training loop: AdamW, EMA, JSONL log, progress, checkpoint and exact resume.

Randomness is keyed by step and global sample index, so a checkpoint holds tensors and a step
number only, and a resumed run is bit-identical to an uninterrupted one on CPU.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from davae.core.experiment import TrainConfig
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.core.store import LOG, SUMMARY, write_json
from davae.measure.flops import count_flops
from davae.measure.roofline import matmul_rate
from davae.measure.timing import timed
from davae.train.batches import Batch, Batches
from davae.train.checkpoint import load_state, save_state
from davae.train.ema import EMA
from davae.train.optim import lr_factor
from davae.train.parallel import (
    Parallel,
    Stepping,
    asked_blocks,
    check_sharding,
    check_shares,
    own_shard,
    sharded_like,
    whole,
)

CHECKPOINT = "scratch.checkpoint.safetensors"

Terms = dict[str, torch.Tensor]


def snapshot_name(step: int) -> str:
    """The file of a snapshot."""
    return f"snapshot.{step}.safetensors"


@lru_cache(maxsize=4)
def rate_in(minute: int, device: str, dtype: torch.dtype, threads: int) -> float:
    """The product rate of this process on the device, measured once a minute, so that trainings of
    seconds share it."""
    return matmul_rate(device, dtype=dtype)


@dataclass
class Task:
    """What is trained: `step(n, batch)` returns scalar terms, of which "loss" is minimised."""

    name: str
    module: nn.Module
    """Holds every trained parameter."""
    batch: Callable[[int, list[int]], Batch]
    """Data and noise of step n for the samples of these global indices, on the CPU."""
    step: Callable[[int, Batch], Terms]
    """The batch arrives on the module's device."""
    evaluate: Callable[[], dict[str, float]] | None = None
    """Held-out figures, computed with the averaged weights where there is an EMA."""
    evaluations: int = 16
    """How often, evenly over the run (4 times in a short one, and half way and at the end below 20
    steps); a multiple of 4, so that the last quarter can be read off."""
    idle: bool = False
    """Whether some of what is trained has no gradient in some steps."""


@dataclass
class State:
    """The progress of a training run, which a checkpoint holds beside the tensors."""

    step: int = 0
    flops_step: int = 0
    """Counted on the first step."""
    step_seconds: list[float] = field(default_factory=list)


class Trainer:
    """A task under a `TrainConfig`, working in the folder of its stage.

    Of several ranks each takes its share of every batch, and the main one writes."""

    def __init__(self, task: Task, config: TrainConfig, runtime: Runtime, folder: Path):
        self.task, self.config, self.runtime, self.folder = task, config, runtime, folder
        self.stepping: Any = Stepping(task.module, task.step, task.evaluate)
        self.parallel: Parallel | None = None
        if ranks().count > 1:
            check_shares({f"the batch of {task.name}": config.batch_size})
            if there := {type(m).__name__ for m in asked_blocks(self.stepping)}:
                check_sharding(
                    there, compiled=bool(runtime.compile), ema_on_host=runtime.ema_on_host
                )
            self.parallel = Parallel(self.stepping, task.idle)
            self.stepping = self.parallel.wrapped
        self.parameters = [p for p in task.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            config.lr,
            config.betas,
            weight_decay=config.weight_decay,
            fused=runtime.fused_adamw,
        )
        self.ema = (
            EMA(self.parameters, config.ema_decay, runtime.ema_on_host)
            if config.ema_decay
            else None
        )
        self.state = State()
        self.batches = Batches(self.draw, config.steps, runtime)

    def draw(self, n: int) -> Batch:
        """This rank's samples of step n's batch, on the CPU."""
        size = self.config.batch_size
        return self.task.batch(n, [n * size + i for i in ranks().share(size)])

    def run(self) -> Any:
        """Train to the end, from the checkpoint if there is one, and return the module with the EMA
        weights: the task's own or, where it was sharded, a whole copy.

        `train.json` has steps, FLOPs a step, seconds and the machine's matmul rate, the better of
        start and end, lest something else ran at one of them (`rate_in`: one where both are of a
        minute). Raises FloatingPointError at the first non-finite term, and for weights that the
        last step has left so.
        """
        ceiling = self._ceiling()
        self._resume()
        writer = self._tensorboard()
        saved = time.perf_counter()
        steps, parts = self.config.steps, self.task.evaluations
        if steps < 10 * parts:
            parts = 4 if steps >= 20 else 2
        evaluated = {round(steps * i / parts) for i in range(1, parts + 1)}
        self.task.module.train()
        with (
            Path(self.folder / LOG if ranks().main else os.devnull).open("a") as log,
            tqdm(
                total=self.config.steps, initial=self.state.step, desc=self.task.name, unit="step"
            ) as progress,
            self.batches,
        ):
            if self.state.step == 0:
                self._evaluate(log, writer)
            while self.state.step < self.config.steps:
                terms = self._timed_step()
                self.write(log, writer, {"step": self.state.step, **terms})
                progress.set_postfix(
                    {k: f"{v:.4f}" for k, v in terms.items() if k != "lr"}, refresh=False
                )
                progress.update()
                if self.state.step in self.config.snapshots:
                    self._keep()
                if self.state.step in evaluated:
                    self._evaluate(log, writer)
                if ranks().told(time.perf_counter() - saved > self.runtime.checkpoint_seconds):
                    self._save(log)
                    saved = time.perf_counter()
        if self.ema:
            self.ema.swap()
        self._check_weights()
        if self.config.round_weights:
            self._round()
        if writer:
            writer.close()
        if ranks().main:
            self._summarise(max(ceiling, self._ceiling()))
        return self._whole_module().eval()

    def _whole_module(self) -> nn.Module:
        """The task's module, or a copy of it where it is sharded."""
        plain = self.parallel.plain if self.parallel else None
        if plain is None:
            return self.task.module
        plain.load_state_dict(whole(self.task.module.state_dict()), assign=True)
        return plain

    def _ceiling(self) -> float:
        """The product rate of all ranks together in the dtype that products are cast to."""
        dtype = getattr(torch, self.runtime.dtype or "float32")
        minute = int(time.monotonic() // 60)
        return ranks().count * rate_in(minute, self.runtime.device, dtype, torch.get_num_threads())

    @torch.no_grad()
    def _round(self) -> None:
        for parameter in self.parameters:
            parameter.copy_(parameter.bfloat16())

    def _keep(self) -> None:
        """Write the weights, averaged where there is an EMA, as a snapshot of this step."""
        with self.ema.swapped() if self.ema else nullcontext():
            changing = whole(self._changing())
            if ranks().main:
                tensors = {k: v.detach().cpu().contiguous() for k, v in changing.items()}
                save_file(tensors, str(self.folder / snapshot_name(self.state.step)))

    def _timed_step(self) -> dict[str, float]:
        """One step with its duration noted; the first step's FLOPs are counted instead."""
        if not self.state.flops_step:
            of_rank, terms = count_flops(self.step)
            self.state.flops_step = of_rank * ranks().count
            return terms
        seconds, terms = timed(self.step, self.runtime.device)
        self.state.step_seconds.append(seconds)
        return terms

    def step(self) -> dict[str, float]:
        """One optimizer step; returns the terms as floats."""
        n = self.state.step
        factor = lr_factor(
            n, self.config.steps, self.config.lr_warmup_steps, self.config.lr_schedule
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * factor
        values: dict[str, float] = {}
        for part, share, last in self._parts(self.batches.of(n)):
            with self.parallel.accumulating(last) if self.parallel else nullcontext():
                with self.runtime.training():
                    terms = self.stepping(n, part)
                for term, value in zip(terms, self._numbers(terms), strict=True):
                    values[term] = values.get(term, 0.0) + share * value
                self._check_finite(values, n)
                (terms["loss"] if share == 1.0 else share * terms["loss"]).backward()
        self.update()
        return {**values, "lr": self.config.lr * factor}

    def _numbers(self, terms: Terms) -> list[float]:
        """The terms, of all ranks together."""
        return ranks().mean(torch.stack([t.detach().float() for t in terms.values()])).tolist()

    def update(self) -> None:
        """Apply the gradients: clipping, optimizer and EMA."""
        if self.config.clip_grad_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update(self.state.step)
        self.state.step += 1

    def _parts(self, batch: Batch) -> Iterator[tuple[Batch, float, bool]]:
        """The batch in pieces of `runtime.micro_batch` samples, each piece's share of it, and
        whether it is the last."""
        count = len(batch[0])
        size = self.runtime.micro_batch or count
        for start in range(0, count, size):
            part = tuple(tensor[start : start + size] for tensor in batch)
            yield part, len(part[0]) / count, start + size >= count

    def _check_finite(self, values: dict[str, float], n: int) -> None:
        terms = [
            *(term for term in values if term != "loss"),
            "loss",
        ]  # the sum last: one of its terms is to blame
        for term in terms:
            if not math.isfinite(values[term]):
                others = ", ".join(f"{k} {v:.4g}" for k, v in values.items())
                raise FloatingPointError(
                    f"{self.task.name}: term {term!r} is {values[term]} at step {n} ({others}); "
                    "lower the learning rate or set clip_grad_norm"
                )

    def _check_weights(self) -> None:
        wrong = torch.stack([~torch.isfinite(own_shard(p)).all() for p in self.parameters])
        if ranks().mean(wrong.float()).any():
            raise FloatingPointError(
                f"{self.task.name}: weights are not finite after the last step; lower the learning "
                "rate or set clip_grad_norm"
            )

    def _evaluate(self, log: Any, writer: Any) -> None:
        """Log the task's held-out figures under names with the prefix `eval/`."""
        if self.task.evaluate is None:
            return
        self.task.module.eval()
        averaged = self.ema.swapped() if self.ema else nullcontext()
        with torch.no_grad(), self.runtime.autocast(), averaged:
            figures = self.stepping(self.state.step)
        if self.parallel:
            self.parallel.forget()
        self.task.module.train()
        self.write(
            log, writer, {"step": self.state.step, **{f"eval/{k}": v for k, v in figures.items()}}
        )

    def _tensorboard(self) -> Any:
        if not self.runtime.tensorboard or not ranks().main:
            return None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "runtime.tensorboard needs tensorboard: pip install 'davae[bench]'"
            ) from error

        return SummaryWriter(str(self.folder / "tensorboard"))

    def write(self, log: Any, writer: Any, line: dict[str, Any]) -> None:
        """One line of the training log, and of TensorBoard's where there is a writer."""
        log.write(json.dumps(line) + "\n")
        if writer:
            for name, value in line.items():
                if name != "step":
                    writer.add_scalar(name, value, line["step"])

    def _save(self, log: Any) -> None:
        """Write the checkpoint atomically; the log up to here is on disk before it."""
        tensors = whole(
            {
                "module": self._changing(),
                "optimizer": self.optimizer.state_dict(),
                "ema": self.ema.average if self.ema else [],
            }
        )
        if not ranks().main:
            return
        log.flush()
        os.fsync(log.fileno())
        progress = {"progress": asdict(self.state), "log_bytes": (self.folder / LOG).stat().st_size}
        save_state({**progress, **tensors}, self.folder / CHECKPOINT)

    def _changing(self) -> dict[str, torch.Tensor]:
        """The module's tensors but for its frozen parameters, which the stage loads again."""
        frozen = {name for name, p in self.task.module.named_parameters() if not p.requires_grad}
        return {name: t for name, t in self.task.module.state_dict().items() if name not in frozen}

    def _resume(self) -> None:
        """Load the checkpoint and cut the log back to it; without one, start an empty log."""
        path = self.folder / CHECKPOINT
        if not ranks().told(path.exists()):
            if ranks().main:
                (self.folder / LOG).write_text("")
            return
        state = load_state(path, self.runtime.device)
        current = self.task.module.state_dict()
        saved = {name: sharded_like(t, current[name]) for name, t in state["module"].items()}
        self.task.module.load_state_dict({**current, **saved})
        for index, parameter in enumerate(self.parameters):
            moments = state["optimizer"]["state"].get(index, {})  # none before the first gradient
            moments.update({k: sharded_like(t, parameter) for k, t in moments.items()})
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.average = [
                self.ema.beside(sharded_like(a, p))
                for a, p in zip(state["ema"], self.parameters, strict=True)
            ]
        self.state = State(**state["progress"])
        if ranks().main:
            os.truncate(self.folder / LOG, state["log_bytes"])

    def _summarise(self, ceiling: float) -> None:
        flops = self.state.flops_step
        seconds = sorted(self.state.step_seconds)
        median = seconds[len(seconds) // 2] if seconds else 0.0
        summary = {
            "steps": self.config.steps,
            "batch_size": self.config.batch_size,
            "parameters": sum(p.numel() for p in self.parameters),
            "flops_step": flops,
            "median_step_seconds": median,
            "flops_per_second": flops / median if median else 0.0,
            "matmul_flops_per_second": ceiling,
            "share_of_matmul_rate": flops / median / ceiling if median else 0.0,
        }
        write_json(self.folder / SUMMARY, summary)
