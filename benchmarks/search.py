"""What a search costs beside the runs: seconds per trial, 200 trials of a run that does nothing.

    python benchmarks/search.py [--trials 200] [--rounds 3] [--sampler tpe]

Beside Optuna's own `study.optimize` over the same space, sampler and SQLite storage, the objective computed at once.
Fiducial's part is all that a sweep does for a trial but starting the process: it asks for settings, makes the job's
overrides and title, reads the objective from the run's folder, tells it, and keeps which folder was whose. The two
take turns in one process, each on a fresh database.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution

from fiducial.sweeps.job import Ending
from fiducial.sweeps.search.samplers import distributions
from fiducial.sweeps.search.sweeper import find

SPACE = ("optimizer.lr=tag(log, interval(1e-5,1e-1))", "model.dropout=interval(0,0.7)", "model.dense=[8],[16],[32]")


def loss(lr: float, dropout: float) -> float:
    return (math.log10(lr) + 3) ** 2 + (dropout - 0.2) ** 2


def fiducial(folder: Path, sampler: str, num_trials: int) -> float:
    """Return the seconds that a search takes for all its trials."""
    settings = [f"outputs={folder}", "objective=val/loss", f"search={sampler}", f"search.trials={num_trials}"]
    search = find([*settings, *SPACE])
    assert search is not None
    remaining = len(search)  # makes the database
    assert remaining == num_trials
    begin = time.perf_counter()
    for spec in search.specs():
        given = dict(line.split("=", 1) for line in spec.overrides)
        value = loss(float(given["optimizer.lr"]), float(given["model.dropout"]))
        out = folder / "runs" / str(spec.number)
        out.mkdir(parents=True)
        (out / "scores.json").write_text(json.dumps({"epoch": 0, "objective": {"name": "val/loss", "value": value}}))
        search.ended(Ending(spec.number, "done", str(out)))
    seconds = time.perf_counter() - begin
    search.close()
    assert len(search) == 0
    return seconds


def peer(folder: Path, sampler: str, num_trials: int, space: dict[str, BaseDistribution]) -> float:
    """Return the seconds that Optuna's own loop takes."""
    kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
        dropout = trial.suggest_float("model.dropout", 0, 0.7)
        trial.suggest_categorical("model.dense", space["model.dense"].choices)  # type: ignore[attr-defined]
        return loss(lr, dropout)

    study = optuna.create_study(storage=f"sqlite:///{folder / 'peer.db'}", sampler=kinds[sampler](seed=0))
    begin = time.perf_counter()
    study.optimize(objective, num_trials)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        search = find([f"outputs={temporary}", f"search={args.sampler}", *SPACE])
        assert search is not None
        space = distributions(search.question.space)
        ours, theirs = [], []
        for number in range(args.rounds):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            ours.append(fiducial(folder, args.sampler, args.trials) / args.trials)
            theirs.append(peer(folder, args.sampler, args.trials, space) / args.trials)
            print(
                f"round {number}: Fiducial {1e3 * ours[-1]:6.1f} ms a trial, Optuna {1e3 * theirs[-1]:6.1f}", flush=True
            )
    one, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"median of {args.rounds}: Fiducial {1e3 * one:.1f} ms a trial, Optuna's loop {1e3 * other:.1f}: "
        f"{one / other:.2f} ×, {1e3 * (one - other):.1f} ms more"
    )


if __name__ == "__main__":
    main()
