from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from fiducial import checkpoints
from fiducial.runs import outcome
from fiducial.tasks.base import Task

Train = Callable[..., Path]
Weights = Callable[..., dict[str, torch.Tensor]]
Points = Callable[[Path], list[tuple[str, int, float]]]


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in the package catches it."""


@pytest.fixture(scope="session")
def killed() -> Callable[..., Any]:
    @contextmanager
    def killed(epoch: int, step: int = 3) -> Iterator[None]:
        """End the process in the middle of an epoch."""
        original = Task.on_train_batch_end

        def on_train_batch_end(self: Task, outputs: Any, batch: Any, batch_idx: int) -> None:
            original(self, outputs, batch, batch_idx)
            if (self.current_epoch, batch_idx) == (epoch, step):
                raise KilledError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Task, "on_train_batch_end", on_train_batch_end)
            with pytest.raises(KilledError):
                yield

    return killed


@pytest.fixture(scope="session")
def broken_off(trained: Train, killed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the outputs of a run that was killed in its third epoch of four, made once."""
    outputs = tmp_path_factory.mktemp("broken_off")
    with killed(epoch=2):
        trained(outputs)
    return outputs


@pytest.fixture
def out(broken_off: Path, tmp_path: Path) -> Path:
    """Return the folder of a run that was killed in its third epoch, which `resume=auto` in "killed" goes on with."""
    shutil.copytree(broken_off, tmp_path / "killed")
    out = folder(tmp_path, "killed")
    config = out / "config.yaml"
    config.write_text(config.read_text().replace(str(broken_off), str(tmp_path / "killed")))
    return out


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def folder(tmp_path: Path, outputs: str) -> Path:
    (out,) = (tmp_path / outputs).glob("runs/*/*")
    return out


DROPOUT = "model.dropout=0.5"
CASES = {
    "plain": (),
    "dropout": (DROPOUT,),
    "batch norm and augmentation": ("model.norm=batch", "augment=strong", DROPOUT),
    "multistep": ("scheduler=multistep",),
    "cosine": ("scheduler=cosine", "optimizer=sgd"),
    "warmup": ("scheduler=warmup", "scheduler.total_iters=3"),
    "one cycle": ("scheduler=one_cycle", DROPOUT),
    "plateau": ("scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.5"),
    "accumulation": ("hardware.accumulate=3", "scheduler=one_cycle"),
    "balanced sampling": ("data.sampling=balanced", DROPOUT),
    "weighted": ("loss.weight=balanced", "hardware.clip_norm=0.1", "optimizer=rmsprop"),
    "betas": ("optimizer.betas=[0.8,0.99]",),
}


@pytest.mark.slow
@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES.keys())
def test_killed_and_resumed_equals_uninterrupted(
    overrides: tuple[str, ...],
    train: Train,
    killed: Callable[..., Any],
    weights: Weights,
    points: Points,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    whole = train(*overrides) if overrides else request.getfixturevalue("whole")
    with killed(epoch=2):
        train(*overrides, outputs="killed")
    out = folder(tmp_path, "killed")
    capsys.readouterr()
    assert train("resume=auto", *overrides, outputs="killed") == out
    said = capsys.readouterr().err
    assert "epoch 3/4" in said
    assert "epoch 2/4" not in said, "it goes on from where it was"
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(whole, name), weights(out, name))
    assert points(whole) == points(out)
    assert len({(name, step) for name, step, _ in points(out)}) == len(points(out)), "one value a step"
    assert (whole / "scores.json").read_text() == (out / "scores.json").read_text()
    assert (whole / "predictions.csv").read_text() == (out / "predictions.csv").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker:UserWarning")  # on two cores
@pytest.mark.parametrize("workers", [1, 3])
def test_resumed_with_workers_that_read_ahead(
    workers: int, train: Train, killed: Callable[..., Any], weights: Weights, tmp_path: Path
) -> None:
    network = ("model=cnn_rnn", "model.dropout=0.3", "model.widths=[8]", "model.hidden=4")
    sequences = (
        "data.source.sequence=true", "data.source.size=[4,8,8]", "data.source.min_length=2",
        "scheduler=one_cycle", "augment=light", "epochs=3",
    )  # fmt: skip
    whole = train(*sequences, "data.num_workers=0", network=network)
    sequences += (f"data.num_workers={workers}",)
    with killed(epoch=1):
        train(*sequences, outputs="killed", network=network)
    out = train("resume=auto", *sequences, outputs="killed", network=network)
    assert same(weights(whole), weights(out))


DIVERGING = ("patience=2", "optimizer=sgd", "optimizer.lr=3", "epochs=9", "seed=1")


@pytest.fixture(scope="session")
def diverged(trained: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("diverged"), *DIVERGING)


def test_patience_outlives_a_kill(
    diverged: Path, train: Train, killed: Callable[..., Any], weights: Weights, points: Points, tmp_path: Path
) -> None:
    epochs = [step for name, step, _ in points(diverged) if name == "val/loss"]
    assert len(epochs) < 9, "early stopping must act for this test to mean anything"
    with killed(epoch=epochs[-1]):
        train(*DIVERGING, outputs="killed")
    out = train("resume=auto", *DIVERGING, outputs="killed")
    assert points(diverged) == points(out)
    assert same(weights(diverged), weights(out))


def test_killed_when_patience_was_over(
    diverged: Path, train: Train, weights: Weights, points: Points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def on_fit_end(*args: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "on_fit_end", on_fit_end)
        with pytest.raises(KilledError):
            train(*DIVERGING, outputs="killed")
    out = train("resume=auto", *DIVERGING, outputs="killed")
    assert points(diverged) == points(out), "no epoch is trained after the end"
    assert same(weights(diverged), weights(out))


def test_killed_between_its_scores_and_its_last_word(
    whole: Path,
    train: Train,
    status: Callable[[Path], str],
    points: Points,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def log(*args: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(outcome.Outcome, "log", log)
        with pytest.raises(KilledError):
            train(outputs="killed")
    killed = folder(tmp_path, "killed")
    assert (killed / "scores.json").is_file()
    assert status(killed) != "FINISHED"
    out = train("resume=auto", outputs="killed")
    assert out == killed
    assert status(out) == "FINISHED"
    assert points(whole) == points(out)
    assert (whole / "scores.json").read_text() == (out / "scores.json").read_text()


MOMENTS = ("before the file is written", "half of it written", "before it has its name", "before best.ckpt follows")


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_while_a_checkpoint_is_written(
    moment: str,
    epoch: int,
    whole: Path,
    train: Train,
    weights: Weights,
    points: Points,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = {"save": 0, "replace": 0}
    save, replace = torch.save, os.replace

    def dying_save(content: Any, file: Any) -> None:
        calls["save"] += 1
        if calls["save"] == epoch + 1 and moment == MOMENTS[0]:
            raise KilledError
        save(content, file)
        if calls["save"] == epoch + 1 and moment == MOMENTS[1]:
            file.truncate(file.tell() // 2)
            raise KilledError

    def dying_replace(source: Any, target: Any) -> None:
        victim = {MOMENTS[2]: "last.ckpt", MOMENTS[3]: "best.ckpt"}.get(moment)
        if calls["save"] == epoch + 1 and Path(source).suffix == ".part" and Path(target).name == victim:
            raise KilledError
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", dying_save)
        patch.setattr(os, "replace", dying_replace)
        with pytest.raises(KilledError):
            train(outputs="killed")
    out = train("resume=auto", outputs="killed")
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(whole, name), weights(out, name))
    assert points(whole) == points(out)
    assert (whole / "scores.json").read_text() == (out / "scores.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty"])
def test_damaged_checkpoint_gives_way_to_the_one_before(
    harm: str,
    whole: Path,
    out: Path,
    train: Train,
    weights: Weights,
    points: Points,
    tags: Callable[[Path], dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = out / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 0xFF
    last.unlink()
    last.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b""}[harm])
    capsys.readouterr()
    train("resume=auto", outputs="killed")
    said = capsys.readouterr().out
    assert "last.ckpt is damaged" in said
    assert "going on from previous.ckpt" in said
    assert "last.ckpt is damaged" in tags(out)["fiducial.damaged_checkpoint"]
    assert same(weights(whole), weights(out))
    assert same(weights(whole, "best.ckpt"), weights(out, "best.ckpt"))
    assert points(whole) == points(out)


@pytest.mark.slow
def test_damaged_best_is_trained_again(
    whole: Path, out: Path, train: Train, weights: Weights, points: Points, capsys: pytest.CaptureFixture[str]
) -> None:
    best = out / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:-100])
    train("resume=auto", outputs="killed")
    assert re.search(r"best\.ckpt is damaged \(.*\); going on from the start", capsys.readouterr().out)
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(whole, name), weights(out, name))
    assert points(whole) == points(out)


def test_killed_after_resuming_from_the_one_before(
    whole: Path, out: Path, train: Train, killed: Callable[..., Any], weights: Weights
) -> None:
    """The damaged file must never take the place of the intact one."""
    checkpoint = out / "checkpoints" / "last.ckpt"
    checkpoint.unlink()
    checkpoint.write_bytes(b"damaged")
    with killed(epoch=1):
        train("resume=auto", outputs="killed")
    with killed(epoch=3, step=0):
        train("resume=auto", outputs="killed")
    out = train("resume=auto", outputs="killed")
    assert same(weights(whole), weights(out))


def test_a_run_killed_before_its_first_line_begins(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is a folder with a configuration, and no run to go on with."""
    with monkeypatch.context() as patch:
        patch.setattr("fiducial.runs.train.track", dead)
        with pytest.raises(KilledError):
            train(outputs="killed")
    out = folder(tmp_path, "killed")
    assert not (out / "tracking").exists()
    assert train("resume=auto", outputs="killed") == out
    assert (out / "scores.json").is_file()


def dead(*_: object, **__: object) -> None:
    raise KilledError


def test_both_checkpoints_damaged_starts_again(
    whole: Path, out: Path, train: Train, weights: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (out / "checkpoints").glob("*.ckpt"):
        file.unlink()
        file.write_bytes(b"no checkpoint")
    out = train("resume=auto", outputs="killed")
    assert "going on from the start" in capsys.readouterr().out
    assert same(weights(whole), weights(out))


def test_finished_run_is_left_alone(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    out = train("epochs=1")
    before = (out / "scores.json").stat().st_mtime_ns
    assert train("resume=auto", "epochs=1") == out
    assert "is finished" in capsys.readouterr().out
    assert (out / "scores.json").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker:UserWarning")  # on two cores
@pytest.mark.parametrize("workers", [1, 3])
def test_weights_do_not_depend_on_loader_workers(workers: int, train: Train, weights: Weights) -> None:
    options = ("model.dropout=0.5", "augment=strong", "epochs=2")
    assert same(
        weights(train(*options, "data.num_workers=0", outputs="none")),
        weights(train(*options, f"data.num_workers={workers}")),
    )


def test_another_seed_gives_other_weights(train: Train, weights: Weights) -> None:
    one, other = train("epochs=1", outputs="a"), train("epochs=1", "seed=1", outputs="b")
    assert not same(weights(one), weights(other))


def test_learning_rates_follow_torch(train: Train, points: Points) -> None:
    out = train("scheduler=cosine", "optimizer.lr=0.1", "epochs=4")
    rates = [value for name, _, value in points(out) if name == "lr"]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    expected = []
    for _ in range(4):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected)


def test_one_cycle_ends_with_the_last_step(train: Train) -> None:
    out = train("scheduler=one_cycle", "optimizer.lr=0.1", "hardware.accumulate=2", "epochs=3")
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["schedule"]["total_steps"] == state["global_step"] == 3 * 3  # 24 cases, 5 a batch, 2 batches a step
    assert state["schedule"]["last_epoch"] == 9


def test_metrics_are_on_disk_before_the_checkpoint_that_ends_their_epoch(
    train: Train, points: Points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a kill right after it would leave a gap: the resumed run does not log that epoch again."""
    save, epochs = torch.save, []

    def looking_save(content: Any, file: Any) -> None:
        known = [step for name, step, _ in points(folder(tmp_path, "outputs")) if name == "lr"]
        epochs.append((content["epoch"], known))
        save(content, file)

    monkeypatch.setattr(torch, "save", looking_save)
    train("epochs=3", "tracking.flush_seconds=1000")
    assert epochs == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]
