"""The generated stubs are those of the proto files."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto" / "concord"
HINT = "run `make proto`"


@pytest.mark.parametrize(
    ("out", "pattern", "needs"), [("python_out", "*_pb2.py", "grpc_tools"), ("mypy_out", "*_pb2.pyi", "mypy_protobuf")]
)
def test_stubs_are_up_to_date(out: str, pattern: str, needs: str, tmp_path: Path) -> None:
    for module in {"grpc_tools", needs}:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install -e '.[dev]'")
    protos = sorted(f"concord/wire/{path.relative_to(PROTO)}" for path in PROTO.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", f"concord/wire={PROTO}", f"--{out}={tmp_path}"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run([*command, *protos], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob(pattern)}
    assert made.keys() == {path.relative_to(ROOT) for path in (ROOT / "concord" / "wire").rglob(pattern)}
    assert made
    for path, text in made.items():
        assert (ROOT / path).read_text() == text, f"{path}: {HINT}"
