"""``concord keys``: certificates and keys, and what was made told file by file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from concord import keys

NEXT_AUTHORITY = "keep ca.key offline; ca.crt goes to every machine"
NEXT_SERVER = "copy this folder to the SuperLink's machine; `concord keys server --renew` before the certificate expires"
NEXT_NODE = "everything but node.pub stays on this machine; send node.pub to the operator of the SuperLink"


def authority(folder: Path, days: int, console: Console) -> None:
    """Makes a certificate authority."""
    _tell(folder, keys.make_authority(folder, days), NEXT_AUTHORITY, console)


def server(folder: Path, ca: Path, hosts: Sequence[str], days: int, console: Console, *, renew: bool) -> None:
    """Makes or renews the SuperLink's certificate."""
    _tell(folder, keys.make_server(folder, ca, hosts, days, renew=renew), NEXT_SERVER, console)


def node(folder: Path, ca_certificate: Path | None, hosts: Sequence[str] | None, console: Console) -> None:
    """Makes a node's keys."""
    _tell(folder, keys.make_node(folder, ca_certificate, hosts or keys.LOCAL_HOSTS), NEXT_NODE, console)


def _tell(folder: Path, made: Sequence[Path], after: str, console: Console) -> None:
    for path in made:
        console.print(f"made {path}", soft_wrap=True, highlight=False)
    if not made:
        console.print(f"{folder}: everything is there; nothing was changed", soft_wrap=True, highlight=False)
    console.print(after, soft_wrap=True, highlight=False)
