from __future__ import annotations

from fiducial.sweeps import axes

JOBS = [
    axes.values([f"model={model}", "++optimizer.lr=1e-3", f"optimizer.lr={lr}", f"seed={seed}", "epochs=3"])
    for model in ("lenet", "resnet18")
    for lr in ("0.1", "0.2")
    for seed in ("0", "1")
]


def test_what_differs_is_named_and_repetitions_are_told_from_settings() -> None:
    keys = axes.varied(JOBS)
    assert keys == ["model", "optimizer.lr", "seed"]
    assert axes.title(JOBS[5], keys) == "model=resnet18 lr=0.1 seed=1"
    assert axes.setting(JOBS[5], keys) == "model=resnet18 lr=0.1"
    assert len({axes.setting(job, keys) for job in JOBS}) == 4
    assert axes.setting({"seed": "1", "data.fold": "2"}, ["seed", "data.fold"]) == ""


def test_names_that_would_be_the_same_stay_whole() -> None:
    assert axes.short(["loss.weight", "optimizer.weight", "model.depth"]) == {
        "loss.weight": "loss.weight",
        "optimizer.weight": "optimizer.weight",
        "model.depth": "depth",
    }


def test_a_key_that_only_some_jobs_give_differs() -> None:
    jobs = [{"model": "lenet"}, {"model": "lenet", "model.dropout": "0.5"}]
    assert axes.varied(jobs) == ["model.dropout"]
    assert axes.title(jobs[1], ["model.dropout"]) == "dropout=0.5"
    assert axes.title(jobs[0], ["model.dropout"]) == ""
