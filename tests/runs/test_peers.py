"""Data-parallel runs: two CPU processes give what one gives, and end together."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from omegaconf import OmegaConf

import forked
from fiducial.cli.command import main, run
from fiducial.errors import InputError
from fiducial.runs import peers
from fiducial.runs import train as training

pytestmark = [
    pytest.mark.slow,
    # torchmetrics' gathering and torch's own notes on gloo say nothing about this package
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Train = Callable[..., Path]
Weights = Callable[..., dict[str, torch.Tensor]]
Points = Callable[[Path], list[tuple[str, int, float]]]

NO_NORM = ("model.widths=[4]", "model.dense=[8]", "optimizer=sgd", "optimizer.lr=0.1", "epochs=2")
CASES = {
    # 25 training cases: the last batch has one, and the second process none that counts; 3 validation cases a batch;
    # class weights differ between the processes' parts
    "class weights, fewer cases than processes": (
        "data.batch_size=3", "data.source.num_subjects=41", "loss.weight=[1,7]",
    ),
    # 24 training cases: batches of 7, 7, 7 and 3
    "labels, accumulation and clipping": (
        "data.source.target=multilabel", "data.source.num_classes=3", "loss=bce", "loss.pos_weight=balanced",
        "data.batch_size=7", "hardware.accumulate=2", "hardware.clip_norm=0.1",
    ),
}  # fmt: skip


@pytest.fixture
def forked_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the other processes of this process's runs from a warm one; the command's own are fresh all the same."""
    forked.server()
    known = {name: getattr(subprocess, name) for name in ("DEVNULL", "TimeoutExpired")}
    monkeypatch.setattr(peers, "subprocess", SimpleNamespace(Popen=forked.Popen, **known))


@pytest.mark.usefixtures("forked_peers")
@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES.keys())
def test_two_processes_equal_one(overrides: tuple[str, ...], train: Train, weights: Weights, points: Points) -> None:
    one = train(*NO_NORM, *overrides, outputs="one")
    two = train(*NO_NORM, *overrides, "hardware=cpu_ddp", outputs="two")
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, atol=1e-6, rtol=0)
    assert torch.get_num_threads() == 1
    assert not torch.distributed.is_initialized()
    assert "LOCAL_RANK" not in os.environ
    measured, again = ({(name, step): value for name, step, value in points(out)} for out in (one, two))
    assert measured.keys() == again.keys()
    for key, value in measured.items():
        if key[0] != "train/loss_step":
            assert again[key] == pytest.approx(value, abs=1e-6, nan_ok=True), key
    assert not first_losses(points(one)) & first_losses(points(two)), "there are two"
    assert predictions(one).keys() == predictions(two).keys()
    for case, probabilities in predictions(one).items():
        assert predictions(two)[case] == pytest.approx(probabilities, abs=1e-5)
    assert not list(two.glob("process-*.log"))


def first_losses(points: list[tuple[str, int, float]]) -> set[tuple[int, float]]:
    """Return the loss of the first process's cases, step by step, to a part of what two processes differ by."""
    found = {(step, round(value, 5)) for name, step, value in points if name == "train/loss_step"}
    assert found
    return found


def predictions(out: Path) -> dict[str, list[float]]:
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = {row["case"]: [float(value) for name, value in row.items() if name.startswith("p_")] for row in rows}
    assert len(table) == len(rows), "each case once"
    assert all(table.values())
    return table


@pytest.mark.usefixtures("forked_peers")
def test_gradients_of_idle_parameters(train: Train, weights: Weights) -> None:
    """MONAI's ViT has parameters that no step uses."""
    network = ("model=vit", "model.hidden_size=12", "model.mlp_dim=12", "model.num_layers=1", "model.patch_size=8")
    options = ("optimizer=sgd", "optimizer.lr=0.01", "epochs=2")
    one = train(*options, network=network, outputs="one")
    two = train(*options, "hardware=cpu_ddp", network=network, outputs="two")
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("forked_peers")
def test_resumed_equals_uninterrupted(
    train: Train, weights: Weights, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("hardware=cpu_ddp", "model.dropout=0.5", "augment=light", "epochs=3")
    whole = train(*options, outputs="whole")
    from fiducial.checkpoints import Checkpoints

    save = Checkpoints.on_train_epoch_end

    def dying(self: Checkpoints, *args: object) -> None:
        save(self, *args)  # type: ignore[arg-type]
        if self.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_end", dying)
        with pytest.raises(KeyboardInterrupt):
            train(*options, outputs="killed")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning leaves it ignored
    out = train("resume=auto", *options, outputs="killed")
    assert all(torch.equal(value, weights(out)[name]) for name, value in weights(whole).items())
    assert points(whole) == points(out)


def test_one_after_the_other_in_one_command(tmp_path: Path) -> None:
    """Each job of a sweep starts a fresh second process; jobs themselves are forked in any case."""
    sweep = [sys.executable, *command(tmp_path, "-m", "seed=0,1", "epochs=1")]
    forked.run(sweep, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    assert len(list(tmp_path.glob("outputs/runs/*/*/scores.json"))) == 2


@pytest.mark.parametrize("first", [True, False])
def test_only_the_process_that_writes_the_checkpoint_looks_at_it(first: bool, tmp_path: Path) -> None:
    """The others come to the test before it is there, and wait for it in Lightning's."""
    asked: dict[str, Any] = {}
    trainer = SimpleNamespace(is_global_zero=first, test=lambda *_, **given: asked.update(given))
    task = SimpleNamespace(loaded_epoch=3)
    arguments: Any = (OmegaConf.create({"select": "best"}), tmp_path, task, trainer, None)
    if first:
        with pytest.raises(InputError, match=r"has no checkpoint best\.ckpt"):
            training.test(*arguments)
    else:
        assert training.test(*arguments) == 3
        assert asked["ckpt_path"] == tmp_path / "checkpoints" / "best.ckpt"


DYING = """
import os
from fiducial.errors import InputError
from fiducial.models.plain_cnn import PlainCNN
from fiducial.data.phantom import Phantom

class Net(PlainCNN):
    calls = 0
    def forward(self, image):
        self.calls += 1
        if self.calls == 3 and os.environ.get("LOCAL_RANK") == "1":
            os._exit(7)
        return super().forward(image)

class Source(Phantom):
    def pixels(self):
        if os.environ.get("LOCAL_RANK") == "1":
            os._exit(9)
        return super().pixels()

class Unreadable(Phantom):
    def pixels(self):
        if os.environ.get("LOCAL_RANK") == "1":
            raise InputError("this machine lacks image 17")
        return super().pixels()
"""


@pytest.mark.usefixtures("forked_peers")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model._target_=dying.Net", "process 1 of the run ended with code 7"),
        ("data.source._target_=dying.Source", "process 1 of the run ended with code 9"),
        ("data.source._target_=dying.Unreadable", "this machine lacks image 17"),
    ],
)
def test_process_that_dies(
    override: str,
    said: str,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Callable[[Path], str],
) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    started, before = time.monotonic(), set(psutil.Process().children(recursive=True))
    with pytest.raises(InputError, match=said):
        train(override, "hardware=cpu_ddp")
    assert time.monotonic() - started < 200
    (out,) = tmp_path.glob("outputs/runs/*/*")
    assert status(out) == "FAILED"
    assert set(psutil.Process().children(recursive=True)) <= before


def command(tmp_path: Path, *overrides: str) -> list[str]:
    return [
        "-m", "fiducial", "train", "hardware=cpu_ddp", "hardware.threads=1", "tracking=none",
        "data.source.num_subjects=40", "data.source.size=[8,8]", "data.batch_size=4", "model.widths=[4]",
        "objective=val/loss", f"outputs={tmp_path / 'outputs'}", *overrides,
    ]  # fmt: skip


def started(
    tmp_path: Path, popen: type[subprocess.Popen[bytes]]
) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """Start a long run; return it once it trains, with its other processes."""
    process = popen([sys.executable, *command(tmp_path, "epochs=100000")], stderr=subprocess.PIPE)
    end = time.monotonic() + 300
    while not list(tmp_path.glob("outputs/runs/*/*/checkpoints/previous.ckpt")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    return process, children


@pytest.mark.parametrize(
    ("number", "code", "ended", "group", "popen"),
    [
        pytest.param(signal.SIGTERM, 143, "KILLED", False, forked.Popen, id="SIGTERM to the first process"),
        pytest.param(signal.SIGINT, 130, "KILLED", True, forked.Popen, id="SIGINT to all"),
        pytest.param(signal.SIGKILL, -9, "RUNNING", False, subprocess.Popen, id="SIGKILL to the first process"),
    ],
)
def test_signals_end_all_processes(
    number: signal.Signals,
    code: int,
    ended: str,
    group: bool,
    popen: type[subprocess.Popen[bytes]],
    tmp_path: Path,
    status: Callable[[Path], str],
) -> None:
    """The other processes are fresh ones each time."""
    process, children = started(tmp_path, popen)
    if group:
        for child in children:
            child.send_signal(number)
    process.send_signal(number)
    _, said = process.communicate(timeout=200)
    assert process.returncode == code
    assert b"Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    (out,) = tmp_path.glob("outputs/runs/*/*")
    assert status(out) == ended


def test_torchrun(tmp_path: Path, weights: Weights, points: Points) -> None:
    """A launcher's two processes give what one gives."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    options = ("epochs=1", "optimizer=sgd", "optimizer.lr=0.1")
    subprocess.run([*launcher, *command(tmp_path / "two", *options)], check=True, timeout=300)
    (two,) = tmp_path.glob("two/outputs/runs/*/*/")
    assert (two / "scores.json").is_file()
    assert run("train", [*command(tmp_path / "one", *options, "hardware=cpu", "hardware.threads=1")[3:]]) == 0
    (one,) = tmp_path.glob("one/outputs/runs/*/*/")
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, atol=1e-6, rtol=0)
    assert not first_losses(points(one)) & first_losses(points(two)), "there are two"


def test_several_machines_need_a_launcher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "hardware.num_nodes=2", "tracking=none", f"outputs={tmp_path}", "data.source.num_subjects=10"])
    assert "torchrun" in capsys.readouterr().err
