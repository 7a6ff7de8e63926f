"""What `fiducial train` decides before it trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import forked
from fiducial.cli import train
from fiducial.cli.command import run
from fiducial.config import compose
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.sweeps import sweep

SOURCE = '''
from functools import cached_property
import numpy as np
from fiducial.data.source import Cases, Source, Spec


class Bars(Source):
    """Bright bars: lying or standing."""

    def __init__(self, *, size: int = 12, seed: int = 0) -> None:
        self.size, self.seed = size, seed

    @cached_property
    def spec(self) -> Spec:
        return Spec(1, 2, (self.size, self.size), "binary", ("lying", "standing"))

    @cached_property
    def cases(self) -> Cases:
        names = np.array([f"bar{n}" for n in range(24)])
        return Cases(names, names, np.repeat(["train", "val", "test"], 8), np.arange(24) % 2)

    def read(self, index: int) -> np.ndarray:
        image = np.random.default_rng([self.seed, index]).integers(0, 99, (1, self.size, self.size), dtype=np.uint8)
        image[0, index % self.size] = 255
        return image.swapaxes(1, 2) if index % 2 else image

    def fingerprint(self) -> dict[str, str]:
        return {"sha256": f"{self.size}-{self.seed}"}
'''
NETWORK = """
import torch


class Tiny(torch.nn.Module):
    def __init__(self, in_channels: int, num_outputs: int, width: int = 2) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(in_channels, width, 3)
        self.dense = torch.nn.Linear(width, num_outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.dense(self.conv(image).amax((2, 3)))
"""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record configurations instead of training them."""
    done: list[Any] = []
    monkeypatch.setattr(train, "_train", done.append)
    monkeypatch.setattr(sweep, "sweep", lambda plan: done.extend(job.composed for job in plan.jobs))
    return done


def test_every_combination_is_trained(trained: list[Any]) -> None:
    assert run("train", ["-m", "model=lenet,plain_cnn", "seed=0,1"]) == 0
    assert [(job.choices["model"], job.cfg.seed) for job in trained] == [
        *(("lenet", 0), ("lenet", 1), ("plain_cnn", 0), ("plain_cnn", 1))
    ]


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=breastmnist", "model=lenet,densenet121"],
        ["model=lenet", "optimizer.lr=0.1,abc"],
        ["model=lenet,resnet18", "model.dense=[8]"],
    ],
)
def test_all_runs_are_checked_before_the_first_starts(trained: list[Any], overrides: list[str]) -> None:
    with pytest.raises(InputError):
        run("train", ["-m", *overrides])
    assert trained == []


def test_flags_of_sweeps_are_refused_for_one_run(trained: list[Any]) -> None:
    for flag in (["--plan"], ["--max-hours", "1"]):
        with pytest.raises(InputError, match="add -m"):
            run("train", ["model=lenet", *flag])
    assert trained == []


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "runs"), [("y", 2), ("n", 0), (None, 0)])
def test_a_plan_that_takes_too_long_is_asked_about(
    trained: list[Any], monkeypatch: pytest.MonkeyPatch, answer: str | None, runs: int
) -> None:
    class Long:
        seconds = 7200.0

        def show(self) -> None:
            """Show nothing."""

    monkeypatch.setattr(train, "_estimate", lambda plan: Long())
    monkeypatch.setattr("sys.stdin.isatty", lambda: answer is not None, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    command = ["-m", "seed=0,1", "--max-hours", "1"]
    if runs:
        assert run("train", command) == 0
    else:
        with pytest.raises(InputError, match="nothing was run" if answer else "--yes"):
            run("train", command)
        assert run("train", [*command[:2], "--max-hours", "3"]) == 0
        trained.clear()
        assert run("train", [*command, "--yes"]) == 0
        runs = 2
    assert len(trained) == runs


def test_folder_to_resume_stands_alone(trained: list[Any]) -> None:
    with pytest.raises(InputError, match=r"goes on with that run as it is; it cannot be changed by epochs=3\."):
        run("train", ["resume=somewhere", "epochs=3"])
    with pytest.raises(InputError, match="stands alone"):
        run("train", ["-m", "resume=somewhere", "seed=0,1"])
    assert trained == []


def test_folder_to_resume_that_is_no_run(tmp_path: Path, fiducial: Any) -> None:
    answer = fiducial("train", "resume=somewhere")
    assert answer.code == 1
    assert "somewhere" in answer.message
    assert "torch" not in answer.heavy


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["tracking=server"], "set MLFLOW_TRACKING_URI or tracking.uri=http://host:5000"),
        (["tracking.flush_seconds=0"], "tracking.flush_seconds: expected a positive number of seconds, got 0"),
        (["tracking.uri=ftp://host"], "expected 'embedded', 'env', null or a URI starting with http"),
        (["-m", "seed=0,1", "launcher.limit_minutes=0"], "limit_minutes"),
    ],
)
def test_what_tracker_and_launcher_refuse_is_said_in_their_words(
    wrong: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError) as error:
        run("train", [*wrong, f"outputs={tmp_path}"])
    assert message in str(error.value)
    assert not list(tmp_path.rglob("run.json"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Options and classes of a user's own, in the current folder."""
    (tmp_path / "bars.py").write_text(SOURCE)
    (tmp_path / "tiny.py").write_text(NETWORK)
    options = tmp_path / "mine"
    (options / "data").mkdir(parents=True)
    (options / "model").mkdir()
    (options / "data" / "bars.yaml").write_text(
        "# Bars.\n_target_: fiducial.data.module.DataModule\nsource: {_target_: bars.Bars}\n"
    )
    (options / "model" / "tiny.yaml").write_text(
        "# Tiny.\n_target_: tiny.Tiny\nin_channels: ${data.spec.channels}\nnum_outputs: ${task.num_outputs}\n"
    )
    return options


def test_own_data_and_network_are_checked_without_importing_torch(own: Path, fiducial: Any) -> None:
    command = ["train", "--config-dir", "mine", "data=bars", "model=tiny"]
    answer = fiducial(*command, "model.width=3", "data.source.size=16", "--cfg", "job", "--resolve")
    assert (answer.code, answer.message, answer.heavy) == (0, "", ())
    assert "size:\n    - 16\n    - 16" in answer.output
    wrong = fiducial(*command, "model.widht=3")
    assert "model.widht: Tiny (model=tiny) has no such option; did you mean width?" in wrong.message
    missing = fiducial(*command, "model._target_=tiny.Tyni")
    assert "model._target_=tiny.Tyni: tiny has no Tyni; did you mean Tiny?" in missing.message
    unknown = fiducial("train", "data=bars")
    assert "data=bars: there is no such option" in unknown.message


@pytest.mark.slow
def test_own_data_and_network_train(own: Path, tmp_path: Path) -> None:
    command = ["train", "--config-dir", "mine", "data=bars", "model=tiny", "hardware=cpu", "epochs=1", "tracking=none"]
    done = forked.run(
        [sys.executable, "-m", "fiducial", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("outputs/runs/bars-tiny/*/scores.json"))


def test_a_run_whose_table_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    content = "path,label,split\n" + "".join(
        f"{n}.png,{'ab'[n % 2]},{['train', 'val', 'test'][n // 2]}\n" for n in range(6)
    )
    table.write_text(content)
    size = ["data.source.size=[16,16]", "data.source.channels=1", f"outputs={tmp_path / 'outputs'}"]
    composed = compose(["data=table", f"data.source.path={table}", *size])
    out = folder.create(composed, composed.identity())
    table.write_text(content.replace("4.png,a", "4.png,b"))
    with pytest.raises(InputError, match="began with another content of the files that list its cases"):
        run("train", [f"resume={out}"])
    table.write_text(content)
    with pytest.raises(InputError, match=r"0\.png"):  # it goes on, and finds no pictures
        run("train", [f"resume={out}", f"outputs={tmp_path / 'outputs'}"])
