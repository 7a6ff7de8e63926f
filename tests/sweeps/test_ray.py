"""What a job of Ray's gets of the command's environment; Ray is a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from fiducial.sweeps.cluster import Mail
from fiducial.sweeps.job import Spec
from fiducial.sweeps.ray import RayLauncher


def test_a_job_has_what_the_tracking_server_and_the_database_of_a_search_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"PGUSER": "me", "PGPASSWORD": "secret", "PGSSLMODE": "require", "MLFLOW_TRACKING_URI": "http://there"}
    for name, value in {**wanted, "AWS_SECRET": "of the command alone"}.items():
        monkeypatch.setenv(name, value)
    given: dict[str, str] = {}

    def submitted(spec: Spec, mail: Mail, log: Path, place: Path, environment: Mapping[str, str]) -> None:
        given.update(environment)

    launcher = RayLauncher()
    launcher._ray, launcher._submit = SimpleNamespace(get=lambda job: job), SimpleNamespace(remote=submitted)
    launcher.run(Spec(0, (), None, "", ""), Mail(tmp_path, 0))
    assert wanted.items() <= given.items()
    assert "AWS_SECRET" not in given
