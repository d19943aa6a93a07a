"""The process of a SuperNode ends when the SuperNode does, whatever waits for ever when Python shuts down."""

from __future__ import annotations

import subprocess
import sys

import pytest

STAND_IN = """
import sys, threading, types

class Channel:  # waits for a lock that nobody gives back, as that of gRPC may
    def __del__(self):
        lock = threading.Lock(); lock.acquire(); lock.acquire()

def flower_supernode():
    global channel
    channel = Channel()
    {end}

module = types.ModuleType("flwr.supernode.cli")
module.flower_supernode = flower_supernode
sys.modules["flwr.supernode.cli"] = module
"""
AS_IT_IS = "\nflower_supernode()"
AS_WE_RUN_IT = "\nfrom concord.supernode import main\nmain()"


def run(end: str, how: str, seconds: float) -> subprocess.CompletedProcess[str]:
    program = STAND_IN.format(end=end) + how
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ('raise RuntimeError("not let in")', 1, "RuntimeError: not let in"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit(None)", 0, ""),
        ('sys.exit("text")', 1, "text"),
        ('print("done")', 0, "done"),
    ],
)
def test_a_supernode_that_is_over_is_gone(end: str, status: int, said: str) -> None:
    ended = run(end, AS_WE_RUN_IT, 120)
    assert ended.returncode == status
    assert said in ended.stdout + ended.stderr


def test_without_that_it_would_hang() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("pass", AS_IT_IS, 5)
