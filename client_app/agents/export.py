"""The model folder of an agent without a server: safetensors and JSON only, as a run with a server leaves it."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from client_app.agents.agent import Agent
from client_app.inference.description import AGENT_WEIGHTS, ANCHORS, TRUNK, Description
from client_app.trunk import build_trunk
from concord.anchors import save_anchors


def export_agent(folder: Path, agent: Agent) -> None:
    """Writes the agent's model as it is now to `folder` (made if missing)."""
    folder.mkdir(parents=True, exist_ok=True)
    build_trunk(agent.config).save_pretrained(folder / TRUNK)  # type: ignore[operator]
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in agent.model.state_dict().items()}
    save_file(tensors, folder / AGENT_WEIGHTS)
    save_anchors(agent.anchors, folder / ANCHORS)
    Description.of(agent.config, agent.anchors, list(agent.modalities)).save(folder)
