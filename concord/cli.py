"""The `concord` command. Everything heavy is imported inside the commands, so that help is there at once.

Exit status: 0 when all went well, 1 when a run failed or data has errors, 2 for a mistake of the user that was found
before training, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from concord.errors import ConcordError

RUN_FAILED = "C404"

app = typer.Typer(name="concord", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Data suites: what there is, and whether it is complete.")
app.add_typer(data_app, name="data")

Suite = Annotated[str | None, typer.Option(help="a name of `concord data list`; default demo")]
Data = Annotated[Path | None, typer.Option(help="folder with the data packs; suite demo needs none")]


@app.callback()
def concord() -> None:
    """Federated learning of one multimodal model across nodes that share no modality and no sample."""


@app.command()
def run(
    method: Annotated[str | None, typer.Option(help="a name of `concord methods`; default geolora")] = None,
    suite: Suite = None,
    scenario: Annotated[str | None, typer.Option(help="labelled, unlabelled=<modality>, disjoint-labels, local-heads")] = None,
    data: Data = None,
    seed: Annotated[int | None, typer.Option(help="seed of splits, initial weights and batches")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any key of `concord config`")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; default runs/<time>-<method>-<suite>-<seed>")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder; only --set rounds=N beside it")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only the end")] = False,
) -> None:
    """Trains in Flower's simulation on this machine, and prints the figures and where the report is.

    All data is on this machine, so nodes send embeddings of test samples for the retrieval figures; where that is
    not wanted, add --set share-test-embeddings=false.
    """
    from concord.commands import run as command

    options = {
        "method": method,
        "suite": suite,
        "scenario": scenario,
        "data": None if data is None else str(data),
        "seed": seed,
    }
    if resume is None:
        command.start(options, settings or [], out, Console(), quiet=quiet)
        return
    if out is not None or any(value is not None for value in options.values()):
        raise ConcordError("C402", "a run goes on with its own settings and folder", "beside --resume give only --set rounds=N")
    command.resume(resume, settings or [], Console(), quiet=quiet)


@data_app.command("list")
def data_list() -> None:
    """Lists the suites: modalities, needs, licence and source."""
    from concord.commands import inspect

    inspect.list_data(Console())


@data_app.command("check")
def data_check(suite: Annotated[str, typer.Argument(help="a name of `concord data list`")] = "demo", data: Data = None) -> None:
    """Checks that the data of a suite is complete and readable; exits 1 when it is not."""
    from concord.commands import inspect

    if not inspect.check_data(suite, data or Path(), Console()):
        raise typer.Exit(1)


@app.command()
def methods() -> None:
    """Lists the methods."""
    from concord.commands import inspect

    inspect.list_methods(Console())


@app.command()
def config() -> None:
    """Lists all keys of the run configuration, with type, default and meaning."""
    from concord.commands import inspect

    inspect.show_config(Console())


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]) -> None:
    """Writes report.html of a run again."""
    from concord.commands import inspect

    inspect.rewrite_report(folder, Console())


def main() -> None:
    """The command line; errors that a user can mend are told without a traceback."""
    try:
        app()
    except ConcordError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1 if error.code == RUN_FAILED else 2)
