"""Processes that are forked in the place of fresh ones are like them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import forked

pytestmark = pytest.mark.slow

LOOK = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "cwd": os.getcwd(), "variables": dict(os.environ), "name": __name__,
    "handlers": [str(signal.getsignal(number)) for number in signal.Signals], "session": os.getsid(0) == os.getpid(),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:3],
    "passed": os.read(int(sys.argv[1]), 4).decode(), "input": sys.stdin.read(), "mlflow": "mlflow" in sys.modules,
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["-c", "file"])
def test_what_a_process_finds(how: str, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    words = ["-c", LOOK] if how == "-c" else [str(tmp_path / "look.py")]
    fresh, warm = (found(place, words, tmp_path) for place in (subprocess, forked))
    assert warm == fresh


def found(place: Any, words: list[str], folder: Path) -> dict[str, Any]:
    reading, writing = os.pipe()
    os.write(writing, b"word")
    process = place.Popen(
        [sys.executable, *words, str(reading)],
        cwd=folder, env={"HOME": "/home/me", "PYTHONPATH": "/mine", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[reading], start_new_session=True,
    )  # fmt: skip
    os.close(reading)
    os.close(writing)
    content: dict[str, Any] = json.loads(process.communicate("some input", timeout=60)[0])
    assert process.returncode == 0
    assert content["argv"].pop() == str(reading)
    return content


ENDS = {
    "pass": 0,
    "import sys; sys.exit(7)": 7,
    "import sys; sys.exit('why')": 1,
    "raise ZeroDivisionError": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
    "import atexit, os; atexit.register(os._exit, 9)": 9,
}


@pytest.mark.parametrize(("code", "status"), ENDS.items())
def test_how_a_process_ends(code: str, status: int) -> None:
    assert forked.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, timeout=60).returncode == status


def test_a_process_that_does_not_end() -> None:
    with forked.Popen(
        [sys.executable, "-c", "print('here', flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.kill()
    assert process.returncode == -signal.SIGKILL
