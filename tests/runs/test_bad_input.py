"""Input that cannot be used: one message, a FAILED run, exit code 1, and no stack trace unless asked for."""

from __future__ import annotations

import csv
import errno
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fiducial.checkpoints import Checkpoints
from fiducial.cli.command import main
from fiducial.runs.outcome import Outcome
from fiducial.tasks.base import Task

Fails = Callable[..., str]

TINY = (
    "hardware=cpu", "hardware.threads=1", "tracking=none", "tracking.system_metrics_seconds=0",
    "data.batch_size=5", "epochs=2", "objective=val/loss",
)  # fmt: skip
PHANTOM = ("data.source.num_subjects=30", "data.source.size=[8,8]", "model.widths=[4]")


@pytest.fixture
def fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: Callable[[Path], str],
    tags: Callable[[Path], dict[str, str]],
) -> Fails:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])

    def fails(*overrides: str) -> str:
        """Run the command; return its one message, after checking all that a failure promises."""
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["train", *TINY, f"outputs={tmp_path / 'outputs'}", *overrides])
        said = capfd.readouterr().err
        assert ended.value.code == 1
        assert "Traceback" not in said
        message = said[said.index("fiducial: ") :].removeprefix("fiducial: ").strip()
        (out,) = (tmp_path / "outputs").glob("runs/*/*")
        assert status(out) == "FAILED"
        assert tags(out)["fiducial.error"].strip() == message
        assert "fiducial.command" in tags(out), "what failed is known without its folder"
        traceback = (out / "tracking" / "files" / "traceback.txt").read_text()
        assert "Traceback (most recent call last)" in traceback
        return message

    return fails


TASK = """
from fiducial.tasks.classification import Classification

class Own(Classification):
    pass
"""


@pytest.mark.parametrize("scheduler", ["none", "plateau"])
def test_an_objective_that_a_task_of_ones_own_has_not(scheduler: str, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "own_task.py").write_text(TASK)
    own = ("task._target_=own_task.Own", f"scheduler={scheduler}", "objective=val/acc")
    assert "objective=val/acc: there is no such metric; did you mean val/auroc" in fails(*PHANTOM, *own)


def test_loss_that_becomes_nan(fails: Fails) -> None:
    message = fails(*PHANTOM, "optimizer=sgd", "optimizer.lr=1e20")
    assert "the train loss became" in message
    assert "epoch 1, step" in message
    assert "optimizer.lr" in message


def test_loss_that_becomes_nan_between_the_steps_looked_at(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU not every step is looked at; each epoch's mean is."""
    refuse = Task._refuse_nan

    def only_means(self: Task, loss: float, stage: str, where: str = "") -> None:
        if not where:
            refuse(self, loss, stage)

    monkeypatch.setattr(Task, "_refuse_nan", only_means)
    assert "loss became nan in epoch 1." in fails(*PHANTOM, "optimizer=sgd", "optimizer.lr=1e20")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the test says is missing")
@pytest.mark.parametrize("hardware", ["gpu", "multi_gpu", "fsdp"])
def test_gpu_where_there_is_none(hardware: str, fails: Fails) -> None:
    message = fails(*PHANTOM, f"hardware={hardware}")
    assert "0 CUDA devices" in message
    assert "hardware=cpu fits" in message


SOURCE = """
import numpy as np
from dataclasses import replace
from fiducial.data.phantom import Phantom

class Faulty(Phantom):
    def __init__(self, *, fault, **options):
        super().__init__(**options)
        self.fault = fault

    @property
    def cases(self):
        cases = Phantom.cases.func(self)
        split, label, case = cases.split.copy(), cases.label.copy(), cases.case.copy()
        if self.fault == "empty split":
            split[split == "val"] = "train"
        if self.fault == "label":
            label[3] = 2
        if self.fault == "subject":
            split[:2] = "train", "test"
        if self.fault == "case":
            case[1] = case[0]
        if self.fault == "class":
            label[split == "train"] = 0
        if self.fault == "one class":
            label[split == "val"] = 0
        return replace(cases, split=split, label=label, case=case)

    def pixels(self):
        pixels = super().pixels().astype(np.float32) / 255
        if self.fault == "pixels":
            pixels[self.cases.where("train")[4], 0, 2, 3:5] = np.nan
        return pixels
"""


@pytest.mark.parametrize(
    ("fault", "overrides", "said"),
    [
        ("empty split", (), ("every split needs cases", "val")),
        ("label", (), ("labels must be 0 to 1", "phantom/subject00001/01: 2")),
        ("subject", (), ("a subject must be in one split only", "subject00000 (train, test)")),
        ("case", (), ("case ids must be unique", "phantom/subject00000/00")),
        ("pixels", (), ("phantom/subject", "2 of 64 pixels are NaN or infinite")),
        ("class", ("loss.weight=balanced",), ("loss.weight=balanced", "no training case is of class lesion")),
        (
            "one class",
            ("objective=val/auroc",),
            ("objective=val/auroc is undefined", "one class", "objective=val/loss"),
        ),
    ],
)
def test_faulty_source(
    fault: str, overrides: tuple[str, ...], said: tuple[str, ...], fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "faulty_source.py").write_text(SOURCE)
    message = fails(*PHANTOM, "data.source._target_=faulty_source.Faulty", f"+data.source.fault={fault}", *overrides)
    for words in said:
        assert words in message


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 12 image files."""
    path = tmp_path / "cases.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number in range(12):
            image = Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8))
            image.save(tmp_path / f"image{number:02d}.png")
            writer.writerow(
                [f"image{number:02d}.png", "ab"[number % 2], ("train", "train", "val", "test")[number // 3]]
            )
    return path


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("harm", ["missing", "empty", "truncated"])
def test_image_that_cannot_be_read(workers: int, harm: str, table: Path, fails: Fails) -> None:
    overrides = ["data=table", f"data.source.path={table}", "data.source.size=[8,8]", "model.widths=[4]"]
    image = table.parent / "image04.png"
    content = image.read_bytes()
    image.unlink()
    if harm != "missing":
        image.write_bytes(content[: len(content) // 2] if harm == "truncated" else b"")
    message = fails(*overrides, "data.source.pack=false", f"data.num_workers={workers}")
    assert "image04.png" in message
    assert len(message.splitlines()) == 1, "no worker's stack trace"


def full_disk(*args: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "save", full_disk)
    message = fails(*PHANTOM)
    assert "last.ckpt could not be written: No space left on device" in message
    assert "free some space and resume" in message


@pytest.mark.parametrize("place", [(Checkpoints, "on_train_epoch_end"), (Outcome, "save")])
def test_full_disk_of_other_files(place: tuple[type, str], fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*place, full_disk)
    message = fails(*PHANTOM)
    assert re.search(r"outputs/runs/.* could not be written: No space left on device \(\d+ MiB are free", message)
    assert "free some space and resume" in message


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 64 KiB, as `ulimit -f` does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_file_that_may_not_grow(fails: Fails, tmp_path: Path) -> None:
    message = fails(*PHANTOM, "model.dense=[512]")
    assert "last.ckpt could not be written: File too large" in message
    assert not list(tmp_path.glob("outputs/runs/*/*/checkpoints/*")), "nothing half written stays"


def test_full_disk_leaves_the_epoch_before(fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, calls = torch.save, []

    def second_fails(content: Any, file: Any) -> None:
        calls.append(None)
        full_disk() if len(calls) == 2 else save(content, file)

    monkeypatch.setattr(torch, "save", second_fails)
    fails(*PHANTOM)
    (previous,) = tmp_path.glob("outputs/runs/*/*/checkpoints/previous.ckpt")
    assert torch.load(previous, weights_only=True)["epoch"] == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore"), "the GPU's memory is full"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried …"),
         "this machine's memory is full"),
    ],
)  # fmt: skip
def test_full_memory(error: Exception, said: str, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*args: Any) -> None:
        raise error

    monkeypatch.setattr(Task, "training_step", step)
    message = fails(*PHANTOM)
    assert said in message
    assert "data.batch_size" in message
    assert len(message.splitlines()) == 1


SINGLE_PIXEL = ("data.source.num_subjects=30", "data.source.size=[8,8]", "model=resnet18", "model.widths=[4,4,4,4]")


def test_training_on_one_case_at_a_time_with_batch_normalisation_of_one_pixel(fails: Fails) -> None:
    message = fails(*SINGLE_PIXEL, "data.batch_size=1")
    assert "Expected at least two cases" in message
    assert "data.batch_size" in message


def test_one_case_left_over_is_trained(tmp_path: Path) -> None:
    overrides = (*SINGLE_PIXEL, "data.source.images_per_subject=1", "data.batch_size=17", "epochs=1")
    with pytest.raises(SystemExit) as ended:
        main(["train", *TINY, f"outputs={tmp_path / 'outputs'}", *overrides])
    assert ended.value.code == 0
    (checkpoint,) = (tmp_path / "outputs").glob("runs/*/*/checkpoints/last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 1, "18 cases are one batch"


def test_trace_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fiducial.errors import InputError

    with pytest.raises(InputError, match="the train loss became"):
        main(["train", "--trace", *TINY, *PHANTOM, f"outputs={tmp_path}", "optimizer=sgd", "optimizer.lr=1e20"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hardware.num_nodes=2", "torchrun"),
        ("hardware.strategy=fsdp", "hardware=fsdp needs CUDA GPUs"),
    ],
)
def test_options_that_cannot_be(override: str, said: str, fails: Fails) -> None:
    assert said in fails(*PHANTOM, *override.split())
