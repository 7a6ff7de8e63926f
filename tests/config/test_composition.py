"""Overrides in, one complete and checked configuration out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from fiducial.config import GROUPS, SWEEP_GROUPS, Groups, compose, compose_all, contract
from fiducial.config.contract import check_fit, unmet
from fiducial.config.wrapped import wraps
from fiducial.errors import InputError

GROUPS_FOUND = Groups.find()
# What these are like is seen in the user's own files, or follows from the task that is picked.
OWN_FILES = {"box_table", "decathlon", "image_folder", "mask_table", "nnunet_raw", "table"}
# The other options of `data` compose with every model, below.
EVERY_OPTION = [
    (group, option)
    for group, options in GROUPS_FOUND.all().items()
    for option in options
    if group != "data" or option in OWN_FILES
]
NEEDS = r"^data\.source: \w+ \(data=\w+\) needs \w+; give data\.source\.\w+=…$"
FIT = r"^\w+=\w+ needs [\w.]+ to be .+; \w+=\w+ gives .+\. Options of \w+ that fit: (?!none)"


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIDUCIAL_DATA", raising=False)


def refusal(overrides: list[str]) -> str:
    """Return why overrides are refused, or an empty string."""
    try:
        composed = compose(overrides)
    except InputError as error:
        return str(error)
    json.dumps(composed.resolved())
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), EVERY_OPTION)
def test_every_option_composes_or_says_what_it_needs(group: str, option: str) -> None:
    message = refusal([f"{group}={option}"])
    if group == "data":
        assert re.match(NEEDS, message), message
    elif group in ("model", "loss", "task"):
        assert re.match(f"{FIT}|$", message), message
    else:
        assert message == ""


@pytest.mark.slow
@pytest.mark.parametrize("data", [option for option in GROUPS_FOUND.options("data") if option not in OWN_FILES])
def test_every_pair_of_data_and_model_composes_or_says_what_fits(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing only `data=` gives a run that works; so does changing `model=` too, where that fits at all."""
    composed = compose([f"data={data}"])
    json.dumps(composed.resolved())
    trial, told = composed.cfg, list(contract._fitting(composed.cfg, "model", GROUPS_FOUND))
    monkeypatch.setattr(contract, "_fitting", lambda *_: told)  # the same for every model that does not fit
    fitting = []
    for model in GROUPS_FOUND.options("model"):
        trial.model = GROUPS_FOUND.content("model", model)
        if list(unmet(trial, "model")):
            with pytest.raises(InputError, match=FIT):
                check_fit(trial, {"data": data, "model": model}, GROUPS_FOUND)
            continue
        fitting.append(model)
        if wraps(trial.model):  # its inner network is told otherwise, see test_wrapped
            continue
        spec, network = trial.data.spec, OmegaConf.to_container(trial.model, resolve=True)
        assert isinstance(network, dict)
        sees = network.get("backbone", network)
        assert (sees["in_channels"], sees["spatial_dims"]) == (spec.channels, spec.spatial_dims)
    assert fitting == told
    assert any(not wraps(GROUPS_FOUND.content("model", model)) for model in fitting)


def test_facts_about_the_data_reach_the_network() -> None:
    options = ["target=multiclass", "num_classes=7", "channels=3", "size=[24,20]"]
    resolved = compose([f"data.source.{option}" for option in options]).resolved()
    model = resolved["model"]
    assert (model["in_channels"], model["num_outputs"], model["spatial_dims"]) == (3, 7, 2)
    assert model["size"] == [24, 20]
    assert resolved["data"]["spec"]["num_classes"] == len(resolved["data"]["spec"]["classes"]) == 7


@pytest.mark.parametrize(
    ("target", "classes", "loss", "outputs"),
    [
        ("binary", 2, "cross_entropy", 2),
        ("binary", 2, "bce", 1),
        ("multilabel", 4, "bce", 4),
        ("ordinal", 5, "ordinal", 4),
        ("ordinal", 5, "cross_entropy", 5),
    ],
)
def test_number_of_outputs_follows_from_data_and_loss(target: str, classes: int, loss: str, outputs: int) -> None:
    overrides = [f"data.source.target={target}", f"data.source.num_classes={classes}", f"loss={loss}"]
    assert compose(overrides).resolved()["model"]["num_outputs"] == outputs


def test_names_follow_from_choices() -> None:
    cfg = compose(["model=lenet"]).cfg
    assert (cfg.name, cfg.study) == ("phantom-lenet", "phantom")
    assert compose(["experiment=tutorial_lenet"]).cfg.study == "tutorial_lenet"
    assert compose(["name=mine", "study=ours"]).cfg.name == "mine"
    assert Path(cfg.outputs).is_absolute()


def test_command_line_wins_over_a_preset() -> None:
    preset = compose(["experiment=medmnist_resnet18"])
    assert (preset.choices["data"], preset.choices["model"], preset.cfg.epochs) == ("breastmnist", "resnet18", 100)
    for overrides in (["data=pneumoniamnist", "epochs=3"], ["epochs=3", "data=pneumoniamnist"]):
        for command in ([*overrides, "experiment=medmnist_resnet18"], ["experiment=medmnist_resnet18", *overrides]):
            own = compose(command)
            assert own.choices["data"] == "pneumoniamnist"
            assert own.cfg.data.source.name == "pneumoniamnist"
            assert own.cfg.epochs == 3
            assert own.cfg.data.batch_size == 128
            assert own.choices["model"] == "resnet18"


def test_debug_preset_lies_over_the_experiment() -> None:
    composed = compose(["experiment=medmnist_resnet18", "debug=overfit"])
    assert composed.choices["scheduler"] == "none"
    assert composed.cfg.trainer.limit_train_batches == 1
    assert composed.cfg.data.batch_size == 128


def test_preset_wins_over_defaults() -> None:
    cfg = compose(["experiment=tutorial_lenet"]).cfg
    assert (cfg.optimizer.lr, cfg.optimizer.momentum, cfg.data.batch_size) == (0.001, 0.9, 100)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs=abc"], "epochs: expected int, got 'abc'"),
        (["patience=often"], "patience: expected int or null, got 'often'"),
        (["epochs=0"], "epochs must be at least 1; got 0"),
        (["patience=0"], "patience must be at least 1 epoch, or null for none; got 0"),
        (["select=bst"], "select must be best or last; got bst; did you mean best?"),
        (["name=../elsewhere"], "name must be the name of one folder; got '../elsewhere'"),
        (["optimizer.lr=${nowhere}"], "optimizer.lr: Interpolation key 'nowhere' not found"),
        (["data.source.noise=3"], "phantom: noise must be 0 to 1; got 3"),
        (["data=breastmnist", "data.source.name=brestmnist"], "did you mean breastmnist?"),
    ],
)
def test_refusals(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        compose(overrides)
    assert message in str(raised.value)
    with pytest.raises(InputError) as among_others:
        compose_all([[], overrides, []])
    assert str(among_others.value) == str(raised.value)


def test_many_at_once_are_what_each_is_alone() -> None:
    jobs = [
        [],
        ["optimizer.lr=0.5", "model.widths=[4,8,16]", "data.source.size=[32,40]"],
        ["optimizer.weight_decay=0.1"],
        ["model=lenet", "seed=3"],
        ["optimizer=sgd", "optimizer.momentum=0.5", "+trainer.benchmark=false", "loss=focal", "name=own"],
        ["optimizer=sgd"],
        ["experiment=medmnist_resnet18", "debug=overfit", "epochs=3", "launcher.at_once=2"],
        ["experiment=medmnist_resnet18", "debug=overfit", "trainer.num_sanity_val_steps=0", "data=pneumoniamnist"],
        ["experiment=medmnist_resnet18", "data=pneumoniamnist", "data.batch_size=64"],
        ["data=phantom_modalities", "model=late_fusion", "model.backbone=plain_cnn", "model.backbone.widths=[4]"],
        ["data=phantom_modalities", "model=late_fusion", "model.backbone=plain_cnn"],
        [],
    ]
    assert compose_all(jobs) == [compose(job) for job in jobs]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ([], ["name=other", "study=other", "tracking=none"], True),
        ([], ["outputs=elsewhere", "cache_dir=elsewhere", "resume=auto"], True),
        (["data=breastmnist"], ["data=breastmnist", "data_dir=/elsewhere"], True),
        (["data=breastmnist"], ["data=breastmnist", "data.source.folder=${data_dir}/other"], False),
        ([], ["seed=1"], False),
        ([], ["model.dropout=0.1"], False),
        ([], ["hardware=cpu_fast"], False),
        (["data=breastmnist"], ["data=pneumoniamnist"], False),
    ],
)
def test_identity_is_that_of_what_can_change_a_result(first: list[str], second: list[str], same: bool) -> None:
    assert (compose(first).identity() == compose(second).identity()) is same


@pytest.fixture
def own(tmp_path: Path) -> Any:
    def write(group: str, option: str, text: str) -> str:
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / f"{option}.yaml").write_text(text)
        return str(tmp_path)

    return write


def test_data_may_pick_its_loss_and_the_command_line_another(own: Any) -> None:
    folder = own(
        "data",
        "several",
        "# Several labels.\n"
        "defaults: [{override /loss@_global_.loss: bce}]\n"
        "_target_: fiducial.data.module.DataModule\n"
        "source: {_target_: fiducial.data.phantom.Phantom, target: multilabel}\n",
    )
    assert compose(["data=several"], folder).choices["loss"] == "bce"
    assert compose(["data=several", "loss=focal_sigmoid"], folder).choices["loss"] == "focal_sigmoid"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# @package _global_\nepoch: 3\n",
            "experiment/mine.yaml: there is no group or key 'epoch'; did you mean epochs?",
        ),
        (
            "# @package _global_\ndefaults: [{override /model: lnet}]\n",
            "model=lnet: there is no such option; did you mean l",
        ),
        ("# @package _global_\nmodel: {depht: 3}\n", "model.depht: PlainCNN (model=plain_cnn) has no such option"),
    ],
)
def test_faults_of_a_preset_are_named(own: Any, text: str, message: str) -> None:
    folder = own("experiment", "mine", text)
    with pytest.raises(InputError) as raised:
        compose(["experiment=mine"], folder)
    assert message in str(raised.value)


def test_data_without_a_source(own: Any) -> None:
    folder = own("data", "mine", "_target_: builtins.dict\n")
    with pytest.raises(InputError, match=r"data=mine: expected a source with a _target_ at data\.source; got none"):
        compose(["data=mine"], folder)


def test_value_that_has_to_be_given(own: Any) -> None:
    folder = own("data", "mine", "_target_: fiducial.data.module.DataModule\nsource: ???\n")
    with pytest.raises(InputError, match=r"data: DataModule \(data=mine\) needs source; give data.source=…"):
        compose(["data=mine"], folder)


def test_choices_name_every_group_that_a_run_has() -> None:
    composed = compose(["experiment=quickstart", "debug=fast"])
    assert set(composed.choices) == set(GROUPS) - set(SWEEP_GROUPS)
    assert composed.sweep_choices == {"launcher": "local", "search": "none"}


def test_how_runs_are_started_is_no_part_of_a_run() -> None:
    plain, started = compose([]), compose(["launcher=local", "launcher.at_once=3", "search=tpe", "search.trials=7"])
    assert started.identity() == plain.identity()
    assert started.overrides == ()
    assert "launcher" not in started.cfg
    assert started.sweep.launcher.at_once == 3
    assert started.sweep.search.trials == 7


def test_a_run_is_called_by_its_data_their_part_and_its_model() -> None:
    assert compose(["data=breastmnist"]).cfg.name == "breastmnist-plain_cnn"
    decathlon = ["data=decathlon", "data.source.task=Task04_Hippocampus"]
    assert compose(decathlon).cfg.name == "decathlon-Task04_Hippocampus-unet"
    assert compose([*decathlon, "name=own"]).cfg.name == "own"


def test_another_content_of_a_table_is_another_run(tmp_path: Path) -> None:
    """Corrected labels or splits; the same content in another file of that name is the same."""
    table, splits = tmp_path / "cases.csv", tmp_path / "splits.csv"

    def identity(labels: str, split: str | None = None) -> str:
        names = ["train", "train", "val", "val", "test", "test"]
        lines = [f"{n}.png,{label},{name}" for n, (label, name) in enumerate(zip(labels, names, strict=True))]
        table.write_text("path,label,split\n" + "\n".join(lines) + "\n")
        line = ["data=table", f"data.source.path={table}", "data.source.size=[16,16]", "data.source.channels=1"]
        if split is not None:
            splits.write_text("case,split\n" + "".join(f"{n}.png,{name}\n" for n, name in enumerate(split.split())))
            line.append(f"data.splits={splits}")
        return compose(line).identity()

    plain = identity("ababab")
    assert identity("ababab") == plain
    assert len({plain, identity("ababba"), identity("ababab", "train train val val test test")}) == 3
    assert identity("ababab", "train val train val test test") != identity("ababab", "train train val val test test")


def test_a_study_may_have_any_name() -> None:
    """A preset can give it one that the command line would have to quote."""
    of_study = compose([]).of_study("Pilot (Jürgen's)")
    assert compose(of_study.overrides).cfg.study == "Pilot (Jürgen's)"
