"""From the command line to what Optuna draws from: every form of Hydra's grammar, and every way to get it wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fiducial.config import Groups
from fiducial.errors import InputError
from fiducial.sweeps.search.grammar import first_values, split
from fiducial.sweeps.search.samplers import distributions, texts

GROUPS = Groups.find()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model.dropout=0,0.2,0.5", CategoricalDistribution(("0", "0.2", "0.5"))),
        ("model.dropout=choice(0.1,0.2)", CategoricalDistribution(("0.1", "0.2"))),
        ("model=lenet,resnet18", CategoricalDistribution(("lenet", "resnet18"))),
        ("model=glob(resnet*)", CategoricalDistribution(("resnet18", "resnet50"))),
        ("model.widths=[4],[8,16]", CategoricalDistribution(("[4]", "[8,16]"))),
        ("model.batch_norm=true,false", CategoricalDistribution(("True", "False"))),
        ("optimizer.lr=interval(0.1,0.9)", FloatDistribution(0.1, 0.9)),
        ("optimizer.lr=interval(1,8)", FloatDistribution(1, 8)),
        ("optimizer.lr=tag(log, interval(1e-5,1e-1))", FloatDistribution(1e-5, 1e-1, log=True)),
        ("epochs=int(interval(2,9))", IntDistribution(2, 9)),
        ("epochs=tag(log, int(interval(2,64)))", IntDistribution(2, 64, log=True)),
        ("epochs=range(2,9)", IntDistribution(2, 8)),
        ("epochs=range(2,9,3)", IntDistribution(2, 8, step=3)),
        ("epochs=range(8,1,-3)", IntDistribution(2, 8, step=3)),
        ("epochs=tag(log, range(1,65))", IntDistribution(1, 64, log=True)),
        ("model.dropout=range(0,0.9,0.1)", FloatDistribution(0, 0.8, step=0.1)),
        ("+model.dropout=interval(0,0.5)", FloatDistribution(0, 0.5)),
    ],
)
def test_grammar(line: str, expected: BaseDistribution) -> None:
    base, space = split([line, "seed=3"], GROUPS)
    assert base == ["seed=3"]
    assert list(distributions(space).values()) == [expected]
    assert space.keys == [line.lstrip("+").partition("=")[0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimiser.lr=interval(0,1)", "there is no group or key 'optimiser'; did you mean optimizer?"),
        ("model=lenet,resnet81", "there is no such option; did you mean resnet18?"),
        ("optimizer.lr=interval(1,0.1)", "got a low of 1 above a high of 0.1"),
        ("optimizer.lr=interval(0,inf)", "expected finite bounds"),
        ("optimizer.lr=tag(log, interval(0,1))", "with the tag log the low bound must be above 0; got 0"),
        ("optimizer.lr=tag(lgo, interval(1e-3,1))", "got lgo; did you mean log?"),
        ("optimizer.lr=tag(log, choice(1,2))", "the tag log needs an interval or a range"),
        ("epochs=tag(log, range(1,9,2))", "a range is of integers with steps of 1; got steps of 2"),
        ("epochs=range(5,5)", "expected range(first, end, step) with a value in it"),
        ("epochs=shuffle(range(1,5))", "shuffle has no effect"),
        ("seed=0,1,2", "seed repeats a setting and is none itself"),
        ("data.fold=range(0,5)", "data.fold repeats a setting"),
        ("name=a,b", "name changes no result"),
        ("search.trials=1,2", "search.trials changes no result"),
        ("optimizer.lr=interval(0", "expected group=option or key=value"),
    ],
)
def test_refusals(line: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        split([line], GROUPS)
    assert message in str(raised.value)


def test_the_command_line_wins_over_what_is_kept() -> None:
    kept = {"optimizer.lr": "tag(log, interval(1e-4, 1e-2))", "model.dropout": [0, 0.5], "epochs": "range(1,5)"}
    base, space = split(["optimizer.lr=interval(0,1)", "epochs=7"], GROUPS, kept)
    assert base == ["epochs=7"]
    assert space.described() == {"model.dropout": "choice(0, 0.5)", "optimizer.lr": "interval(0, 1)"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimiser.lr", "interval(0,1)", "did you mean optimizer?"),
        ("optimizer.lr", "0.1", "search.space: optimizer.lr: expected values to try, such as interval("),
    ],
)
def test_what_is_kept_is_checked(key: str, value: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        split([], GROUPS, {key: value})
    assert message in str(raised.value)


def test_one_value_is_no_dimension() -> None:
    base, space = split(["epochs=range(3,4)", "optimizer.lr=interval(1,2)"], GROUPS)
    assert base == ["epochs=3"]
    assert space.keys == ["optimizer.lr"]


def test_grid_is_every_combination() -> None:
    _, space = split(["epochs=range(1,6,2)", "model.dropout=0,0.5", "optimizer.lr=range(0.1,0.35,0.1)"], GROUPS)
    assert [tuple(point.values()) for point in space.grid()] == [
        (epochs, dropout, lr) for epochs in "135" for dropout in ("0", "0.5") for lr in ("0.1", "0.2", "0.3")
    ]
    with pytest.raises(InputError, match=r"a grid needs values .* got log interval\(1, 2\)"):
        split(["optimizer.lr=tag(log,interval(1,2))"], GROUPS)[1].grid()


def test_values_survive_the_way_through_an_override() -> None:
    _, space = split(["optimizer.lr=interval(0,1)", "epochs=range(1,9)", "model=lenet,resnet18"], GROUPS)
    drawn = {"optimizer.lr": 0.1 + 0.2, "epochs": 7, "model": "lenet"}
    assert texts(space, drawn) == {"optimizer.lr": "0.30000000000000004", "epochs": "7", "model": "lenet"}


def test_first_values_make_one_run() -> None:
    lines = ["model=lenet,resnet18", "optimizer.lr=interval(0.1,1)", "epochs=3", "seed=2,1", "loss=glob(mse*)"]
    assert first_values(lines, GROUPS) == ["model=lenet", "optimizer.lr=0.1", "epochs=3", "seed=2", "loss=mse"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.dropuot=interval(0,0.5)", "PlainCNN (model=plain_cnn) has no such option; did you mean dropout?"),
        ("epochs=int(interval(0,5))", "epochs must be at least 1; got 0"),
        ("loss=cross_entropy,ordinal", "loss=ordinal"),
    ],
)
def test_every_choice_and_both_ends_must_be_runnable(line: str, message: str) -> None:
    base, space = split([line], GROUPS)
    with pytest.raises(InputError) as raised:
        space.check(base, None)
    assert message in str(raised.value)


def test_nothing_heavy_is_imported_before_the_space_is_checked() -> None:
    code = (
        "import sys; from fiducial.sweeps.search.sweeper import find; "
        "search = find(['search=tpe', 'optimizer.lr=interval(0.1,1)']); "
        "assert search is not None; print({'torch', 'optuna', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
