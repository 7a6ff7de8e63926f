"""What the UI's table of runs shows: the settings that differ and the scores, instead of MLflow's default columns.

MLflow keeps a view of the table in a tag of its experiment; an address with the view's key opens it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path

KEY, NAME = "fiducial", "settings and scores"
MAX_SETTINGS, MAX_SCORES = 6, 2

_DIFFERING = """
    select params.key from params join runs using (run_uuid)
    where runs.experiment_id = ? and runs.lifecycle_stage = 'active'
        and params.key not glob '*._*_' and params.key not glob 'tracking*' and params.key not glob '*.folder'
        and params.key != 'parameters'
    group by params.key having count(distinct params.value) > 1
    order by params.key glob '*.*', params.key = 'seed', params.key
"""
_OBJECTIVES = """
    select distinct params.value from params join runs using (run_uuid)
    where runs.experiment_id = ? and params.key = 'objective'
"""
_METRICS = """
    select distinct latest_metrics.key from latest_metrics join runs using (run_uuid)
    where runs.experiment_id = ? and runs.lifecycle_stage = 'active'
"""


def save_view(database: Path, experiment: int) -> None:
    """Save the view with an experiment of the embedded store, in place of an older one.

    Written without MLflow, whose import would take longer than all else that happens before the UI starts.
    """
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        row = (f"mlflow.sharedViewState.{KEY}", _view(columns(connection, experiment)), experiment)
        connection.execute("insert or replace into experiment_tags (key, value, experiment_id) values (?, ?, ?)", row)


def columns(connection: sqlite3.Connection, experiment: int) -> list[str]:
    """Return the columns in MLflow's words: settings that differ between runs, the objective, scores of the test."""

    def keys(sql: str) -> list[str]:
        return [key for (key,) in connection.execute(sql, (experiment,))]

    metrics = keys(_METRICS)
    objectives = [key for key in keys(_OBJECTIVES) if key in metrics]
    wanted = {f"test/{key.partition('/')[2]}" for key in objectives}
    scores = [key for key in metrics if key.startswith("test/") and not key.endswith(("_low", "_high"))]
    scores.sort(key=lambda key: (key not in wanted, key))
    shown = [*objectives, *scores[:MAX_SCORES]]
    return [
        *(f"params.`{key}`" for key in keys(_DIFFERING)[:MAX_SETTINGS]),
        *(f"metrics.`{key}`" for key in shown),
    ]


def _view(selected: list[str]) -> str:
    """Return a view of the table as MLflow's pages write it: newest runs first, all of them, these columns."""
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": selected,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = int(time.time() * 1000)
    return json.dumps({"name": NAME, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"})
