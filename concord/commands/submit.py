"""``concord submit``: a run on real machines, from public keys to a table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from concord.commands.run import completed, new_settings, shown
from concord.commands.tables import result_table
from concord.config import RunConfig, Scalar, parse_config
from concord.deployment import SuperLink, follow, public_keys, wait_for_others
from concord.flower import repository
from concord.progress import Watch
from concord.run_folder import RunFolder


def submit(
    address: str,
    ca_certificate: Path | None,
    nodes: Sequence[Path],
    options: Mapping[str, Scalar | None],
    settings: Iterable[str],
    out: Path,
    console: Console,
    *,
    quiet: bool,
) -> None:
    """Registers the nodes, and does the run in `out`; one that was begun goes on, one that is done is only shown."""
    from strategies.registry import check_method

    config = completed(parse_config({**new_settings(options, settings), "run-folder": str(out), "resume": True}))
    check_method(config)
    folder = RunFolder(out)
    if not _is_done(folder, config):
        with tempfile.TemporaryDirectory(prefix="concord-") as home:
            superlink = SuperLink(address, ca_certificate, Path(home))
            superlink.connect()
            for key in public_keys(nodes):
                word = "registered" if superlink.register(key) else "known"
                console.print(f"{word}: {key}", soft_wrap=True)
            if not quiet:
                console.print(f"{config.method} on {address}: run folder {shown(out)}", soft_wrap=True)
            with nullcontext(lambda: None) if quiet else Watch(folder, console) as watch:
                wait_for_others(superlink, watch)
                if not _is_done(folder, config):
                    follow(superlink, repository(), config, watch)
    _show(folder, console)


def _is_done(folder: RunFolder, config: RunConfig) -> bool:
    """Whether this very run has finished; one with other settings is for the server to refuse."""
    return folder.is_finished(config.rounds) and {**folder.read_config(), "resume": True} == config.flat()


def _show(folder: RunFolder, console: Console) -> None:
    from server_app.results import load_result

    if not folder.result.exists():
        where = f"the run folder {folder.path} is on the SuperLink's machine"
        console.print(f"finished; {where}", soft_wrap=True)
        return
    console.print(result_table(load_result(folder.path)))
    console.print(f"report: {shown(folder.report)}", soft_wrap=True)
