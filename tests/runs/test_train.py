from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import forked
from fiducial.cli.command import run
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.sweeps.search.results import values_of

Train = Callable[..., Path]
Points = Callable[[Path], list[tuple[str, int, float]]]

EASY = (
    "data.source.num_subjects=250", "data.source.difficulty=0", "data.source.noise=0.02", "data.batch_size=16",
    "optimizer.lr=0.01", "epochs=12",
)  # fmt: skip
TINY = (
    "hardware=cpu", "hardware.threads=1", "tracking=none", "objective=val/loss", "data.batch_size=5",
    "data.source.num_subjects=40", "data.source.images_per_subject=1", "data.source.size=[16,16]",
)  # fmt: skip
SMALL = ("model.widths=[4]", "model.dense=[8]")
NETWORK = ("model.widths=[8,16]", "model.dense=[16]")
TASKS = {
    "binary, softmax": (),
    "binary, sigmoid": ("loss=bce",),
    "binary, focal": ("loss=focal_sigmoid",),
    "binary, mean squared error": ("loss=mse",),
    "multiclass": ("data.source.target=multiclass", "data.source.num_classes=3"),
    "multiclass, focal": ("data.source.target=multiclass", "data.source.num_classes=3", "loss=focal"),
    "multilabel": ("data.source.target=multilabel", "data.source.num_classes=2", "loss=bce"),
    "ordinal": ("data.source.target=ordinal", "data.source.num_classes=3", "loss=ordinal"),
    "ordinal, softmax": ("data.source.target=ordinal", "data.source.num_classes=3"),
    "imbalanced, sampling": ("data.source.prior=[0.85,0.15]", "data.sampling=balanced"),
    "imbalanced, weights": ("data.source.prior=[0.85,0.15]", "loss.weight=balanced"),
}


def scores(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "scores.json").read_text())
    return content


def curve(points: list[tuple[str, int, float]], name: str) -> list[float]:
    return [value for metric, _, value in points if metric == name]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", TASKS.values(), ids=TASKS.keys())
def test_every_kind_of_label_is_learned(overrides: tuple[str, ...], train: Train, points: Points) -> None:
    out = train(*EASY, *overrides, network=NETWORK)
    losses = curve(points(out), "train/loss")
    assert losses[-1] < 0.8 * losses[0]
    assert scores(out)["scores"]["auroc"]["value"] > 0.8


@pytest.mark.parametrize("objective", ["val/loss", "val/accuracy"])
def test_best_checkpoint_follows_the_validation_split(
    objective: str, train: Train, points: Points, tags: Callable[[Path], dict[str, str]]
) -> None:
    out = train("optimizer.lr=0.05", f"objective={objective}", "epochs=5", "seed=2")
    values = curve(points(out), objective)
    expected = values.index(min(values) if objective == "val/loss" else max(values))
    assert scores(out)["epoch"] == expected
    assert torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == expected
    assert tags(out)["fiducial.select"] == "best"
    assert tags(out)["fiducial.objective"] == objective


def test_a_search_finds_its_objectives_without_a_store_too(whole: Path, points: Points) -> None:
    epoch = folder.scores(whole)["epoch"]
    losses = {step: value for name, step, value in points(whole) if name == "val/loss"}
    aurocs = {step: value for name, step, value in points(whole) if name == "val/auroc"}
    found = values_of(whole, ["val/auroc", "val/loss", "parameters"])
    assert found[:2] == [aurocs[epoch], losses[epoch]]
    assert found[2] > 0


def test_last_checkpoint_where_it_is_asked_for(train: Train, tags: Callable[[Path], dict[str, str]]) -> None:
    out = train("optimizer=sgd", "optimizer.lr=2", "select=last", "epochs=5")
    assert scores(out)["epoch"] == 4
    assert scores(out)["select"] == "last"
    assert tags(out)["fiducial.select"] == "last"


def test_test_scores_are_those_of_the_selected_weights(train: Train) -> None:
    """`evaluate` loads the checkpoint anew, in another trainer."""
    out = train("epochs=3")
    assert run("evaluate", [str(out)]) == 0
    (again,) = out.glob("evaluations/*")
    assert scores(again) == scores(out)
    assert (again / "predictions.csv").read_text() == (out / "predictions.csv").read_text()


def test_another_checkpoint_is_reported_as_what_it_is(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    out = train("optimizer=sgd", "optimizer.lr=3", "seed=1", "epochs=5")
    assert scores(out)["epoch"] < 4
    capsys.readouterr()
    assert run("evaluate", [str(out), "--checkpoint", "last"]) == 0
    (again,) = out.glob("evaluations/*")
    assert (scores(again)["select"], scores(again)["epoch"]) == ("last", 4)
    assert "epoch 5 of 5 (the last)" in capsys.readouterr().out


def test_patience_ends_training(train: Train, points: Points) -> None:
    out = train("optimizer=sgd", "optimizer.lr=3", "patience=2", "epochs=20", "seed=1")
    losses = curve(points(out), "val/loss")
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2 < 20


def test_plateau_divides_the_learning_rate_when_the_objective_stands(train: Train, points: Points) -> None:
    out = train("scheduler=plateau", "scheduler.patience=0", "optimizer=sgd", "optimizer.lr=3", "epochs=8", "seed=1")
    losses, rates = curve(points(out), "val/loss"), curve(points(out), "lr")
    rate, best, expected = 3.0, float("inf"), []
    for loss in losses:
        expected.append(rate)
        if loss < best * (1 - 1e-4):
            best = loss
        else:
            rate /= 10
    assert rates == pytest.approx(expected)
    assert rates[-1] < 3


def test_full_batch_takes_one_step_an_epoch(train: Train) -> None:
    out = train("optimizer=full_batch", "data.batch_size=full", "epochs=3")
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.parametrize("rest", [(), ("epochs=1", "optimizer=full_batch", "optimizer.lr=0.3", "data.batch_size=full")])
def test_accumulated_batches_are_one_batch(rest: tuple[str, ...], train: Train, weights: Any) -> None:
    """Of 24 cases 7, 7 and 7, 3 are two steps, as 14 and 10 are; one batch alone is not halved."""
    network = ("model.widths=[4]", "model.dense=[4]", "optimizer=sgd", "optimizer.lr=0.3", "epochs=2")
    sizes = () if rest else ("data.batch_size=7",)
    one = train(*network, *([] if rest else ["data.batch_size=14"]), *rest, outputs="one")
    several = train(*network, *sizes, *rest, "hardware.accumulate=2", outputs="several")
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(several)[name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_debug_overfit_reaches_no_loss(train: Train, points: Points) -> None:
    out = train("debug=overfit", "objective=train/loss", "epochs=200", "optimizer.lr=0.02")
    losses = curve(points(out), "train/loss")
    assert losses[-1] <= 0.01 < losses[-2]
    assert scores(out)["epoch"] == len(losses) - 1


def test_debug_overfit_fails_where_it_must(train: Train, tmp_path: Path, status: Callable[[Path], str]) -> None:
    with pytest.raises(InputError, match=r"train/loss was to reach 0.01, and its best is 0\.\d+ after 4 epochs"):
        train("debug=overfit", "objective=train/loss", "optimizer.lr=1e-6")
    (out,) = tmp_path.glob("outputs/runs/*/*")
    assert status(out) == "FAILED"


def test_debug_fast_takes_one_batch_of_each_stage(train: Train) -> None:
    """Also where one batch holds one class only, so that AUROC has no value."""
    out = train("debug=fast", "data.batch_size=1", "epochs=1")
    assert scores(out)["cases"] == 1
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 1
    written = json.loads((out / "scores.json").read_text(), parse_constant=pytest.fail)  # no NaN, which is not JSON
    assert written["scores"]["auroc"]["value"] is None
    assert math.isnan(folder.scores(out)["scores"]["auroc"]["value"])


def test_debug_profile_leaves_a_trace_and_a_table(train: Train) -> None:
    out = train("debug=profile", "epochs=1")
    events = json.loads((out / "profile" / "trace.json").read_text())["traceEvents"]
    assert any(event.get("name") == "aten::convolution" for event in events)
    assert "aten::convolution" in (out / "profile" / "operators.txt").read_text()
    logged = [json.loads(line) for line in (out / "tracking" / "journal.jsonl").read_text().splitlines()]
    artifacts = {event["path"] for event in logged if event["event"] == "artifact"}
    assert {"profile/trace.json", "profile/operators.txt"} <= artifacts


def test_nothing_of_lightning_is_printed(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    train("epochs=1")
    said = capfd.readouterr()
    lines = [line for line in said.err.splitlines() if line.strip()]
    assert [line[:9] for line in lines] == ["epoch 1/1"]
    for word in ("GPU available", "Tip", "Restoring", "Loaded model", "weights_only"):
        assert word not in said.out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["phantom_3d", "phantom_sequence"])
def test_fast_layout_with_volumes_and_sequences(kind: str, train: Train) -> None:
    """Channels-last is a layout of pictures: volumes go through as they are."""
    sequence = kind == "phantom_sequence"
    network = ("model=cnn_rnn", "model.widths=[8]", "model.hidden=4") if sequence else SMALL
    given = (f"data={kind}", "data.source.size=[8,16,16]", "epochs=1", "data.batch_size=5")
    plain, fast = (train(*given, f"hardware={name}", outputs=name, network=network) for name in ("cpu", "cpu_fast"))
    assert scores(fast)["loss"] == pytest.approx(scores(plain)["loss"], rel=0.02)  # bfloat16 where there is it


@pytest.mark.slow
def test_compiled_network_has_the_same_checkpoint(train: Train, tmp_path: Path) -> None:
    """In a process of its own, without the checks of shapes that tests add: these cannot be compiled."""
    # equal batches, 24 and 8 and 8 cases in all: nothing is compiled twice
    options, outputs = ("epochs=1", "optimizer=sgd", "data.batch_size=8"), tmp_path / "compiled"
    plain = train(*options)
    command = [sys.executable, "-m", "fiducial", "train", *TINY, *SMALL, *options]
    forked.run([*command, "hardware.compile=true", f"outputs={outputs}"], check=True, capture_output=True)
    (compiled,) = outputs.glob("runs/*/*")
    one, other = (torch.load(out / "checkpoints" / "last.ckpt", weights_only=True) for out in (plain, compiled))
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][name], value, atol=1e-5, rtol=0)
    assert run("evaluate", [str(compiled), "hardware.compile=false"]) == 0
