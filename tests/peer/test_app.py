"""An agent from its file to its figures, in this process and alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loopback import make_identities

from client_app.data.federation import build_federation
from client_app.data.node_folder import Origin, save_node
from concord.errors import ConcordError
from concord.processes import free_port
from peer_app.app import run_agent

NAME = "word-west-europe"


def written(folder: Path, rounds: int) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nkeys = "{NAME}"\ndata = "data"\nfolder = "run"\nlisten = "127.0.0.1:{free_port()}"\n[others]\n[run]\n'
        f'method = "dsgd-modality"\nrounds = {rounds}\nlocal-steps = 1\nbatch-size = 4\n'
        "model.width = 16\nmodel.attention-heads = 2\n"
    )
    return path


def test_rounds_of_another_run_are_not_overwritten(tmp_path: Path) -> None:
    make_identities(tmp_path, (NAME,))
    federation = build_federation("demo", None, 0, "labelled")
    node = next(node for node in federation.nodes if node.name == NAME)
    save_node(tmp_path / "data", node, federation.anchors, Origin("demo", 0, "labelled"))
    result = run_agent(written(tmp_path, 1), lambda line: None)
    assert (result["heard-from"], result["bytes-up"], result["rounds-taken-part"]) == ([], 0, 1)
    log = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(ConcordError, match=r"C402 .*run holds rounds with rounds = 1"):
        run_agent(written(tmp_path, 2), lambda line: None)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == log
    assert json.loads((tmp_path / "run" / "config.json").read_text())["rounds"] == 1
    assert run_agent(written(tmp_path, 1), lambda line: None)["accuracy"] == result["accuracy"]
