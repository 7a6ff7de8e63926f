"""The name that the processes of one launcher's job share, and no other job has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fiducial import ranks
from fiducial.errors import InputError


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set what each process of torchrun on one machine is told."""
    for name in ranks.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", "/tmp/torchelastic_0/none_k3_x1/attempt_0/1/error.json")
    return monkeypatch


def test_an_id_names_the_job(torchrun: pytest.MonkeyPatch) -> None:
    torchrun.setenv("TORCHELASTIC_RUN_ID", "7")
    assert ranks.job() == "job-7"


def test_a_process_of_its_own_has_no_job(torchrun: pytest.MonkeyPatch) -> None:
    torchrun.delenv("TORCHELASTIC_RUN_ID")
    assert ranks.job() == ""


def test_without_an_id_processes_share_what_torchrun_made(torchrun: pytest.MonkeyPatch) -> None:
    first = ranks.job()
    torchrun.setenv("TORCHELASTIC_ERROR_FILE", "/tmp/torchelastic_0/none_k3_x1/attempt_0/0/error.json")
    assert ranks.job() == first == "job-k3_x1"


@pytest.mark.parametrize(("name", "value"), [("GROUP_WORLD_SIZE", "2"), ("TORCHELASTIC_ERROR_FILE", "")])
def test_machines_without_a_name_in_common_are_refused(torchrun: pytest.MonkeyPatch, name: str, value: str) -> None:
    torchrun.setenv(name, value)
    with pytest.raises(InputError, match="add --rdzv-id=NAME"):
        ranks.job()


@pytest.mark.slow
def test_torchrun_itself(tmp_path: Path) -> None:
    """Two processes of one command share a name, a second command has another; a port of its own leaves out the id."""
    code = "import os; from fiducial import ranks; open(os.environ['LOCAL_RANK'], 'a').write(ranks.job() + '\\n')"
    (tmp_path / "job.py").write_text(code)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0"]
    for _ in range(2):
        subprocess.run([*launcher, "job.py"], cwd=tmp_path, check=True, timeout=120)
    one, other = ((tmp_path / rank).read_text().splitlines() for rank in "01")
    assert one == other
    assert len(set(one)) == 2
