"""What the command line may say, and the runs that a sweep consists of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fiducial.config import Groups
from fiducial.config.overrides import jobs, prepare
from fiducial.errors import InputError


def test_keys_inside_components_may_be_new() -> None:
    lines = ["model.dropout=0.2", "+model.a=1", "~model.b", "trainer.max_steps=3", "epochs=3", "model=lenet"]
    assert prepare(lines, Groups.find()) == [
        *("++model.dropout=0.2", "+model.a=1", "~model.b", "++trainer.max_steps=3", "epochs=3", "model=lenet")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("modle=lenet", "there is no group or key 'modle'; did you mean model? (groups: data, model,"),
        ("epoch=3", "there is no group or key 'epoch'; did you mean epochs?"),
        ("optimiser.lr=3", "there is no group or key 'optimiser'; did you mean optimizer?"),
        ("model=resnet81", "model=resnet81: there is no such option; did you mean resnet18? (options of model: "),
        ("model=null", "model=null: there is no such option"),
        ("model=[lenet,resnet18]", "there is no such option"),
        ("~model", "~model: a run needs an option of each group (options of model: "),
        ("data", "expected group=option or key=value, got 'data'"),
        (
            "data.source.size=[28",
            "expected group=option or key=value, got 'data.source.size=[28': the bracket [ is not",
        ),
        ("data.source.size=28]", "the bracket ] closes nothing"),
        ("name='a", "the quote ' is not closed"),
        ("data.source.path=a(1)ä.csv", "'(' is not taken as it stands. A text with such letters"),
        ("hydra.run.dir=x", "its own settings have no effect"),
        ("hydra/launcher=x", "its own settings have no effect"),
        ("seed=0,1", "seed=0,1 gives values for several runs: add -m"),
        ("model=lenet,plain_cnn", "add -m"),
    ],
)
def test_refusals(line: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        prepare([line], Groups.find())
    assert message in str(raised.value)


@pytest.mark.parametrize("line", ["experiment=null", "~experiment", "debug=null", "resume=null"])
def test_nothing_can_be_picked_where_nothing_is_needed(line: str) -> None:
    assert prepare([line], Groups.find()) == [line]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("name=dät", "dät"),
        ("name=a b;c", "a b;c"),
        ("name=it´s", "it´s"),
        ("name='a,b'", "a,b"),
        ("data.source.size=[28,28]", [28, 28]),
        ("seed=3", 3),
        ("data_dir=${oc.env:HOME}", "${oc.env:HOME}"),
    ],
)
def test_letters_that_the_grammar_lacks_are_quoted(line: str, value: object) -> None:
    (found,) = prepare([line], Groups.find())
    assert OverridesParser.create().parse_override(found.lstrip("+")).value() == value


def test_the_name_of_a_file_is_one_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a,b.csv", "c (1).csv", "d=e.csv", "f's.csv"]
    for name in names:
        (tmp_path / name).touch()
        (found,) = prepare([f"data.source.path={name}"], Groups.find())
        assert OverridesParser.create().parse_override(found.lstrip("+")).value() == name
        assert len(jobs([f"data.source.path={name}"], Groups.find())) == 1
    assert len(jobs(["data.source.path=a,c.csv"], Groups.find())) == 2


def test_jobs_are_all_combinations() -> None:
    found = jobs(["data=phantom", "model=lenet,plain_cnn", "seed=range(3)", "model.dense=[64],[32,16]"], Groups.find())
    assert len(found) == 2 * 3 * 2
    assert len({tuple(job) for job in found}) == len(found)
    assert found[0] == ["data=phantom", "model=lenet", "seed=0", "model.dense=[64]"]
    assert found[-1] == ["data=phantom", "model=plain_cnn", "seed=2", "model.dense=[32,16]"]


def test_jobs_of_a_pattern() -> None:
    found = jobs(["model=glob(resnet*)"], Groups.find())
    assert found == [["model=resnet18"], ["model=resnet50"]]


def test_last_of_two_settings_wins() -> None:
    assert jobs(["seed=0,1", "seed=5"], Groups.find()) == [["seed=5"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model=lenet,resnet81", "did you mean resnet18?"),
        ("optimizer.lr=interval(0,1)", "expected values to try"),
        ("sed=0,1", "did you mean seed?"),
    ],
)
def test_jobs_are_checked(line: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        jobs([line], Groups.find())
    assert message in str(raised.value)
