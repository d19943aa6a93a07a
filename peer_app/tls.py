"""Who an agent is: the folder of `concord keys peer`, and what gRPC makes of it. Both ends prove themselves."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from concord.certificates import agent_host, agent_name, common_name, host_names, read_certificate, read_certificates, read_key
from concord.errors import ConcordError
from concord.keys import CA_CERTIFICATE, PEER_CERTIFICATE, PEER_KEY

MAKE_HINT = "make it with `concord keys peer`, or put the certificate that the authority signed in its place"
RENEW_HINT = "renew it with `concord keys peer --renew`, and start the agent again"
AUTHORITY_HINT = "put the ca.crt of the federation's new authority beside the old one, in the same file"
CLOCK_HINT = "set the clock of this machine right"
SOON = timedelta(days=30)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What an agent proves itself with, and by what it knows the others; all PEM.

    Attributes:
        name: of the agent, as all others see it.
        certificate, key: its own.
        authorities: certificates of the federation's authority; two while it is replaced.
    """

    name: str
    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes


def read_identity(folder: Path, now: datetime | None = None) -> Identity:
    """What is in a folder of `concord keys peer`.

    Args:
        folder: with ``peer.crt``, ``peer.key`` and ``ca.crt``.
        now: at which the certificates must be valid; None: now.

    Raises:
        ConcordError: C601, when a file is missing or broken, they do not belong together, or a certificate has expired.
    """
    path = folder / PEER_CERTIFICATE
    certificate, key = read_certificate(path, MAKE_HINT), read_key(folder / PEER_KEY)
    authorities = read_certificates(folder / CA_CERTIFICATE, "put the federation's ca.crt in its place")
    if certificate.public_key() != key.public_key():
        raise ConcordError("C601", f"{path} is not of the key {PEER_KEY} beside it", MAKE_HINT)
    now = now or datetime.now(UTC)
    _check_time(path, certificate, now, RENEW_HINT)
    issuers = [authority for authority in authorities if _issued(authority, certificate)]
    if not issuers:
        raise ConcordError("C601", f"{path} was not signed by the authority in {folder / CA_CERTIFICATE}", MAKE_HINT)
    _check_time(folder / CA_CERTIFICATE, issuers[0], now, AUTHORITY_HINT)
    name = agent_name(common_name(certificate.subject))
    if agent_host(name) not in host_names(certificate.extensions) or not _is_for_both_ends(certificate):
        raise ConcordError("C601", f"{path} is no certificate of an agent", MAKE_HINT)
    pem = serialization.Encoding.PEM
    return Identity(
        name,
        certificate.public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        b"".join(authority.public_bytes(pem) for authority in authorities),
    )


def server_credentials(identity: Identity) -> grpc.ServerCredentials:
    """Of the end that is called; a caller without a certificate of the federation gets no further than the handshake."""
    pair = [(identity.key, identity.certificate)]
    return grpc.ssl_server_credentials(pair, root_certificates=identity.authorities, require_client_auth=True)


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Of the end that calls; whom it expects to answer is in `peer_app.options.channel_options`."""
    return grpc.ssl_channel_credentials(identity.authorities, identity.key, identity.certificate)


def _check_time(path: Path, certificate: x509.Certificate, now: datetime, hint: str) -> None:
    """ConcordError C601 outside the time that a certificate is valid for; a warning in the log before its end."""
    end = certificate.not_valid_after_utc
    if now > end:
        raise ConcordError("C601", f"{path} has expired on {end:%Y-%m-%d %H:%M} UTC", hint)
    if end - now < SOON:
        log.warning("%s is valid until %s: %s", path, f"{end:%Y-%m-%d}", hint)
    if now < certificate.not_valid_before_utc:
        begin = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise ConcordError("C601", f"{path} is not valid before {begin} UTC, and here it is {now:%Y-%m-%d %H:%M}", CLOCK_HINT)


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_for_both_ends(certificate: x509.Certificate) -> bool:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= set(uses)
