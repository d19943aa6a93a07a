"""X.509 certificates of a federation (ECDSA P-384): made, asked for and read. Which files there are is in `concord.keys`.

An agent is known by its name, wherever it runs. So its certificate carries the name twice: as the common name, which a
server sees, and as a host name below `OUR_DOMAIN`, which a client can insist on. No other certificate has such a host name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from concord.errors import ConcordError

OUR_DOMAIN = "concord.internal"
AUTHORITY_HINT = "make the authority with `concord keys ca`, or name its folder"
REQUEST_HINT = "ask its sender for the file `peer.csr` that `concord keys peer` made"

_BACKDATED = timedelta(hours=1)  # clocks of machines differ
_AGENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Request:
    """What an agent asks the authority to certify; its sender has the private key.

    Attributes:
        name: of the agent.
        hosts: names and addresses of its machine.
        key: its public key.
    """

    name: str
    hosts: tuple[str, ...]
    key: PublicKey

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, for two people to compare."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(
            self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
        return digest.finalize().hex(":")

    def is_answered_by(self, certificate: x509.Certificate) -> bool:
        """Whether the certificate is of this agent, key and hosts."""
        names = host_names(certificate.extensions)
        mine = {*self.hosts, agent_host(self.name)}
        return certificate.public_key() == self.key and common_name(certificate.subject) == self.name and set(names) == mine


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def self_signed(name: str, key: PrivateKey, days: int, hosts: Sequence[str] = ()) -> x509.Certificate:
    """A certificate that trusts itself; with `hosts`, also that of a server."""
    return _certificate(name, key.public_key(), _server_extensions(hosts), days, key, None)


def server_certificate(
    key: PublicKey, hosts: Sequence[str], days: int, issuer: x509.Certificate, issuer_key: PrivateKey
) -> x509.Certificate:
    """The certificate of a server that is called by `hosts`."""
    return _certificate(hosts[0], key, _server_extensions(hosts), days, issuer_key, issuer)


def agent_certificate(request: Request, days: int, issuer: x509.Certificate, issuer_key: PrivateKey) -> x509.Certificate:
    """The certificate of an agent, which is a server to some and a client of others."""
    names = [*map(_general_name, request.hosts), x509.DNSName(agent_host(request.name))]
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    extensions: list[x509.ExtensionType] = [x509.SubjectAlternativeName(names), uses]
    return _certificate(request.name, request.key, extensions, days, issuer_key, issuer)


def agent_request(name: str, key: PrivateKey, hosts: Sequence[str]) -> bytes:
    """A request for the certificate of an agent, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
    return builder.sign(key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)


def read_request(path: Path) -> Request:
    """A request that `agent_request` made; ConcordError C601 for anything else. Nothing of it but name, hosts and key counts."""
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
        name, hosts, key = common_name(request.subject), host_names(request.extensions), request.public_key()
        if not request.is_signature_valid:
            raise InvalidSignature("its sender does not have the key")
    except (OSError, ValueError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension) as error:
        raise ConcordError("C601", f"{path} is no request for a certificate: {error}", REQUEST_HINT) from error
    if not isinstance(key, PublicKey) or not isinstance(key.curve, ec.SECP384R1) or not hosts:
        raise ConcordError("C601", f"{path}: not a P-384 key with host names", REQUEST_HINT)
    for host in hosts:
        _general_name(host)
    return Request(agent_name(name), hosts, key)


def agent_name(name: str) -> str:
    """`name`, if an agent can be called so; ConcordError C601 otherwise."""
    if not _AGENT.fullmatch(name):
        hint = "name the folder after the agent: up to 64 of a-z, 0-9, '.', '_' and '-', such as keys/ward-3"
        raise ConcordError("C601", f"{name!r} is no name of an agent", hint)
    return name


def agent_host(name: str) -> str:
    """The host name that only the certificate of this agent has."""
    return f"{name}.agent.{OUR_DOMAIN}"


def common_name(subject: x509.Name) -> str:
    """The common name; empty unless there is exactly one."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def host_names(extensions: x509.Extensions) -> tuple[str, ...]:
    """DNS names and addresses in the order in which they stand there."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


def read_certificate(path: Path, hint: str = AUTHORITY_HINT) -> x509.Certificate:
    """The first certificate of a PEM file; ConcordError C601 with `hint` where there is none."""
    return read_certificates(path, hint)[0]


def read_certificates(path: Path, hint: str = AUTHORITY_HINT) -> list[x509.Certificate]:
    """All certificates of a PEM file, of which there is at least one."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConcordError("C601", f"{path}: {error}", hint) from error


def read_key(path: Path) -> PrivateKey:
    """The private key of a PEM file; ConcordError C601 where there is none, or none of ours."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConcordError(
            "C601", f"{path}: {error}", "name the folder that holds the key, and check that you may read it"
        ) from error
    if not isinstance(key, PrivateKey):
        raise ConcordError("C601", f"{path}: not an elliptic-curve key", "make the pair again with `concord keys`")
    return key


def _certificate(
    name: str,
    key: PublicKey,
    extensions: Sequence[x509.ExtensionType],
    days: int,
    signer: PrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """A certificate signed by `signer`, who is `issuer`; without one it is an authority itself."""
    is_authority = issuer is None
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(_subject(name) if issuer is None else issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA384())


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # more the format does not allow


def _server_extensions(hosts: Sequence[str]) -> list[x509.ExtensionType]:
    if not hosts:
        return []
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    return [names, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if f".{host.lower().rstrip('.')}".endswith(f".{OUR_DOMAIN}"):
        raise ConcordError("C601", f"host name {host!r}: {OUR_DOMAIN} stands for names of agents", "leave this --host out")
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConcordError("C601", f"{host!r} is no host name: {error}", "give a DNS name or an IP address") from error
