"""Settings of gRPC for both ends of a connection between agents, in one place because they must agree."""

from __future__ import annotations

import re

from concord.certificates import agent_host
from concord.errors import ConcordError
from concord.wire.v1 import federation_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Agents"].full_name
MESSAGE_BYTES = 64 << 20  # of one message, in either direction
GREET_BYTES = 1 << 20  # of an introduction
THREADS = 16  # calls that an agent works on at once; so many messages may lie in its memory
CALLS = 64  # calls that it accepts; the others wait for a thread, and what they say for them to read it
CALL_SECONDS = 60.0  # of one call, at least; then it gives way to those that wait
CONNECTIONS = 512  # that callers may hold open, a descriptor each; a process usually has 1024
HANDSHAKE_SECONDS = 5  # until a caller has proved itself; then its connection is closed
CALLS_OF_ONE = 2  # calls of one agent that it works on at once, so that one cannot take all threads

PING_SECONDS = 20  # a caller looks so often whether the other is there, also between rounds
PONG_SECONDS = 10  # and takes the connection for dead after so long
LEAST_PING_SECONDS = PING_SECONDS // 2  # who pings more often is cut off
RECONNECT_SECONDS = (0.2, 2.0)  # first and longest pause between attempts to connect
CONNECT_SECONDS = 5  # for one attempt
RESOLVE_SECONDS = 2  # least time between two look-ups of a host, whose address may have changed

Options = list[tuple[str, int | str]]

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


def server_options(message_bytes: int) -> Options:
    """Of the end that is called."""
    return [
        *_both(message_bytes),
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        ("grpc.so_reuseport", 0),  # otherwise two agents can share a port, and each gets a part of the calls
        ("grpc.keepalive_time_ms", 2 * PING_SECONDS * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_SECONDS * 1000),
    ]


def channel_options(name: str, message_bytes: int) -> Options:
    """Of the end that calls the agent `name`: the certificate must be of this agent, wherever it answers."""
    first, longest = RECONNECT_SECONDS
    return [
        *_both(message_bytes),
        ("grpc.ssl_target_name_override", agent_host(name)),
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.initial_reconnect_backoff_ms", int(first * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(longest * 1000)),
        ("grpc.min_reconnect_backoff_ms", CONNECT_SECONDS * 1000),
        ("grpc.dns_min_time_between_resolutions_ms", RESOLVE_SECONDS * 1000),
        ("grpc.use_local_subchannel_pool", 1),
    ]


def checked_address(address: str) -> str:
    """`address`, if it is host:port; ConcordError C604 otherwise. gRPC takes much else, and may then listen everywhere."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[1]) > 65535:
        raise ConcordError("C604", f"{address!r} is not HOST:PORT", "give a name or an address, such as 192.0.2.7:9094")
    return address


def _both(message_bytes: int) -> Options:
    return [
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_send_message_length", message_bytes),
        ("grpc.keepalive_timeout_ms", PONG_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
