"""Options are found in the user's own folder first, then among those that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from fiducial.config import GROUPS, Groups, conf_dir
from fiducial.config.schema import PRESETS
from fiducial.errors import InputError


@pytest.fixture
def own(tmp_path: Path) -> Groups:
    (tmp_path / "model").mkdir()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "model" / "_base.yaml").write_text("contract: {requires: {a.b: [1]}}\nwidth: 3\n")
    (tmp_path / "model" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults: [_base, _self_]\ncontract: {requires: {a.c: [2]}}\n"
    )
    (tmp_path / "model" / "lenet.yaml").write_text("# Another LeNet.\n_target_: a.B\n")
    (tmp_path / "experiment" / "study.yaml").write_text(
        "defaults:\n  - override /model: mine\n  - override /loss@_global_.loss: bce\n"
    )
    return Groups.find(str(tmp_path))


def test_every_group_has_options_with_a_title() -> None:
    groups = Groups.find()
    for group, options in groups.all().items():
        assert options, group
        for option in options:
            assert len(groups.title(group, option)) > 10, f"{group}={option}"


def test_no_option_is_of_an_unknown_group() -> None:
    assert {folder.name for folder in conf_dir().iterdir() if folder.is_dir()} == set(GROUPS)


def test_every_group_has_a_default() -> None:
    groups = Groups.find()
    defaults = {group: groups.default(group) for group in GROUPS}
    assert {group for group, option in defaults.items() if option is None} == set(PRESETS)
    assert all(option in groups.options(group) for group, option in defaults.items() if option)


def test_own_options_come_first(own: Groups) -> None:
    assert {"mine", "lenet", "resnet18"} <= set(own.options("model"))
    assert "_base" not in own.options("model")
    assert own.title("model", "lenet") == "Another LeNet."
    assert own.title("model", "mine") == "Mine."


def test_content_lies_over_that_of_its_base(own: Groups) -> None:
    assert own.content("model", "mine") == {"width": 3, "contract": {"requires": {"a.b": [1], "a.c": [2]}}}


def test_picks_of_a_preset(own: Groups) -> None:
    assert own.picks("experiment", "study") == {"model": "mine", "loss": "bce"}
    assert own.picks("model", "lenet") == {}


def test_folder_that_is_not_there() -> None:
    with pytest.raises(InputError, match="--config-dir must name a folder of config groups; got 'nowhere'"):
        Groups.find("nowhere")


def test_an_option_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="model=resnet81: there is no such option; did you mean resnet18"):
        Groups.find().path("model", "resnet81")
