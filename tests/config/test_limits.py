"""Ordinary wrong values are refused before torch is imported; those at the edge of their range are not."""

from __future__ import annotations

import pytest

from fiducial.config import compose
from fiducial.config.construction import component
from fiducial.errors import InputError


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed=-1", "seed must be at least 0; got -1"),
        ("optimizer.lr=-1", "optimizer.lr must be at least 0; got -1"),
        ("optimizer.lr=nan", "optimizer.lr must be at least 0, and finite; got nan"),
        ("optimizer.lr=inf", "optimizer.lr must be at least 0, and finite; got inf"),
        ("hardware.threads=0", "hardware.threads must be at least 1; got 0"),
        ("hardware.threads=-3", "hardware.threads must be at least 1; got -3"),
        ("data.channel_dropout=2", "data.channel_dropout must be between 0 and 1; got 2"),
        ("data.num_folds=1", "data.num_folds must be at least 2; got 1"),
        ("data.fold=7", "data.fold: expected 0 to 4, for data.num_folds=5; got 7"),
        ("data.fold=-1", "data.fold: expected 0 to 4, for data.num_folds=5; got -1"),
        ("data.test_folds=true", "data.test_folds=true needs data.fold"),
        ("trainer.limit_test_batches=0", "trainer.limit_test_batches=0 leaves nothing to score"),
        ("trainer.limit_train_batches=0.0", "trainer.limit_train_batches=0 leaves nothing to learn from"),
        ("trainer.enable_progress_bar=false", "trainer.enable_progress_bar"),
        ("data=phantom_segmentation task.threshold=1.5", "task.threshold must be between 0 and 1; got 1.5"),
        ("data=phantom_segmentation task.scores=[dize]", "did you mean dice"),
        ("data=phantom_boxes task.hit=2", "task.hit must be between 0 and 1; got 2"),
        ("model.kernel_size=0", "model.kernel_size must be at least 1; got 0"),
        ("model.widths=[8,0]", "model.widths must be at least 1; got [8, 0]"),
        ("loss.weight=balnced", "loss.weight: expected balanced, or a number for each class; got 'balnced'; did you"),
        ("loss.weight=3", "loss.weight: expected balanced, or a number for each class; got 3"),
        ("loss.weight=[1,a]", "loss.weight: expected balanced, or a number for each class; got [1, 'a']"),
        ("model.pooling=maxx", "model.pooling: PlainCNN (model=plain_cnn) expects max, average, strided or none, got"),
        ("data.allow=[foo]", "data.allow: DataModule (data=phantom) expects a list of shared_subjects, exact_dup"),
        ("hardware.strategy=dpp", "expects auto, ddp or fsdp, got 'dpp'; did you mean ddp?"),
        ("augment=light augment.rotate=400", "augment.rotate must be between 0 and 180; got 400"),
        ("augment=strong augment.noise=-0.1", "augment.noise must be at least 0; got -0.1"),
        ("scheduler=one_cycle +scheduler.total_steps=5", "scheduler.total_steps is filled in by the run itself"),
        ("scheduler=plateau +scheduler.mode=max", "scheduler.mode is filled in by the run itself"),
        ("data=phantom_segmentation task.scores=[]", "task.scores: expected one or more, got none"),
        ("hardware.precision=17-mixed", "got '17-mixed'; did you mean 16-mixed?"),
    ],
)
def test_no_run_can_use_it(line: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        compose(line.split())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["optimizer.lr=0"],
        ["data.fold=6", "data.num_folds=7"],
        ["data.batch_size=full"],
        ["hardware.devices=auto"],
        ["hardware.threads=null"],
        ["loss.weight=balanced"],
        ["loss.weight=[1,2.5]"],
        ["data.allow=[near_duplicates,identifiers]"],
        ["model.dense=[]"],
        *([f"hardware.precision={one}"] for one in ("fastest", "32-true", "16-mixed", "bf16-mixed", "16", "32")),
    ],
)
def test_values_that_can_be_used(lines: list[str]) -> None:
    assert compose(lines).overrides == tuple(lines)


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:hunter2@host:5000",
        "https://hunter2@host",
        "HTTPS://me:hunt%40hunter2@host/path",
        "postgresql+psycopg://me:a/hunter2@host:5432/runs",
        "postgresql://host/runs?user=me&password=hunter2",
        "mssql+pyodbc:///?odbc_connect=SERVER%3Dh%3BPWD%3Dhunter2",
    ],
)
def test_an_address_with_a_password_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="MLFLOW_TRACKING_PASSWORD, or the whole address as MLFLOW_TR") as refused:
        compose(["tracking=server", f"tracking.uri='{uri}'"])
    assert "hunter2" not in str(refused.value)


def test_an_address_with_a_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@host:5000")
    composed = compose(["tracking=server"])
    assert component(composed.cfg.tracking).uri == "http://me:hunter2@host:5000"
    assert "hunter2" not in str(composed)
    with pytest.raises(InputError, match="an address with a password"):
        compose(["tracking=server", "tracking.uri=${oc.env:MLFLOW_TRACKING_URI}"])


@pytest.mark.parametrize(
    "uri",
    ["http://host:5000", "http://host:5000/a@b", "postgresql://me@host:5432/runs", "databricks://secrets:mine",
     "sqlite:////data/a:b@c/token=5.db", "sqlite:///a.db?timeout=5"],
)  # fmt: skip
def test_addresses_without_a_password(uri: str) -> None:
    assert compose([f"tracking.uri='{uri}'"]).cfg.tracking.uri == uri


def test_the_wrapped_network_has_the_same_ranges() -> None:
    with pytest.raises(InputError, match=r"model\.backbone\.kernel_size must be at least 1; got 0"):
        compose(["data=phantom_table", "model=image_table", "model.backbone.kernel_size=0"])
