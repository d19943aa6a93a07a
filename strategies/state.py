"""What a strategy holds between rounds, and what it tells of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from concord.wire.messages import new_token
from strategies.checks.rejection import Rejection
from strategies.checks.reply import Accepted


@dataclass
class GlobalState:
    """What the server knows of the model.

    Attributes:
        groups: tensors by group.
        base: trunk weights that the adapters belong to, and their digest; empty where all parties make them alike.
        encoders: identity of the encoder of each modality.
        round_: the last finished round.
        token: of the run, from its beginning on; a node keeps its private state under it.
        counted: by node, the last round in which its reply was averaged.
    """

    groups: dict[str, dict[str, Tensor]]
    base: dict[str, Tensor] = field(default_factory=dict)
    base_digest: str = ""
    encoders: dict[str, str] = field(default_factory=dict)
    round_: int = 0
    token: str = field(default_factory=new_token)
    counted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of one round.

    Attributes:
        asked: names of the nodes that were asked.
        accepted: the replies that count.
        rejections: those that do not, with the reason.
        shares: per group, the share of each node in the average.
        kept_old_model: too few good replies, so nothing was averaged.
        bytes_down, bytes_up: payload per node.
        norm_ratios: of each group whose step is not the weighted mean, its norm relative to that one's.
    """

    asked: tuple[str, ...]
    accepted: tuple[Accepted, ...]
    rejections: tuple[Rejection, ...]
    shares: Mapping[str, Mapping[str, float]]
    kept_old_model: bool
    bytes_down: Mapping[str, int]
    bytes_up: Mapping[str, int]
    norm_ratios: tuple[float, ...] = ()
