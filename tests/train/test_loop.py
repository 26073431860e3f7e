"""The training loop."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from davae.core.experiment import TrainConfig
from davae.core.runtime import Runtime
from davae.core.store import read_log
from davae.train.ema import EMA
from davae.train.loop import CHECKPOINT, Task, Trainer, snapshot_name


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0]))


def line_task(module, poison_at=-1):
    def batch(n, samples):
        return (torch.tensor([math.sin(s) for s in samples]),)

    def step(n, batch):
        target = batch[0]
        loss = (module.w.sum() - target).square().mean() + 0.1 * (n + 1) * module.w[0] ** 2
        extra = loss * (float("nan") if n == poison_at else 1.0)
        return {"loss": loss + extra, "fit": loss, "extra": extra}

    return Task(
        "line", module, batch, step, lambda: {"w": float(module.w.detach()[0])}, evaluations=4
    )


TRAIN = TrainConfig(steps=20, batch_size=4, lr=0.05, lr_warmup_steps=2, ema_decay=0.9)


def test_a_non_finite_term_stops_training_and_is_named(tmp_path):
    trainer = Trainer(line_task(Line(), poison_at=7), TRAIN, Runtime(), tmp_path)
    with pytest.raises(FloatingPointError, match=r"term 'extra' is nan at step 7 .*loss nan"):
        trainer.run()


def test_weights_that_the_last_step_made_nan_are_no_result(tmp_path):
    task = line_task(Line())
    step = task.step

    def edge(n, batch):  # a finite loss whose gradient is 0 times infinity
        terms = step(n, batch)
        root = 0.0 * (task.module.w - task.module.w.detach()).sum().sqrt()
        return {**terms, "loss": terms["loss"] + (root if n == TRAIN.steps - 1 else 0.0)}

    trainer = Trainer(replace(task, step=edge), TRAIN, Runtime(), tmp_path)
    with pytest.raises(FloatingPointError, match="line: weights are not finite after the last"):
        trainer.run()


@pytest.mark.parametrize("on_host", [False, True])
def test_a_resumed_run_is_bit_identical(tmp_path, on_host):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Line()
    Trainer(line_task(whole), TRAIN, Runtime(), tmp_path / "whole").run()

    class Power(Exception):
        pass

    cut = Line()
    task = line_task(cut)
    original = task.step

    def step(n, samples):
        if n == 13:
            raise Power
        return original(n, samples)

    task.step = step
    runtime = Runtime(checkpoint_seconds=0.0, ema_on_host=on_host)
    with pytest.raises(Power):
        Trainer(task, TRAIN, runtime, tmp_path / "cut").run()
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    again = Line()
    Trainer(line_task(again), TRAIN, Runtime(ema_on_host=on_host), tmp_path / "cut").run()
    assert torch.equal(again.w, whole.w)
    logs = [read_log(tmp_path / name) for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[0] if "eval/w" in line] == [0, 5, 10, 15, 20]


@pytest.mark.parametrize(
    ("steps", "checked"), [(6, [0, 3, 6]), (18, [0, 9, 18]), (24, [0, 6, 12, 18, 24])]
)
def test_a_short_training_is_checked_half_way(tmp_path, steps, checked):
    train = replace(TRAIN, steps=steps)
    Trainer(line_task(Line()), train, Runtime(), tmp_path).run()
    assert [line["step"] for line in read_log(tmp_path) if "eval/w" in line] == checked


@pytest.mark.parametrize("on_host", [False, True])
def test_ema_by_hand(on_host):
    p = nn.Parameter(torch.tensor([0.0]))
    ema = EMA([p], 0.5, on_host)
    assert ema.average[0].data_ptr() != p.data_ptr()
    with torch.no_grad():
        p.fill_(1.0)
    ema.update(0)  # d = min(0.5, 1 / 10)
    assert ema.average[0].item() == pytest.approx(0.9)
    with torch.no_grad():
        p.fill_(2.0)
    ema.update(90)  # d = 0.5
    assert ema.average[0].item() == pytest.approx(1.45)
    with ema.swapped():
        assert p.item() == pytest.approx(1.45)
    assert p.item() == 2.0


def test_tensorboard_events_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    Trainer(line_task(Line()), TRAIN, Runtime(tensorboard=True), tmp_path).run()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = {line["step"]: line["loss"] for line in read_log(tmp_path) if "loss" in line}
    written = {event.step: event.value for event in events.Scalars("loss")}
    assert written == pytest.approx(logged, rel=1e-5)


def test_a_step_in_pieces_is_the_step_of_the_whole_batch(tmp_path):
    """Gradients of a mean over 8 samples, 3 at a time: 3/8 + 3/8 + 2/8."""
    seen = []

    def run(micro, folder):
        torch.manual_seed(0)
        module = torch.nn.Linear(4, 1)
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))

        def step(n, batch):
            seen.append(len(batch[0]))
            return {"loss": module(batch[0]).square().mean()}

        folder.mkdir()
        task = Task("toy", module, lambda n, samples: (x,), step)
        config = TrainConfig(steps=3, batch_size=8, lr=1e-2, lr_warmup_steps=0)
        Trainer(task, config, Runtime(micro_batch=micro), folder).run()
        return module.weight.detach(), read_log(folder)[-1]["loss"]

    whole, pieces = run(0, tmp_path / "whole"), run(3, tmp_path / "pieces")
    assert seen == [8] * 3 + [3, 3, 2] * 3
    torch.testing.assert_close(pieces[0], whole[0])
    assert pieces[1] == pytest.approx(whole[1], rel=1e-5)


def test_a_snapshot_is_what_a_shorter_run_ends_with(tmp_path):
    for name in ("long", "short"):
        (tmp_path / name).mkdir()
    kept = replace(TRAIN, snapshots=(5, 12))
    Trainer(line_task(Line()), kept, Runtime(), tmp_path / "long").run()
    short = Line()
    Trainer(line_task(short), replace(TRAIN, steps=5), Runtime(), tmp_path / "short").run()
    tensors = load_file(tmp_path / "long" / snapshot_name(5))
    assert torch.equal(tensors["w"], short.w)
    assert (tmp_path / "long" / snapshot_name(12)).exists()
    with pytest.raises(ValueError, match=r"snapshots \[20\] do not lie between 0 and the 20 steps"):
        replace(TRAIN, snapshots=(5, 20))
