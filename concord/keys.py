"""Certificates and keys of a federation: one folder for the authority, one for the SuperLink, one for each node or agent.

A folder holds all that its machine needs and nothing of another's. A node makes its key where it will be used; only
the public half leaves. What is there is kept, so every function can be called again.

===================  ================================  ===============================================  ======================
authority (offline)  SuperLink                         node                                             agent without a server
===================  ================================  ===============================================  ======================
``ca.crt ca.key``    ``ca.crt server.crt server.key``  ``node.key node.pub link.crt link.key``          ``peer.key peer.crt``,
                     ``superexec.secret``              ``superexec.secret``, and ``ca.crt`` as a copy   ``ca.crt`` as a copy
===================  ================================  ===============================================  ======================

``server.*`` proves the SuperLink to all. ``node.*`` proves the node to the SuperLink. ``link.*`` protects the way
between a SuperNode and its own ClientApp executor, which no other machine uses: it is its own authority.
``superexec.secret`` lets executors take tasks.

``peer.*`` proves an agent to all others, whether it calls or is called. Where the authority is on another machine, an agent
makes ``peer.key`` and a request ``peer.csr``; the authority signs that, and sends ``peer.crt`` and ``ca.crt`` back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from concord.certificates import (
    PrivateKey,
    Request,
    agent_certificate,
    agent_name,
    agent_request,
    common_name,
    new_key,
    read_certificate,
    read_key,
    read_request,
    self_signed,
    server_certificate,
)
from concord.errors import ConcordError
from concord.run_folder import atomic_write

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825  # more is refused by some TLS stacks
LOCAL_HOSTS = ("localhost", "127.0.0.1")
SECRET_BYTES = 32

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
SERVER_CERTIFICATE, SERVER_KEY = "server.crt", "server.key"
LINK_CERTIFICATE, LINK_KEY = "link.crt", "link.key"
NODE_KEY, NODE_PUBLIC_KEY = "node.key", "node.pub"
PEER_CERTIFICATE, PEER_KEY, PEER_REQUEST = "peer.crt", "peer.key", "peer.csr"
SECRET = "superexec.secret"  # noqa: S105 - a file name


def make_authority(folder: Path, days: int = AUTHORITY_DAYS) -> list[Path]:
    """A certificate authority of the federation's own (ECDSA P-384).

    Returns:
        The files that were made; none where both were there.
    """
    if _complete(folder, CA_CERTIFICATE, CA_KEY):
        return []
    key = new_key()
    certificate = self_signed("Concord federation CA", key, days)
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
        key = read_key(folder / SERVER_KEY) if renew else new_key()
        certificate = server_certificate(key.public_key(), hosts, days, *_read_authority(authority))
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
        key = new_key()
        openssh = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        made += [_write_secret(folder / NODE_KEY, openssh), _write_public(folder / NODE_PUBLIC_KEY, public + b"\n")]
    if not _complete(folder, LINK_CERTIFICATE, LINK_KEY):
        key = new_key()
        link = self_signed(f"{folder.name} link", key, AUTHORITY_DAYS, hosts)
        made += _write_pair(folder, LINK_CERTIFICATE, link, LINK_KEY, key)
    if authority_certificate is not None:
        made += _copy_authority(authority_certificate, folder)
    return made + _make_secret(folder)


def make_peer(
    folder: Path,
    authority: Path | None = None,
    hosts: Sequence[str] = LOCAL_HOSTS,
    days: int = SERVER_DAYS,
    *,
    renew: bool = False,
) -> list[Path]:
    """What an agent without a server proves itself with to the others; its name is that of the folder.

    Args:
        folder: made if missing. A certificate or request in it keeps its name when the folder gets another one.
        authority: folder made by `make_authority`; None where it is on another machine: then a request is made.
        hosts: names and addresses of the agent's machine. Agents know each other by name, other clients go by these.
        days: until the certificate expires.
        renew: make the certificate, or the request, again with the key that is there; other agents need nothing new.

    Raises:
        ConcordError: C601, when the authority cannot be read, the key is gone, or the folder's name is none of an agent.
    """
    certificate, request, secret = folder / PEER_CERTIFICATE, folder / PEER_REQUEST, folder / PEER_KEY
    name = _peer_name(folder)
    there = [path.name for path in (certificate, request) if path.exists()]
    made = []
    if not secret.exists():
        if there or renew:
            hint = f"bring {PEER_KEY} back, or begin again in an empty folder"
            raise ConcordError("C601", f"{folder} has {', '.join(there) or 'nothing to renew,'} but not {PEER_KEY}", hint)
        made.append(_write_key(secret, new_key()))
    key = read_key(secret)
    if authority is None:
        if renew or not there:
            made.append(_write_public(request, agent_request(name, key, hosts)))
        return made
    if renew or not certificate.exists():
        wanted = Request(name, tuple(hosts), key.public_key())
        made.append(_write_certificate(certificate, agent_certificate(wanted, days, *_read_authority(authority))))
    return made + _copy_authority(authority / CA_CERTIFICATE, folder)


def sign_request(path: Path, request: Request, authority: Path, days: int = SERVER_DAYS, *, renew: bool = False) -> list[Path]:
    """The certificate for `request`, and a copy of the authority's own, beside the file `path` that the request was read from.

    Raises:
        ConcordError: C601, when the authority cannot be read, or another certificate is there and `renew` is not set.
    """
    target = path.with_suffix(".crt")
    if target == path or target.name == CA_CERTIFICATE:
        raise ConcordError("C601", f"the certificate for {path} would be {target}", "call it AGENT.csr")
    made = []
    if target.exists() and not renew:
        if not request.is_answered_by(read_certificate(target)):
            raise ConcordError("C601", f"{target} is there, and is not for this request", "give --renew to replace it")
    else:
        made.append(_write_certificate(target, agent_certificate(request, days, *_read_authority(authority))))
    return made + _copy_authority(authority / CA_CERTIFICATE, path.parent)


def _peer_name(folder: Path) -> str:
    """The name in the certificate or request that is there; otherwise the folder's, which a container may not show."""
    if (folder / PEER_CERTIFICATE).exists():
        return agent_name(common_name(read_certificate(folder / PEER_CERTIFICATE).subject))
    if (folder / PEER_REQUEST).exists():
        return read_request(folder / PEER_REQUEST).name
    return agent_name(folder.absolute().name)


def _complete(folder: Path, *names: str) -> bool:
    """Whether all files are there; ConcordError C601 when only some are."""
    there = [name for name in names if (folder / name).exists()]
    if there and len(there) < len(names):
        missing = ", ".join(sorted(set(names) - set(there)))
        hint = f"bring {missing} back, or delete {', '.join(there)} too and make the pair again"
        raise ConcordError("C601", f"{folder} has {', '.join(there)} but not {missing}", hint)
    return bool(there)


def _read_authority(folder: Path) -> tuple[x509.Certificate, PrivateKey]:
    return read_certificate(folder / CA_CERTIFICATE), read_key(folder / CA_KEY)


def _copy_authority(certificate: Path, folder: Path) -> list[Path]:
    pem = read_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    target = folder / CA_CERTIFICATE
    if target.exists() and target.read_bytes() == pem:
        return []
    return [_write_public(target, pem)]


def _make_secret(folder: Path) -> list[Path]:
    path = folder / SECRET
    return [] if path.exists() else [_write_secret(path, secrets.token_hex(SECRET_BYTES).encode())]


def _write_pair(folder: Path, certificate_name: str, certificate: x509.Certificate, key_name: str, key: PrivateKey) -> list[Path]:
    return [_write_key(folder / key_name, key), _write_certificate(folder / certificate_name, certificate)]


def _write_key(path: Path, key: PrivateKey) -> Path:
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return _write_secret(path, key.private_bytes(*encoding))


def _write_certificate(path: Path, certificate: x509.Certificate) -> Path:
    return _write_public(path, certificate.public_bytes(serialization.Encoding.PEM))


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
