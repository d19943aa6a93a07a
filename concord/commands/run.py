"""``concord run``: a whole run in Flower's simulation, from a checked configuration to a table and a report."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from concord.commands.bar import bar
from concord.commands.tables import result_table
from concord.config import RunConfig, Scalar, parse_config
from concord.errors import ConcordError
from concord.flower import check_app_folder, repository
from concord.own import OF_FOLDERS, require_anchors, with_encoders
from concord.progress import Watch
from concord.run_folder import RunFolder
from concord.simulation import run_simulation

if TYPE_CHECKING:
    from client_app.data.own.advance import Advance

FOLDER_KEYS = ("data", "anchors")


def start(
    options: Mapping[str, Scalar | None], settings: Iterable[str], out: Path | None, console: Console, *, quiet: bool
) -> None:
    """A new run; options that are None were not given."""
    flat = {"share-test-embeddings": True, **new_settings(options, settings)}  # all data is on this machine
    config = completed(parse_config(flat))
    folder = RunFolder((out or default_folder(config)).expanduser().resolve())
    perform(config.model_copy(update={"run_folder": str(folder.path)}), folder, console, quiet=quiet)


def completed(config: RunConfig) -> RunConfig:
    """The configuration with what follows from the anchors of own data: which encoder reads a modality."""
    require_anchors(config)
    if config.suite not in OF_FOLDERS or (config.encoders and not Path(config.anchors).is_dir()):
        return config  # anchors of another machine are checked there
    from concord.anchors import load_anchors

    return with_encoders(config, load_anchors(Path(config.anchors)))


def resume(path: Path, settings: Iterable[str], console: Console, *, quiet: bool) -> None:
    """Goes on with the run in `path` after its last finished round."""
    from server_app.checkpoint import has_checkpoint

    folder = RunFolder(path.expanduser().resolve())
    flat = resumed_settings(folder.read_config(), settings)
    if not has_checkpoint(folder.checkpoint):
        raise ConcordError("C402", f"{folder.checkpoint} holds no checkpoint", "no round was finished: start the run again")
    perform(parse_config({**flat, "run-folder": str(folder.path)}), folder, console, quiet=quiet)


def perform(config: RunConfig, folder: RunFolder, console: Console, *, quiet: bool) -> None:
    """Checks all that can be checked, trains, and shows the figures."""
    from server_app.results import load_result

    with bar(console, hidden=quiet) as advance:
        nodes = count_nodes(config, advance)
    check_app_folder(repository())
    folder.prepare(config)
    if not quiet:
        console.print(f"{config.method} on {config.suite}: {nodes} nodes, run folder {shown(folder.path)}", soft_wrap=True)
    with nullcontext(lambda: None) if quiet else Watch(folder, console) as watch:
        run_simulation(config, repository(), nodes, watch)
    console.print(result_table(load_result(folder.path)))
    console.print(f"report: {shown(folder.report)}", soft_wrap=True)


def count_nodes(config: RunConfig, advance: Advance) -> int:
    """How many nodes the run has, after checking its method, data, scenario, anchors, device and model as the parties will."""
    from client_app.data.federation import federation_of
    from client_app.model_check import model_width
    from client_app.node import choose_device
    from strategies.registry import check_method

    pooled = check_method(config).pooled
    federation = federation_of(config, pooled=pooled, advance=advance)
    choose_device(config.device)
    model_width(config, federation.anchors)
    nodes = len(federation.parties)
    if config.min_nodes > nodes:
        hint = f"set min-nodes to at most {nodes}"
        raise ConcordError("C401", f"min-nodes is {config.min_nodes}, and suite {config.suite} has {nodes} nodes", hint)
    return nodes


def new_settings(options: Mapping[str, Scalar | None], settings: Iterable[str]) -> dict[str, Scalar]:
    """The flat configuration of a new run: options, then ``--set``; folders are made absolute."""
    given = {key: value for key, value in options.items() if value is not None}
    flat: dict[str, Scalar] = {**given, **dict(map(parse_setting, settings))}
    folders = {key: absolute(str(flat[key])) for key in FOLDER_KEYS if flat.get(key)}
    return flat | folders


def resumed_settings(flat: Mapping[str, Scalar], settings: Iterable[str]) -> dict[str, Scalar]:
    """The flat configuration of a run that goes on: its own, but for the number of rounds."""
    changes = dict(map(parse_setting, settings))
    if other := sorted(set(changes) - {"rounds"}):
        raise ConcordError(
            "C402", f"a run goes on with its own settings, not with another {', '.join(other)}", "set only rounds, or start anew"
        )
    return {**flat, **changes, "resume": True}


def parse_setting(text: str) -> tuple[str, Scalar]:
    """``key=value``: the value as TOML, or as it stands when it is not a TOML scalar."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConcordError("C102", f"--set {text!r} is not key=value", "write for example --set rounds=3")
    return key.strip(), parse_scalar(value.strip())


def parse_scalar(text: str) -> Scalar:
    """A TOML scalar, or the text itself."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document["value"]
    return value if len(document) == 1 and isinstance(value, str | int | float | bool) else text


def default_folder(config: RunConfig) -> Path:
    """A new folder in ``runs`` with the time and what is run in its name."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{config.method}-{config.suite}-{config.seed}"


def shown(path: Path) -> Path:
    """A path as a person here would name it: relative when it is below the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())
