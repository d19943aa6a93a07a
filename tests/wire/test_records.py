"""Messages and groups in Flower's records; what arrives is hostile."""

from __future__ import annotations

import io

import numpy as np
import pytest
from changed_bytes import changed_bytes
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from concord.wire.messages import SCHEMA_VERSION, WireError, encode
from concord.wire.records import ARRAYS, MESSAGE, PROTOBUF, arrays_from_record, message_from_record, record_bytes, to_record
from concord.wire.v1 import federation_pb2 as pb

REPORT = pb.Report(schema_version=SCHEMA_VERSION, node="image-a")


def saved(array: np.ndarray, *, version: tuple[int, int] | None = None) -> bytes:  # type: ignore[type-arg]
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue()


def record_with(data: bytes, stype: str = "numpy.ndarray") -> RecordDict:
    return RecordDict({ARRAYS: ArrayRecord({"trunk": Array("float32", (3,), stype, data)})})


def test_message_and_arrays_round_trip() -> None:
    arrays = {"trunk": np.array([1.5, np.nan], np.float32), "head": np.empty(0, np.float32)}
    record = to_record(REPORT, arrays)
    assert message_from_record(pb.Report, record) == REPORT
    back = arrays_from_record(record)
    assert list(back) == ["trunk", "head"]
    assert all(back[name].tobytes() == array.tobytes() and back[name].dtype == np.float32 for name, array in arrays.items())


def test_a_record_without_arrays_has_none() -> None:
    assert arrays_from_record(to_record(REPORT)) == {}


@pytest.mark.parametrize(
    "record",
    [
        RecordDict(),
        RecordDict({MESSAGE: ConfigRecord()}),
        RecordDict({MESSAGE: ConfigRecord({PROTOBUF: "text"})}),
        RecordDict({MESSAGE: ConfigRecord({PROTOBUF: 5})}),
        RecordDict({MESSAGE: MetricRecord({PROTOBUF: 5})}),
        RecordDict({MESSAGE: ArrayRecord()}),
        RecordDict({"other": ConfigRecord({PROTOBUF: encode(REPORT)})}),
    ],
    ids=str,
)
def test_a_record_without_a_message_is_refused(record: RecordDict) -> None:
    with pytest.raises(WireError, match="a record without a Report"):
        message_from_record(pb.Report, record)


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, trunk=np.zeros(3, np.float32))
    return buffer.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x01.",
        b"PK\x03\x04" + bytes(40),
        archive(),
        saved(np.array([print, {}], dtype=object)),
        saved(np.zeros(3, np.float32), version=(2, 0)),
        saved(np.zeros(3, np.float32))[:-1],
        saved(np.zeros(3, np.float32))[:40],
        saved(np.zeros(3, np.float32)) + b"\x00\x00",
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}\n"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n") + bytes(8),
        header("{'descr': '|S0', 'fortran_order': False, 'shape': (1,)}\n"),
        header("{'descr': (('<f4', 'x'), 3), 'fortran_order': 0, 'shape': 1}\n"),
        header("{'descr': '''\n"),
        header("(" * 3000),
        header("{" * 3),
    ],
    ids=range(16),
)
def test_what_is_no_plain_array_is_refused_and_never_unpickled(data: bytes) -> None:
    with pytest.raises(WireError, match="'trunk' is no NumPy array"):
        arrays_from_record(record_with(data))


@pytest.mark.parametrize("stype", ["pickle", "torch.Tensor", ""])
def test_another_serialisation_is_refused(stype: str) -> None:
    with pytest.raises(WireError, match="serialised as"):
        arrays_from_record(record_with(saved(np.zeros(3, np.float32)), stype))


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_an_array_or_a_wire_error(data: bytes, magic: bool) -> None:
    prefix = b"\x93NUMPY\x01\x00" if magic else b""
    try:
        arrays = arrays_from_record(record_with(prefix + data))
    except WireError:
        return
    assert isinstance(arrays["trunk"], np.ndarray)


@given(st.data())
def test_any_mutation_of_an_array_gives_an_array_or_a_wire_error(data: st.DataObject) -> None:
    mutated = changed_bytes(data, saved(np.arange(5, dtype=np.float32)), 3)
    try:
        arrays = arrays_from_record(record_with(mutated))
    except WireError:
        return
    assert not arrays["trunk"].dtype.hasobject
    assert arrays["trunk"].nbytes <= len(mutated)


def test_record_bytes_are_those_of_message_and_arrays() -> None:
    arrays = {"trunk": np.zeros(100, np.float32), "head": np.zeros(7, np.float32)}
    record = to_record(REPORT, arrays)
    record["note"] = ConfigRecord({"text": "not counted", "number": 3})
    assert record_bytes(record) == len(encode(REPORT)) + sum(len(saved(array)) for array in arrays.values())
    assert record_bytes(RecordDict()) == 0
