"""Which columns the UI's table of runs gets."""

import base64
import json
import sqlite3
import zlib
from contextlib import closing

import pytest

from fiducial.tracking import track
from fiducial.tracking.table_view import columns, save_view
from fiducial.tracking.tracker import DATABASE


@pytest.fixture
def database(outputs, tracker):
    """Four runs in one experiment, an experiment with another run; the database they are in."""
    common = {"objective": "val/auroc", "epochs": 3, "parameters": 7, "data.source.folder": "/a"}
    settings = [
        {"seed": 0, "model": "lenet", "model._target_": "A", "optimizer.lr": 0.1},
        {"seed": 1, "model": "lenet", "model._target_": "A", "optimizer.lr": 0.1, "data.source.folder": "/b"},
        {"seed": 0, "model": "vit", "model._target_": "B", "optimizer.lr": 0.2, "parameters": 9},
    ]
    scores = {"val/auroc": 0.5, "val/loss": 1.0, "test/loss": 1.0, "test/accuracy": 0.5}
    scores |= {f"test/auroc{end}": 0.5 for end in ("", "_low", "_high")}
    for number, setting in enumerate(settings):
        with track(outputs / str(number), tracker, name=str(number), experiment="one") as run:
            run.log_params(common | setting)
            run.log_metrics(scores, 0)
    with track(outputs / "other", tracker, name="other", experiment="two") as run:
        run.log_params({"batch_size": 4})
    return outputs / DATABASE


def shown(database, experiment):
    with closing(sqlite3.connect(database)) as connection:
        return columns(connection, experiment)


EXPECTED = [
    "params.`model`", "params.`seed`", "params.`optimizer.lr`",
    "metrics.`val/auroc`", "metrics.`test/auroc`", "metrics.`test/accuracy`",
]  # fmt: skip


def test_settings_that_differ_the_objective_and_the_scores(database):
    assert shown(database, 1) == EXPECTED


def test_a_single_run_differs_from_none(database):
    assert shown(database, 2) == []


def test_the_view_is_saved_as_the_ui_saves_one_and_replaces_an_older_one(database):
    save_view(database, 1)
    save_view(database, 1)
    with closing(sqlite3.connect(database)) as connection:
        select = "select value from experiment_tags where experiment_id = 1 and key like 'mlflow.sharedViewState.%'"
        ((text,),) = connection.execute(select).fetchall()
    view = json.loads(text)
    assert view["name"] == "settings and scores"
    kind, _, packed = view["state"].partition(";")
    assert kind == "deflate"
    assert json.loads(zlib.decompress(base64.b64decode(packed)))["selectedColumns"] == EXPECTED
