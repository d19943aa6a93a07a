"""The `concord` command. Everything heavy is imported inside the commands, so that help is there at once.

Exit status: 0 when all went well; 1 when a run failed, data has errors or the SuperLink was away, so that the same
command may succeed later; 2 for a mistake of the user that was found before training; 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from concord.commands.classify import classify
from concord.commands.embed import embed
from concord.commands.retrieve import retrieve
from concord.console import plain_console
from concord.errors import ConcordError
from concord.scenario import USAGE

NO_MISTAKE = ("C404", "C406", "C407", "C408", "C602")  # codes of what may happen to a command that is right

app = typer.Typer(name="concord", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Data suites: what there is, and whether it is complete.")
app.add_typer(data_app, name="data")
keys_app = typer.Typer(no_args_is_help=True, help="Certificates and keys of a federation on real machines.")
app.add_typer(keys_app, name="keys")
anchors_app = typer.Typer(no_args_is_help=True, help="Public anchor sets of your own.")
app.add_typer(anchors_app, name="anchors")

Method = Annotated[str | None, typer.Option(help="a name of `concord methods`; default geolora")]
Scenario = Annotated[
    str | None,
    typer.Option(help=USAGE),
]
Seed = Annotated[int | None, typer.Option(help="seed of splits, initial weights and batches")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any key of `concord config`")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print only the end")]
Suite = Annotated[str | None, typer.Option(help="a name of `concord data list`, own or own-graph; default demo")]
Data = Annotated[
    Path | None, typer.Option(help="folder with the data packs, or of suites own and own-graph with a folder a node")
]
Encoders = Annotated[
    str, typer.Option(metavar="NAME=ENCODER,...", help="as in the run, where it gives features of nodes from their texts")
]
Anchors = Annotated[Path | None, typer.Option(help="folder of a public anchor set; default the suite's own")]


def _run_options(
    method: str | None, suite: str | None, scenario: str | None, data: Path | None, anchors: Path | None, seed: int | None
) -> dict[str, str | int | None]:
    """The options that are keys of the run configuration; None: not given."""
    folders = {key: None if path is None else str(path) for key, path in (("data", data), ("anchors", anchors))}
    return {"method": method, "suite": suite, "scenario": scenario, "seed": seed, **folders}


@app.callback()
def concord() -> None:
    """Federated learning of one multimodal model across nodes that share no modality and no sample."""


@app.command()
def run(
    method: Method = None,
    suite: Suite = None,
    scenario: Scenario = None,
    data: Data = None,
    anchors: Anchors = None,
    seed: Seed = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; default runs/<time>-<method>-<suite>-<seed>")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder; only --set rounds=N beside it")] = None,
    quiet: Quiet = False,
) -> None:
    """Trains in Flower's simulation on this machine, and prints the figures and where the report is.

    All data is on this machine, so nodes send embeddings of test samples for the retrieval figures; where that is
    not wanted, add --set share-test-embeddings=false.
    """
    from concord.commands import run as command

    options = _run_options(method, suite, scenario, data, anchors, seed)
    if resume is None:
        command.start(options, settings or [], out, plain_console(), quiet=quiet)
        return
    if out is not None or any(value is not None for value in options.values()):
        raise ConcordError("C402", "a run goes on with its own settings and folder", "beside --resume give only --set rounds=N")
    command.resume(resume, settings or [], plain_console(), quiet=quiet)


@app.command()
def submit(
    out: Annotated[Path, typer.Argument(help="the run folder, as the ServerApp's machine sees it")],
    superlink: Annotated[str, typer.Option(help="host and port of the SuperLink's Control API")] = "127.0.0.1:9093",
    ca_certificate: Annotated[Path | None, typer.Option(help="the federation's ca.crt")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="without TLS: for trials on one machine")] = False,
    nodes: Annotated[
        list[Path] | None, typer.Option("--node", help="node.pub of a node to let in, or a folder of them; may be repeated")
    ] = None,
    method: Method = None,
    suite: Suite = None,
    scenario: Scenario = None,
    data: Data = None,
    anchors: Anchors = None,
    seed: Seed = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Trains on the nodes of a running SuperLink, and follows the run to its end.

    The same command again goes on with a run that was cut off, and only shows one that is done.
    """
    from concord.commands import submit as command

    if (ca_certificate is None) != insecure:
        raise ConcordError("C601", "neither or both of --ca-certificate and --insecure", "name the federation's ca.crt")
    options = _run_options(method, suite, scenario, data, anchors, seed)
    command.submit(superlink, ca_certificate, nodes or [], options, settings or [], out.absolute(), plain_console(), quiet=quiet)


@app.command()
def peer(
    config: Annotated[Path, typer.Option(help="the agent's peer.toml, see docs/peers.md")] = Path("peer.toml"),
    quiet: Quiet = False,
) -> None:
    """Runs one agent without a server: it trains on its own data and exchanges slices with its neighbours.

    The same command again goes on after the last round that is done.
    """
    from concord.commands import peer as command

    command.run(config, plain_console(), quiet=quiet)


app.command()(embed)
app.command()(classify)
app.command()(retrieve)


@data_app.command("list")
def data_list() -> None:
    """Lists the suites: modalities, needs, licence and source."""
    from concord.commands import inspect

    inspect.list_data(plain_console())


@data_app.command("check")
def data_check(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE|FOLDER", help="a name of `concord data list`, or a folder of your own")
    ] = "demo",
    data: Data = None,
    anchors: Annotated[Path | None, typer.Option(help="of a folder: the anchor set, which tells the concepts")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="of a folder: decode every file, and not only its head")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="of a folder: one JSON object a line and problem")] = False,
) -> None:
    """Checks that the data of a suite, or of your own, is complete and readable; exits 1 when it is not."""
    from concord.commands import inspect, own

    if inspect.is_folder(suite):
        sound = own.check_folder(Path(suite), anchors, plain_console(), deep=deep, as_json=as_json)
    else:
        sound = inspect.check_data(suite, data or Path(), plain_console())
    if not sound:
        raise typer.Exit(1)


@data_app.command("deal")
def data_deal(
    out: Annotated[
        Path, typer.Argument(help="a folder a node is made below it; with a single --node it is the folder of that node")
    ],
    suite: Annotated[str, typer.Option(help="a name of `concord data list`")] = "demo",
    scenario: Annotated[str, typer.Option(help="which labels and modalities are left out")] = "labelled",
    data: Data = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the splits; that of the run")] = 0,
    node: Annotated[list[str] | None, typer.Option(help="only this node; may be repeated")] = None,
    encoders: Encoders = "",
) -> None:
    """Writes each node's part of a suite to a folder of its own, as real nodes have their data."""
    from concord.commands import inspect

    inspect.deal_data(out, suite, scenario, data, seed, node or [], plain_console(), encoders)


@data_app.command("anchors")
def data_anchors(
    out: Annotated[Path, typer.Argument(help="the folder of the anchor set")],
    suite: Annotated[str, typer.Option(help="a name of `concord data list`")] = "demo",
    scenario: Annotated[str, typer.Option(help="that of the run; only on graphs do anchors depend on it")] = "labelled",
    data: Data = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the splits; that of the run")] = 0,
    encoders: Encoders = "",
) -> None:
    """Writes the public anchors of a suite, which a server needs that has no data: `--set anchors=OUT`."""
    from concord.commands import inspect

    inspect.write_anchors(out, suite, scenario, data, seed, plain_console(), encoders)


@anchors_app.command("build")
def anchors_build(
    out: Annotated[Path, typer.Argument(help="the folder of the anchor set")],
    modality: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="public samples of a modality; may be repeated")
    ] = None,
    concepts: Annotated[
        Path | None, typer.Option(help="a table with a column `concept`, and one of paths or texts a modality")
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(metavar="NAME=ENCODER", help="who reads a modality; default by the kind of its files")
    ] = None,
    graph: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="instead: of graphs, whose labels and features are agreed on")
    ] = None,
    per_concept: Annotated[int, typer.Option(min=1, help="most samples of a concept and modality")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="draws the samples where there are more")] = 0,
) -> None:
    """Makes an anchor set from folders of public files, from a table of concepts, or from folders of graphs."""
    from concord.commands import own

    if graph:
        if modality or concepts or encoder:
            raise ConcordError("C102", "--graph: a set is of graphs or of samples", "leave the other options out")
        own.build_graph_anchors(out, graph, plain_console())
        return
    own.build_anchors(out, modality or [], concepts, encoder or [], per_concept, seed, plain_console())


@anchors_app.command("check")
def anchors_check(
    folder: Annotated[Path, typer.Argument(help="the folder of an anchor set")],
    plot: Annotated[Path | None, typer.Option(help="write how stable CKA is, by number of concepts, as SVG")] = None,
    seed: Annotated[int, typer.Option(min=0, help="that of the run whose first round is looked at")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Tells how good an anchor set is: coverage, concepts that look alike, stability of CKA; exits 1 for an error."""
    from concord.commands import own

    if not own.check_anchors(folder, plot, seed, plain_console(), as_json=as_json):
        raise typer.Exit(1)


@keys_app.command("ca")
def keys_ca(
    folder: Annotated[Path, typer.Argument(help="folder of the authority")] = Path("keys/ca"),
    days: Annotated[int, typer.Option(min=1, help="until it expires")] = 3650,
) -> None:
    """Makes the certificate authority of a federation; what is there is kept."""
    from concord.commands import keys

    keys.authority(folder, days, plain_console())


@keys_app.command("server")
def keys_server(
    host: Annotated[list[str], typer.Option(help="a name or address by which the SuperLink is called; may be repeated")],
    folder: Annotated[Path, typer.Argument(help="folder of the SuperLink")] = Path("keys/superlink"),
    ca: Annotated[Path, typer.Option(help="folder made by `concord keys ca`")] = Path("keys/ca"),
    days: Annotated[int, typer.Option(min=1, help="until it expires")] = 825,
    renew: Annotated[bool, typer.Option("--renew", help="issue the certificate again; nodes need nothing new")] = False,
) -> None:
    """Makes the SuperLink's certificate and secret; what is there is kept."""
    from concord.commands import keys

    keys.server(folder, ca, host, days, plain_console(), renew=renew)


@keys_app.command("node")
def keys_node(
    folder: Annotated[Path, typer.Argument(help="folder of the node, named after it: keys/ward-3")],
    ca_certificate: Annotated[Path | None, typer.Option(help="the federation's ca.crt, copied into the folder")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="a name by which the ClientApp executor calls the SuperNode; default localhost")
    ] = None,
) -> None:
    """Makes a node's keys, on the node's own machine; what is there is kept."""
    from concord.commands import keys

    keys.node(folder, ca_certificate, host, plain_console())


@keys_app.command("peer")
def keys_peer(
    folder: Annotated[Path, typer.Argument(help="folder of the agent, named after it: keys/ward-3")],
    host: Annotated[
        list[str] | None, typer.Option(help="a name or address of the agent's machine; may be repeated; default localhost")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="folder made by `concord keys ca`; without it, a request is made for its holder to sign")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="until the certificate expires")] = 825,
    renew: Annotated[bool, typer.Option("--renew", help="make the certificate, or the request, again with the same key")] = False,
) -> None:
    """Makes the key and certificate of an agent without a server; what is there is kept."""
    from concord.commands import keys

    keys.peer(folder, ca, host, days, plain_console(), renew=renew)


@keys_app.command("sign")
def keys_sign(
    request: Annotated[Path, typer.Argument(help="peer.csr of an agent")],
    ca: Annotated[Path, typer.Option(help="folder made by `concord keys ca`")] = Path("keys/ca"),
    days: Annotated[int, typer.Option(min=1, help="until the certificate expires")] = 825,
    renew: Annotated[bool, typer.Option("--renew", help="replace the certificate beside the request")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="sign without asking")] = False,
) -> None:
    """Shows what an agent asks for, and issues its certificate beside the request."""
    from concord.commands import keys

    if not keys.sign(request, ca, days, plain_console(), renew=renew, confirm=lambda: yes or typer.confirm("Is this the agent?")):
        raise typer.Exit(1)


@app.command()
def methods() -> None:
    """Lists the methods."""
    from concord.commands import inspect

    inspect.list_methods(plain_console())


@app.command()
def config() -> None:
    """Lists all keys of the run configuration, with type, default and meaning."""
    from concord.commands import inspect

    inspect.show_config(plain_console())


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]) -> None:
    """Writes report.html of a run again."""
    from concord.commands import inspect

    inspect.rewrite_report(folder, plain_console())


def main() -> None:
    """The command line; errors that a user can mend are told without a traceback."""
    try:
        app()
    except ConcordError as error:
        plain_console(stderr=True).print(str(error), style="red", soft_wrap=True)
        sys.exit(1 if error.code in NO_MISTAKE else 2)
