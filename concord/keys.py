"""Certificates and keys of a federation: one folder for the authority, one for the SuperLink, one for each node.

A folder holds all that its machine needs and nothing of another's. A node makes its key where it will be used; only
the public half leaves. What is there is kept, so every function can be called again.

======================  =====================================  ===========================================
authority (offline)     SuperLink                              node
======================  =====================================  ===========================================
``ca.crt ca.key``       ``ca.crt server.crt server.key``       ``node.key node.pub link.crt link.key``
                        ``superexec.secret``                   ``superexec.secret``, and ``ca.crt`` as a copy
======================  =====================================  ===========================================

``server.*`` proves the SuperLink to all. ``node.*`` proves the node to the SuperLink. ``link.*`` protects the way
between a SuperNode and its own ClientApp executor, which no other machine uses: it is its own authority.
``superexec.secret`` lets executors take tasks.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from concord.errors import ConcordError
from concord.run_folder import atomic_write

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825  # more is refused by some TLS stacks
LOCAL_HOSTS = ("localhost", "127.0.0.1")
SECRET_BYTES = 32
_BACKDATED = timedelta(hours=1)  # clocks of machines differ

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
SERVER_CERTIFICATE, SERVER_KEY = "server.crt", "server.key"
LINK_CERTIFICATE, LINK_KEY = "link.crt", "link.key"
NODE_KEY, NODE_PUBLIC_KEY = "node.key", "node.pub"
SECRET = "superexec.secret"  # noqa: S105 - a file name


def make_authority(folder: Path, days: int = AUTHORITY_DAYS) -> list[Path]:
    """A certificate authority of the federation's own (ECDSA P-384).

    Returns:
        The files that were made; none where both were there.
    """
    if _complete(folder, CA_CERTIFICATE, CA_KEY):
        return []
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = _certificate("Concord federation CA", key, None, (), days, is_authority=True)
    return _write_pair(folder, CA_CERTIFICATE, certificate, CA_KEY, key)


def make_server(
    folder: Path, authority: Path, hosts: Sequence[str], days: int = SERVER_DAYS, *, renew: bool = False
) -> list[Path]:
    """The SuperLink's certificate for the names and addresses in `hosts`, its copy of the CA and the executors' secret.

    Args:
        folder: made if missing.
        authority: folder made by `make_authority`.
        hosts: every name or address by which nodes, executors and the command line call the SuperLink.
        days: until the certificate expires.
        renew: make the certificate again with the key that is there; nodes need nothing new.

    Raises:
        ConcordError: C601, when the authority cannot be read, a pair is torn, or no host is given.
    """
    if not hosts:
        raise ConcordError("C601", "a server certificate without a host name", "name every host name or address with --host")
    made = []
    if renew or not _complete(folder, SERVER_CERTIFICATE, SERVER_KEY):
        issuer = _read_certificate(authority / CA_CERTIFICATE), _read_key(authority / CA_KEY)
        key = _read_key(folder / SERVER_KEY) if renew else ec.generate_private_key(ec.SECP384R1())
        certificate = _certificate(hosts[0], key, issuer, hosts, days)
        made += _write_pair(folder, SERVER_CERTIFICATE, certificate, SERVER_KEY, key)
    return made + _copy_authority(authority / CA_CERTIFICATE, folder) + _make_secret(folder)


def make_node(folder: Path, authority_certificate: Path | None = None, hosts: Sequence[str] = LOCAL_HOSTS) -> list[Path]:
    """All that a node needs; nothing of it but ``node.pub`` has to leave the machine, and that is no secret.

    Args:
        folder: made if missing.
        authority_certificate: the federation's ``ca.crt``, copied into the folder; may be put there by hand later.
        hosts: names by which the node's ClientApp executor calls its SuperNode.

    Raises:
        ConcordError: C601, when a pair is torn or the CA's certificate cannot be read.
    """
    made = []
    if not _complete(folder, NODE_KEY, NODE_PUBLIC_KEY):
        key = ec.generate_private_key(ec.SECP384R1())
        openssh = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        made += [_write_secret(folder / NODE_KEY, openssh), _write_public(folder / NODE_PUBLIC_KEY, public + b"\n")]
    if not _complete(folder, LINK_CERTIFICATE, LINK_KEY):
        key = ec.generate_private_key(ec.SECP384R1())
        link = _certificate(f"{folder.name} link", key, None, hosts, AUTHORITY_DAYS, is_authority=True)
        made += _write_pair(folder, LINK_CERTIFICATE, link, LINK_KEY, key)
    if authority_certificate is not None:
        made += _copy_authority(authority_certificate, folder)
    return made + _make_secret(folder)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    hosts: Sequence[str],
    days: int,
    *,
    is_authority: bool = False,
) -> x509.Certificate:
    """A certificate signed by `issuer`, or by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
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
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA384())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConcordError("C601", f"{host!r} is no host name: {error}", "give a DNS name or an IP address") from error


def _complete(folder: Path, *names: str) -> bool:
    """Whether all files are there; ConcordError C601 when only some are."""
    there = [name for name in names if (folder / name).exists()]
    if there and len(there) < len(names):
        missing = ", ".join(sorted(set(names) - set(there)))
        hint = f"bring {missing} back, or delete {', '.join(there)} too and make the pair again"
        raise ConcordError("C601", f"{folder} has {', '.join(there)} but not {missing}", hint)
    return bool(there)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConcordError("C601", f"{path}: {error}", "make the authority with `concord keys ca`, or name its folder") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConcordError(
            "C601", f"{path}: {error}", "name the folder that holds the key, and check that you may read it"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConcordError("C601", f"{path}: not an elliptic-curve key", "make the pair again with `concord keys`")
    return key


def _copy_authority(certificate: Path, folder: Path) -> list[Path]:
    pem = _read_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    target = folder / CA_CERTIFICATE
    if target.exists() and target.read_bytes() == pem:
        return []
    return [_write_public(target, pem)]


def _make_secret(folder: Path) -> list[Path]:
    path = folder / SECRET
    return [] if path.exists() else [_write_secret(path, secrets.token_hex(SECRET_BYTES).encode())]


def _write_pair(
    folder: Path, certificate_name: str, certificate: x509.Certificate, key_name: str, key: ec.EllipticCurvePrivateKey
) -> list[Path]:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return [
        _write_secret(folder / key_name, pem),
        _write_public(folder / certificate_name, certificate.public_bytes(serialization.Encoding.PEM)),
    ]


def _write_public(path: Path, content: bytes) -> Path:
    return _write(path, content, 0o644)


def _write_secret(path: Path, content: bytes) -> Path:
    return _write(path, content, 0o600)


def _write(path: Path, content: bytes, mode: int) -> Path:
    try:
        atomic_write(path, content, mode)
    except OSError as error:
        raise ConcordError("C601", f"{path}: {error}", "choose a folder that you may write to") from error
    return path
