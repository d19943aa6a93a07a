"""What one agent is told: ``peer.toml``, checked before anything starts.

::

    [agent]
    keys = "keys/ward-3"           # made by `concord keys peer`; the certificate says the agent's name
    data = "nodes/ward-3"          # made by `concord data deal`
    folder = "runs/ward-3"         # its log, checkpoint and figures
    listen = "192.0.2.3:9300"      # where the others reach it

    [others]                       # all other agents of the federation
    ward-1 = "ward-1.example.org:9300"
    ward-2 = "ward-2.example.org:9300"

    [run]                          # keys of `concord config`, the same for all agents
    method = "parse"
    suite = "activity-agents"

Paths are relative to the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from concord.certificates import agent_name
from concord.config import AGENTS, RunConfig, flatten, parse_config
from concord.errors import ConcordError, did_you_mean
from peer_app.options import checked_address

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _checked(check: Callable[[str], str]) -> AfterValidator:
    """A check of Concord's own as one of pydantic's."""

    def checked(value: str) -> str:
        try:
            return check(value)
        except ConcordError as error:
            raise ValueError(error.message) from error

    return AfterValidator(checked)


Name = Annotated[str, _checked(agent_name)]
Address = Annotated[str, _checked(checked_address)]


class AgentSection(BaseModel):
    """Table ``[agent]``.

    Attributes:
        start_patience: seconds that it waits for all others before round 1.
        patience: seconds that it waits in a round for a neighbour; one that was silent is not waited for until it speaks again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"))

    keys: Path
    data: Path
    folder: Path
    listen: Address
    start_patience: Seconds = 120.0
    patience: Seconds = 60.0


class PeerConfig(BaseModel):
    """The whole file, its paths made absolute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: AgentSection
    others: dict[Name, Address]
    run: dict[str, Any] = Field(default_factory=dict)


def read_peer_config(path: Path) -> tuple[PeerConfig, RunConfig]:
    """What ``peer.toml`` says of the agent and of the run.

    Raises:
        ConcordError: C605, when it cannot be read or says something else than it may; C101 to C103 for what it says of the run.
    """
    try:
        said = PeerConfig.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConcordError("C605", f"{path}: {error}", "name the file of an agent with --config") from error
    except ValidationError as error:
        raise _mistake(path, error) from error
    base = path.absolute().parent
    paths = {name: base / getattr(said.agent, name) for name in ("keys", "data", "folder")}
    said = said.model_copy(update={"agent": said.agent.model_copy(update=paths)})
    config = parse_config({**dict(flatten(said.run)), "run-folder": str(said.agent.folder)})
    if config.method not in AGENTS:
        raise ConcordError(
            "C103", f"{path}: {config.method!r} is no method of agents without a server", f"choose one of: {', '.join(AGENTS)}"
        )
    return said, config


def _mistake(path: Path, error: ValidationError) -> ConcordError:
    """The first thing that is wrong; before all, a key that there is not: it may be one that is missed, misspelt."""
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    *table, leaf = (str(part) for part in first["loc"])
    key, what, hint = ".".join([*table, leaf]), first["msg"], "see docs/peers.md for what the file says"
    if first["type"] == "extra_forbidden":
        fields = (AgentSection if table else PeerConfig).model_fields
        what, hint = "there is no such key", did_you_mean(leaf, [field.alias or name for name, field in fields.items()], hint)
    elif table == ["others"] and isinstance(first["input"], dict):
        hint = f'write a name with a dot in quotes: "{leaf}.REST"'
    return ConcordError("C605", f"{path}: {key}: {what}", hint)
