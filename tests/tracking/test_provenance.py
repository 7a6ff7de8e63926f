import json
import platform
import shutil
import subprocess
from importlib.metadata import version

import psutil
import pytest

from fiducial.tracking.provenance import collect


def git(cwd, *arguments):
    identity = [
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@x",
        "-c",
        "init.defaultBranch=trunk",
        "-c",
        "commit.gpgsign=false",
    ]
    return subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_repository(repository):
    found = collect(["fiducial", "train"], repository)
    assert found.commit == git(repository, "rev-parse", "HEAD").strip()
    assert (found.branch, found.dirty, found.diff, found.changes) == ("trunk", False, "", None)
    assert found.as_tags()["mlflow.source.git.commit"] == found.commit
    assert found.as_tags()["fiducial.git.dirty"] == "false"


def test_uncommitted_changes(repository):
    (repository / "a.py").write_text("x = 2\npassword = 'hunter2'\n")
    found = collect(["fiducial"], repository)
    assert found.dirty
    assert "+x = 2" in found.diff
    assert "hunter2" not in found.diff
    assert found.as_dict()["changes"] == found.as_tags()["fiducial.git.changes"] == found.changes
    (repository / "a.py").write_text("x = 3\n")
    assert collect(["fiducial"], repository).changes not in (None, found.changes)


def test_changed_tables_are_told_by_a_hash_alone(repository):
    (repository / "sub").mkdir()
    for name in ("cases.csv", "sub/notes.ipynb", "sub/b.yaml"):
        (repository / name).write_text("Jane Doe, 1970-01-01\n")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "second")
    diffs = []
    for text in ("John Smith", "Ann Jones"):
        (repository / "cases.csv").write_text(f"{text}, 1970-01-01\n")
        (repository / "sub" / "notes.ipynb").write_text(f"{text}\n")
        (repository / "sub" / "b.yaml").write_text("lr: 2\n")
        diffs.append(collect(["fiducial"], repository / "sub").diff)
        assert "+lr: 2" in diffs[-1]
        assert text not in diffs[-1]
        assert "cases" not in diffs[-1]
    assert diffs[0] != diffs[1]
    assert diffs[0].splitlines()[:-1] == diffs[1].splitlines()[:-1]


def test_an_unknown_file_is_dirty(repository):
    (repository / "b.py").write_text("")
    assert collect(["fiducial"], repository).dirty


def test_a_huge_diff_is_cut(repository):
    (repository / "a.py").write_text("".join(f"y = {number}\n" for number in range(300_000)))
    diff = collect(["fiducial"], repository).diff
    assert len(diff) < 1_000_100
    assert "cut at" in diff[-60:]


def test_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = collect(["fiducial"], tmp_path)
    assert (found.commit, found.branch, found.dirty, found.diff) == (None, None, None, "")
    assert "fiducial.git.dirty" not in found.as_tags()


def test_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert collect(["fiducial"], tmp_path).commit is None


def test_machine_and_packages(tmp_path):
    found = collect(["/usr/bin/fiducial", "train", "api_key=hunter2"], tmp_path)
    assert found.command == "fiducial train api_key=***"
    assert found.packages["mlflow"] == version("mlflow")
    assert found.python == platform.python_version()
    assert found.memory_gib == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.1)
    assert 1 <= found.cores <= psutil.cpu_count()
    assert json.loads(json.dumps(found.as_dict()))["host"] == found.host
    assert "diff" not in found.as_dict()
