"""Keys of components are held against the arguments of their classes."""

from __future__ import annotations

import pytest

from fiducial.config import compose
from fiducial.errors import InputError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["optimizer.lrr=1"],
            "optimizer.lrr: Adam (optimizer=adam) has no such option; did you mean lr? (it takes: lr, ",
        ),
        (["model.widhts=[3]"], "did you mean widths?"),
        (
            ["data.batchsize=3"],
            "data.batchsize: DataModule (data=phantom) has no such option; did you mean batch_size?",
        ),
        (["data.source.sizes=3"], "data.source.sizes: Phantom (data=phantom) has no such option; did you mean size?"),
        (["trainer.max_epoch=3"], "has no such option; did you mean max_epochs?"),
        (["model=densenet121", "model.dropout_prb=0.1"], "did you mean dropout_prob?"),
        (["task.num_output=3"], "did you mean num_outputs?"),
        (["scheduler.gamma=1"], "scheduler=none takes no options; got scheduler.gamma"),
        (["optimizer.lr=abc"], "optimizer.lr: Adam (optimizer=adam) expects float, got 'abc'"),
        (["model.widths=64"], "model.widths: PlainCNN (model=plain_cnn) expects a list of int, got 64"),
        (["data.batch_size=fll"], "expects int or full, got 'fll'; did you mean full?"),
        (
            ["data.source.target=binry"],
            "expects binary, multiclass, multilabel or ordinal, got 'binry'; did you mean b",
        ),
        (
            ["trainer.num_sanity_val_steps=abc"],
            "trainer.num_sanity_val_steps: Trainer (pytorch_lightning) expects int or null, got 'abc'",
        ),
        (["trainer.max_epochs=1"], "trainer.max_epochs is no setting: epochs=… decides it"),
        (["trainer.precision=64"], "trainer.precision is no setting: hardware.precision=… decides it"),
        (["trainer.callbacks=[]"], "trainer.callbacks is no setting"),
        (["trainer.max_steps=20"], "trainer.max_steps is no setting: epochs=…"),
        (["trainer.log_every_n_steps=7"], "no setting: the run itself (the loss of every 50th step is logged) decides"),
        (["trainer.val_check_interval=0.5"], "each epoch is validated once, at its end"),
        (["trainer.fast_dev_run=true"], "debug=fast decides it"),
        (["trainer.limit_val_batches=0"], "leaves nothing to select a checkpoint by"),
        (
            ["optimizer._target_=torch.optim.Adan"],
            "optimizer._target_=torch.optim.Adan: torch.optim has no Adan; did you",
        ),
        (["optimizer._target_=nowhere.Adam"], "there is no module nowhere on the Python path"),
        (["data.source._target_=fiducial.data.medmnist.MedMNIST"], "needs name, folder; give data.source.name=…"),
        (
            ["data.prepare.intensity=zscore"],
            "data.prepare: DataModule (data=phantom) expects Prepare or null, got {'intensity': 'zscore'}; an object",
        ),
        (["data.patches.size=[64,64]"], "data.patches: DataModule (data=phantom) expects Patches or null, got {'size'"),
        (["data.seed=3"], "data.seed is no setting: a run fills it in by itself"),
        (["data.spec.channels=3"], "data.spec is no setting"),
        (["optimizer.params=3"], "optimizer.params is no setting"),
    ],
)
def test_refusals(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        compose(overrides)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("model.dropout=0.2", "model.dropout", 0.2),
        ("optimizer.betas=[0.8,0.9]", "optimizer.betas", [0.8, 0.9]),
        ("optimizer.lr=${seed}", "optimizer.lr", 0),
        ("loss.weight=balanced", "loss.weight", "balanced"),
        ("data.batch_size=full", "data.batch_size", "full"),
        ("trainer.max_time=null", "trainer.max_time", None),
        ("hardware.devices=auto", "hardware.devices", "auto"),
    ],
)
def test_any_argument_of_a_class_can_be_set(override: str, key: str, value: object) -> None:
    resolved: object = compose([override]).resolved()
    for part in key.split("."):
        assert isinstance(resolved, dict)
        resolved = resolved[part]
    assert resolved == value


def test_keys_of_a_preset_for_another_option_are_named_with_the_way_out() -> None:
    overrides = ["experiment=tutorial_digits_cnn", "model=resnet18"]
    with pytest.raises(InputError) as raised:
        compose(overrides)
    text = str(raised.value)
    way_out = "~model.widths ~model.pool_after ~model.dense"
    assert f"experiment=tutorial_digits_cnn sets it for another option; do without by adding {way_out}" in text
    cfg = compose([*overrides, *way_out.split()]).cfg
    assert cfg.model["_target_"] == "fiducial.models.resnet.ResNet"
    assert "widths" not in cfg.model
