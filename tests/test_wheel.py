"""A wheel built from the tree works where there is no tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300, check=True
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_every_option(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if name.endswith(".yaml")}
    in_tree = {f"fiducial/conf/{file.relative_to(ROOT / 'conf')}" for file in (ROOT / "conf").rglob("*.yaml")}
    assert in_tree
    assert packed == in_tree
    assert {name for name in names if name.startswith("hydra_plugins/")} == {"hydra_plugins/hydra_fiducial.py"}


@pytest.mark.slow
def test_installed_wheel_trains_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel), cwd=empty)
    where = run(sys.executable, "-c", "import fiducial; print(fiducial.__file__)", cwd=empty, PYTHONPATH=str(site))
    assert where.stdout.strip() == str(site / "fiducial" / "__init__.py")
    run(sys.executable, "-m", "fiducial", "train", "debug=fast", "hardware=cpu", cwd=empty, PYTHONPATH=str(site))
    assert list(empty.glob("outputs/runs/phantom-plain_cnn/*/scores.json"))
