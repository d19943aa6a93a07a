"""``concord keys``: certificates and keys, and what was made told file by file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from concord import keys
from concord.certificates import Request, read_request

NEXT_AUTHORITY = "keep ca.key offline; ca.crt goes to every machine"
NEXT_SERVER = "copy this folder to the SuperLink's machine; `concord keys server --renew` before the certificate expires"
NEXT_NODE = "everything but node.pub stays on this machine; send node.pub to the operator of the SuperLink"
NEXT_PEER = "this folder is for the agent's machine alone; `concord keys peer --renew` before the certificate expires"
NEXT_REQUEST = "send peer.csr to the holder of the authority (`concord keys sign`); put peer.crt and ca.crt from there in here"
NEXT_SIGNED = "send both certificates back; in the agent's folder they are called peer.crt and ca.crt"


def authority(folder: Path, days: int, console: Console) -> None:
    """Makes a certificate authority."""
    _tell(folder, keys.make_authority(folder, days), NEXT_AUTHORITY, console)


def server(folder: Path, ca: Path, hosts: Sequence[str], days: int, console: Console, *, renew: bool) -> None:
    """Makes or renews the SuperLink's certificate."""
    _tell(folder, keys.make_server(folder, ca, hosts, days, renew=renew), NEXT_SERVER, console)


def node(folder: Path, ca_certificate: Path | None, hosts: Sequence[str] | None, console: Console) -> None:
    """Makes a node's keys."""
    _tell(folder, keys.make_node(folder, ca_certificate, hosts or keys.LOCAL_HOSTS), NEXT_NODE, console)


def peer(folder: Path, ca: Path | None, hosts: Sequence[str] | None, days: int, console: Console, *, renew: bool) -> None:
    """Makes or renews the certificate of an agent, or the request for it."""
    made = keys.make_peer(folder, ca, hosts or keys.LOCAL_HOSTS, days, renew=renew)
    asks = folder / keys.PEER_REQUEST in made or not (folder / keys.PEER_CERTIFICATE).exists()
    _tell(folder, made, NEXT_REQUEST if asks else NEXT_PEER, console)
    if asks:
        _show(folder / keys.PEER_REQUEST, read_request(folder / keys.PEER_REQUEST), console)


def sign(request: Path, ca: Path, days: int, console: Console, *, renew: bool, confirm: Callable[[], bool]) -> bool:
    """Issues the certificate that was asked for, if `confirm` says so."""
    wanted = read_request(request)
    _show(request, wanted, console)
    if not confirm():
        return False
    _tell(request, keys.sign_request(request, wanted, ca, days, renew=renew), NEXT_SIGNED, console)
    return True


def _show(path: Path, request: Request, console: Console) -> None:
    shown = f"{path}: agent {request.name}, hosts {', '.join(request.hosts)}\nSHA-256 of its key: {request.fingerprint}"
    console.print(shown, soft_wrap=True)


def _tell(folder: Path, made: Sequence[Path], after: str, console: Console) -> None:
    for path in made:
        console.print(f"made {path}", soft_wrap=True)
    if not made:
        console.print(f"{folder}: everything is there; nothing was changed", soft_wrap=True)
    console.print(after, soft_wrap=True)
