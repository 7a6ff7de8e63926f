"""Which overrides of a run still hold where other options are named: expectations written out by hand."""

from __future__ import annotations

import pytest

from fiducial.config import Groups, compose
from fiducial.config.change import carried_over


def change(own: list[str], changes: list[str]) -> tuple[dict, list[str]]:
    """Return the settings of the changed run, and what was dropped."""
    before = compose(own)
    lines, dropped = carried_over(before.overrides, changes, before.resolved(), before.choices, Groups.find())
    return compose(lines).settings(), dropped


@pytest.mark.parametrize(
    ("own", "changes", "dropped"),
    [
        # Of another class: gone. Of the data module, which both have: kept.
        (["data.source.size=[32,32]", "data.batch_size=8"], ["data=breastmnist"], ["data.source.size=[32,32]"]),
        (["data.fold=1", "data.allow=[near_duplicates]"], ["data=breastmnist"], None),
        # Of the same class: kept.
        (["data=breastmnist", "data.source.size=64"], ["data=pneumoniamnist"], []),
        (["loss.weight=balanced"], ["loss=focal"], ["loss.weight=balanced"]),
        (["optimizer.lr=0.1"], ["optimizer=adam"], []),  # the option it has already
        (["hardware.threads=1"], ["hardware=cpu"], []),
        (["optimizer.lr=0.1"], ["epochs=3"], []),
    ],
)
def test_overrides_of_a_replaced_option_are_dropped(own, changes, dropped):
    found, left_out = change(own, changes)
    assert left_out == (own if dropped is None else dropped)
    for line in (line for line in own if not line.startswith("data=")):
        key, _, value = line.partition("=")
        assert (str(found.get(key)) == value) == (line not in left_out)


def test_deletions_are_of_the_old_option():
    composed = compose(["data=phantom_3d"])
    cfg, choices = composed.resolved(), composed.choices
    lines, dropped = carried_over(["~data.source.size"], ["data=phantom"], cfg, choices, Groups.find())
    assert dropped == ["~data.source.size"]
    assert "~data.source.size" not in lines


def test_what_a_preset_sets_for_the_old_option_is_dropped():
    found, dropped = change(["experiment=tutorial_lenet", "data.mean=0.4"], ["data=breastmnist"])
    assert dropped == [
        f"data.source.{key} (of experiment=tutorial_lenet)" for key in ("size", "channels", "target", "num_classes")
    ]
    assert "data.source.size" not in found
    assert (found["data.mean"], found["data.std"], found["data.batch_size"]) == (0.4, 0.5, 100)
    assert found["data.source.name"] == "breastmnist"


def test_a_preset_that_is_not_there_any_more_undoes_nothing():
    before = compose([])
    choices = {**before.choices, "experiment": "of_a_colleague"}
    lines, dropped = carried_over([], ["hardware=cpu"], before.resolved(), choices, Groups.find())
    assert "hardware=cpu" in lines
    assert dropped == []


def test_options_that_the_old_data_picked_stay():
    before = compose(["data=phantom_sequence"])
    lines, _ = carried_over(before.overrides, ["data=table"], before.resolved(), before.choices, Groups.find())
    assert "model=cnn_rnn" in lines


def test_what_is_given_for_the_new_option_is_taken():
    found, dropped = change(["data.source.size=[32,32]"], ["data=phantom_3d", "data.source.size=[16,16,16]"])
    assert (found["data.source.size"], dropped) == ([16, 16, 16], [])
