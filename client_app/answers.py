"""What a node answered last, so that it does the work of a round once, however often it is asked.

The server asks again when it hears nothing: the message may have died with a process. The node may then be about to
answer, or have answered; its answer depends on its settings, its data and the question, so the one that it has will do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import RecordDict
from numpy.typing import NDArray
from torch import Tensor

from concord.config import RunConfig
from concord.wire.messages import decode, encode
from concord.wire.records import record_digest
from concord.wire.v1 import federation_pb2 as pb

Answer = tuple[pb.Report, dict[str, NDArray[np.float32]]]
REPORT, ARRAY = "report", "array/"
ELSEWHERE = ("run-folder", "resume")  # settings that no answer depends on


def question_of(config: RunConfig, record: RecordDict) -> str:
    """Digest of what is asked: all of a message, and the settings of the run."""
    settings = {key: value for key, value in config.flat().items() if key not in ELSEWHERE}
    return hashlib.sha256(f"{sorted(settings.items())} {record_digest(record)}".encode()).hexdigest()


def answer_to_tensors(report: pb.Report, arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """An answer as the node's disk keeps it."""
    told = torch.frombuffer(bytearray(encode(report)), dtype=torch.uint8)
    return {REPORT: told} | {f"{ARRAY}{name}": torch.from_numpy(array) for name, array in arrays.items()}


def answer_from_tensors(tensors: Mapping[str, Tensor]) -> Answer:
    """The answer that was kept."""
    arrays = {name.removeprefix(ARRAY): tensor.numpy() for name, tensor in tensors.items() if name.startswith(ARRAY)}
    return decode(pb.Report, tensors[REPORT].numpy().tobytes()), arrays
