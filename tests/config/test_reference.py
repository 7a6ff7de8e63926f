"""What is said of each option is what its class says when it is asked itself."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fiducial.cli.command import run
from fiducial.config import GROUPS, Groups
from fiducial.config.docstring import meanings
from fiducial.config.reference import Part, Setting, parts
from fiducial.errors import InputError

ALL = [(group, option) for group in GROUPS for option in Groups.find().options(group)]


def of(group: str, option: str) -> dict[str, Setting]:
    return {one.key: one for part in parts(Groups.find(), group, option) for one in part.settings}


def as_inspected(part: Part) -> dict[str, Any]:
    module, _, name = part.target.rpartition(".")
    arguments = inspect.signature(getattr(import_module(module), name)).parameters.values()
    return {f"{part.path}.{one.name}": one.default for one in arguments}


@pytest.mark.parametrize("group", ["data", "model", "loss", "optimizer", "task", "augment", "hardware", "tracking"])
def test_defaults_are_those_that_python_sees(group: str) -> None:
    groups, compared = Groups.find(), 0
    for option in groups.options(group):
        own = groups.content(group, option)
        for part in parts(groups, group, option):
            inspected = as_inspected(part)
            for one in part.settings:
                default, name = inspected.get(one.key), one.key.rpartition(".")[2]
                if part.path == group and name not in own and isinstance(default, int | float):
                    compared += 1
                    assert float({"true": 1, "false": 0}.get(one.value, one.value)) == pytest.approx(float(default))
    assert compared > 0


def test_an_option_overrides_its_class() -> None:
    assert of("optimizer", "sgd")["optimizer.momentum"].value == "0.9"
    assert of("model", "plain_cnn")["model.widths"] == Setting(
        "model.widths", "a list of int", "[32, 64]", "channels of each block's convolution."
    )
    assert of("data", "drive")["data.source.validation"].value == "0.2"
    assert of("model", "unet")["model.in_channels"].value == "from the data or the task"


def test_an_empty_text_is_a_default_and_none_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    table = of("data", "table")
    assert (table["data.source.modality"].value, table["data.source.path"].value) == ("''", "")
    assert of("model", "center_point_segresnet")["model.backbone.norm_name"].value == "''"
    assert run("options", ["data", "--markdown"]) == 0
    page = capsys.readouterr().out
    assert "| `data.source.modality` | str | `''` |" in page
    assert "| `data.source.path` | str or Path | must be given |" in page


def test_own_classes_say_what_every_setting_means() -> None:
    untold = [
        (part.target, one.key)
        for group, option in ALL
        for part in parts(Groups.find(), group, option)
        for one in part.settings
        if part.target.startswith("fiducial.") and not one.meaning and not one.value.startswith(("from", "${"))
    ]
    assert untold == []


def test_docstrings_of_both_styles() -> None:
    text = "Add.\n\nArgs:\n    a: the first,\n        in mm.\n    b (int): the second.\n\nRaises:\n    E: never.\n"
    assert meanings(text) == {"a": "the first, in mm.", "b": "the second."}
    assert meanings("Args:\n    a: one.\n    b: two.\n\n") == {"a": "one.", "b": "two."}
    assert meanings(None) == {}


def test_the_page_in_docs_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("options", ["--markdown"]) == 0
    page = Path(__file__).parents[2] / "docs" / "reference.md"
    assert page.read_text() == capsys.readouterr().out, "run: fiducial options --markdown > docs/reference.md"


def test_one_option_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("options", ["model", "plain_cnn"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "model.kernel_size 3 extent of each convolution. (int)" in said
    with pytest.raises(InputError, match="did you mean plain_cnn"):
        run("options", ["model", "plain_cn"])
