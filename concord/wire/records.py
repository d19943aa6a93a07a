"""How messages and groups ride in a Flower RecordDict: one ConfigRecord with the message, one ArrayRecord of groups."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from google.protobuf.message import Message
from numpy.lib.format import read_array_header_1_0, read_magic
from numpy.typing import NDArray

from concord.wire.messages import M, WireError, decode, encode

MESSAGE, ARRAYS, PROTOBUF = "concord", "groups", "protobuf"
NUMPY = "numpy.ndarray"
BASE = "base"  # name under which the trunk base travels, once, beside the groups


def to_record(message: Message, arrays: Mapping[str, NDArray[np.float32]] | None = None) -> RecordDict:
    """A record with the message and one array a group."""
    record = RecordDict({MESSAGE: ConfigRecord({PROTOBUF: encode(message)})})
    if arrays:
        record[ARRAYS] = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return record


def message_from_record(kind: type[M], record: RecordDict) -> M:
    """The message in a record; WireError where there is none or it cannot be decoded."""
    config = record.config_records.get(MESSAGE)
    data = config.get(PROTOBUF) if config is not None else None
    if not isinstance(data, bytes):
        raise WireError(f"a record without a {kind.DESCRIPTOR.name}")
    return decode(kind, data)


def arrays_from_record(record: RecordDict) -> dict[str, NDArray[np.float32]]:
    """The arrays in a record by group, read-only; WireError where one is no plain NumPy array (never unpickled).

    `concord.wire.groups.unpack` checks their type and shape.
    """
    arrays: Mapping[str, Array] = record.array_records.get(ARRAYS, {})
    return {name: _read_array(name, array) for name, array in arrays.items()}


def record_bytes(record: RecordDict) -> int:
    """Payload of a record in bytes: messages and arrays, without Flower's envelope."""
    messages = sum(len(v) for config in record.config_records.values() for v in config.values() if isinstance(v, bytes))
    return messages + sum(len(array.data) for arrays in record.array_records.values() for array in arrays.values())


def record_digest(record: RecordDict) -> str:
    """SHA-256, in hexadecimal, of all that a record holds, whatever the order."""
    configs = {f"{name}/{key}": v for name, config in record.config_records.items() for key, v in config.items()}
    parts = {key: value if isinstance(value, bytes) else repr(value).encode() for key, value in configs.items()}
    parts |= {f"{name}/{key}": array.data for name, arrays in record.array_records.items() for key, array in arrays.items()}
    digest = hashlib.sha256()
    for key, data in sorted(parts.items()):
        digest.update(hashlib.sha256(key.encode()).digest() + hashlib.sha256(data).digest())
    return digest.hexdigest()


def _read_array(name: str, array: Array) -> NDArray[np.float32]:
    """The array in NumPy's own format 1.0. Not `numpy.load`: that also opens archives, and allocates what a header claims."""
    try:
        if array.stype != NUMPY:
            raise ValueError(f"serialised as {array.stype!r}")
        stream = io.BytesIO(array.data)
        if read_magic(stream) != (1, 0):
            raise ValueError("another version of the format")
        shape, _, dtype = read_array_header_1_0(stream)
        return np.frombuffer(array.data, dtype, offset=stream.tell()).reshape(shape)  # refuses objects, so nothing is unpickled
    except Exception as error:  # a hostile header makes NumPy's parser raise more than it documents
        raise WireError(f"group {name!r} is no NumPy array: {error}") from error
