"""Which runs are repetitions of one setting, and what tells settings apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fiducial.runs.comparison.member import of_folder
from fiducial.runs.comparison.origin import mixed
from fiducial.runs.comparison.setting import Setting, differing, labels, settings_of

Write = Callable[..., Path]


def grouped(*runs: Path) -> list[Setting]:
    return settings_of([of_folder(run) for run in runs])[0]


def names(settings: list[Setting]) -> list[str]:
    return labels(settings, differing(settings))


def test_seeds_folds_places_and_threads_are_no_settings(write: Write) -> None:
    runs = [
        write("a", seed=1, settings={"data.source.folder": "/here", "hardware.threads": 1}),
        write("a", seed=2, settings={"data.source.folder": "/there", "hardware.threads": 2, "tracking.uri": "x"}),
    ]
    assert len(grouped(*runs)) == 1
    assert len(grouped(*runs, write("a", seed=2, settings={"hardware.precision": "16-mixed"}))) == 2


def test_a_precision_that_is_the_default_is_named_beside_another(write: Write) -> None:
    cpu = {"hardware._target_": "fiducial.hardware.Hardware"}
    settings = grouped(write(settings=cpu), write(settings=cpu | {"hardware.precision": "fastest"}))
    assert names(settings) == ["precision=32-true", "precision=fastest"]


def test_the_same_experiment_twice_counts_once_the_later_one(write: Write) -> None:
    early, late = write("a"), write("a")
    os.utime(early / "scores.json", (1, 1))
    (setting,), notes = settings_of([of_folder(late), of_folder(early)])
    assert [member.name for member in setting.members] == [late.name]
    assert notes == ["repeated with the same settings and seed: 1 run; the later ones count"]


def test_what_follows_from_an_option_is_not_named(write: Write) -> None:
    runs = [write(model, settings={"optimizer.lr": lr}) for model in ("a", "b") for lr in (0.1, 0.01)]
    settings = grouped(*runs)
    assert differing(settings) == ["model", "optimizer.lr"]
    assert names(settings) == ["model=a lr=0.1", "model=a lr=0.01", "model=b lr=0.1", "model=b lr=0.01"]


def test_one_option_with_other_arguments(write: Write) -> None:
    settings = grouped(write("a", settings={"model.dropout": 0.5}), write("a"), write("b"))
    assert names(settings) == ["model=a dropout=0.5", "model=a", "model=b"]


def test_keys_that_end_alike_are_told_apart(write: Write) -> None:
    settings = grouped(*(write("a", settings={"optimizer.lr": lr, "loss.lr": lr}) for lr in (1, 2)))
    assert names(settings) == ["optimizer.lr=1 loss.lr=1", "optimizer.lr=2 loss.lr=2"]


def test_a_key_that_is_the_ending_of_another_is_named_whole(write: Write) -> None:
    settings = grouped(*(write("a", settings={"patience": n, "scheduler.patience": n}) for n in (1, 2)))
    assert names(settings) == ["patience=1 scheduler.patience=1", "patience=2 scheduler.patience=2"]


def test_runs_of_other_tables_are_other_settings(write: Write) -> None:
    old = [write("a", seed=seed, tables=["1" * 64]) for seed in (0, 1)]
    new = [write("a", seed=seed, tables=["2" * 64]) for seed in (1, 2)]
    settings = grouped(*old, *new)
    assert [len(setting.members) for setting in settings] == [2, 2]
    assert names(settings) == ["tables=11111111", "tables=22222222"]


def test_a_default_in_other_words_is_the_same_setting(write: Write) -> None:
    network = {"model._target_": "fiducial.models.plain_cnn.PlainCNN"}
    written = [write("a", seed=n, settings={**network, "model.dropout": value}) for n, value in enumerate((0, 0.0))]
    (setting,) = grouped(*written, write("a", seed=2, settings=network))
    assert len(setting.members) == 3


def test_a_default_written_out_is_the_same_setting(write: Write) -> None:
    cnn = {"model._target_": "fiducial.models.plain_cnn.PlainCNN"}
    given = {**cnn, "model.kernel_size": 3, "model.widths": [32, 64]}
    runs = [write("a", seed=1, settings=cnn), write("a", seed=2, settings=given)]
    assert len(grouped(*runs)) == 1
    settings = grouped(*runs, write("a", seed=1, settings={**cnn, "model.kernel_size": 5}))
    assert names(settings) == ["kernel_size=3", "kernel_size=5"]


ONE, OTHER, CHANGES = "1" * 40, "2" * 40, "3" * 16


def test_different_code_is_named(write: Write, came_of: Write) -> None:
    a = [came_of(write("a", seed=seed), commit=ONE, content="d" * 64) for seed in range(2)]
    b = [came_of(write("b"), commit=ONE, content="d" * 64), write("b", seed=1)]  # of the last nobody knows
    assert list(mixed(grouped(*a, *b))) == []
    b.append(came_of(write("b", seed=2), commit=OTHER, changes=CHANGES, content="d" * 64))
    assert list(mixed(grouped(*a, *b))) == [
        "runs of different code: fiducial 0.1.0, commit 11111111 (3 runs); fiducial 0.1.0, commit 22222222 with "
        "changes 33333333 (1 run), also among the repetitions of 1 setting; differences may come of that"
    ]
    (note,) = mixed(grouped(*a, b[-1]))
    assert "repetitions" not in note


def test_another_content_of_the_same_data_is_named(write: Write, came_of: Write) -> None:
    runs = [came_of(write("a", seed=seed), content=text * 64) for seed, text in enumerate("dde")]
    said = "runs on different content of the same data, by its hash: dddddddd (2 runs); eeeeeeee (1 run); differences"
    (note,) = mixed(grouped(*runs))
    assert note.startswith(said)
    (note,) = mixed(grouped(*runs[1:], came_of(write("b"), content="d" * 64)))
    assert note.startswith(said)
    larger = came_of(write("a", settings={"data.source.size": 64}), content="f" * 64)
    assert list(mixed(grouped(*runs[:2], larger))) == []  # asked for
