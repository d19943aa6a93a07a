"""The file of an agent: what it says, paths relative to it, and an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from concord.errors import ConcordError
from peer_app.config import read_peer_config

AGENT = """
[agent]
keys = "keys/ward-3"
data = "/srv/nodes/ward-3"
folder = "../runs/ward-3"
listen = "192.0.2.3:9300"
"""
OTHERS = """
[others]
ward-1 = "ward-1.example.org:9300"
"""
RUN = """
[run]
method = "parse"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "ward-3.toml"
    path.write_text(text)
    return path


def test_the_file_of_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "peers.md").read_text()
    said, config = read_peer_config(written(tmp_path, text.partition("```toml\n")[2].partition("```")[0]))
    assert said.others == {f"subject-{n}-a": f"ward-{n}.example.org:9300" for n in (1, 2)}
    assert (said.agent.start_patience, said.agent.patience) == (120.0, 60.0)
    assert (config.method, config.suite, config.scenario) == ("parse", "activity-agents", "multimodal=0.25")


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, AGENT + OTHERS + RUN)
    said, config = read_peer_config(path)
    assert said.agent.keys == tmp_path / "keys/ward-3"
    assert said.agent.data == Path("/srv/nodes/ward-3")
    assert said.agent.folder.resolve() == tmp_path.parent / "runs/ward-3"
    assert config.run_folder == str(said.agent.folder)
    monkeypatch.chdir(tmp_path)
    assert read_peer_config(Path(path.name)) == (said, config)  # not to where it was started, as long as they are the same


def test_keys_of_a_run_may_be_dotted_quoted_or_tables(tmp_path: Path) -> None:
    dotted = '[run]\nmethod = "parse"\noverlay.kind = "ring"\noverlay.budget = 9000\n'
    quoted = '[run]\nmethod = "parse"\n"overlay.kind" = "ring"\n"overlay.budget" = 9000\n'
    tables = '[run]\nmethod = "parse"\n[run.overlay]\nkind = "ring"\nbudget = 9000\n'
    configs = [read_peer_config(written(tmp_path, AGENT + OTHERS + run))[1] for run in (dotted, quoted, tables)]
    assert configs[0] == configs[1] == configs[2]
    assert (configs[0].overlay.kind, configs[0].overlay.budget) == ("ring", 9000)


def test_patience_is_in_seconds(tmp_path: Path) -> None:
    said, _ = read_peer_config(written(tmp_path, AGENT + "patience = 1.5\nstart-patience = 3\n" + OTHERS + RUN))
    assert (said.agent.patience, said.agent.start_patience) == (1.5, 3.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OTHERS + RUN, "C605 .*ward-3.toml: agent: Field required"),
        (AGENT + RUN, "C605 .*ward-3.toml: others: Field required"),
        (AGENT.replace("keys =", "key =") + OTHERS + RUN, r"C605 .*agent\.key: there is no such key\n.*did you mean keys\?"),
        (AGENT + 'port = "9300"\n' + OTHERS + RUN, r"C605 .*agent\.port: there is no such key\n.*see docs/peers.md"),
        (AGENT + "start_patience = 9\n" + OTHERS + RUN, r"C605 .*agent\.start_patience: .*\n.*did you mean start-patience"),
        (AGENT + "patience = 0\n" + OTHERS + RUN, r"C605 .*agent\.patience: Input should be greater than 0"),
        (AGENT + "patience = inf\n" + OTHERS + RUN, r"C605 .*agent\.patience: Input should be a finite number"),
        (AGENT + "start-patience = -1\n" + OTHERS + RUN, r"C605 .*agent\.start-patience: Input should be greater than 0"),
        (AGENT.replace('"192.0.2.3:9300"', "9300") + OTHERS + RUN, r"C605 .*agent\.listen: Input should be a valid string"),
        (AGENT + "[others]\nward-1 = 9300\n" + RUN, r"C605 .*others\.ward-1: Input should be a valid string"),
        (AGENT + '[others]\n"Ward 3" = "ward-3:9300"\n' + RUN, r"C605 .*others\.Ward 3.*'Ward 3' is no name of an agent"),
        (AGENT + '[others]\n"" = "ward-3:9300"\n' + RUN, r"C605 .*others\..*'' is no name of an agent"),
        (AGENT + f'[others]\n{"a" * 65} = "ward-3:9300"\n' + RUN, r"C605 .*is no name of an agent"),
        (AGENT + '[others]\nward-1 = "nowhere"\n' + RUN, r"C605 .*others\.ward-1: .*'nowhere' is not HOST:PORT"),
        (AGENT.replace(":9300", "") + OTHERS + RUN, r"C605 .*agent\.listen: .*'192.0.2.3' is not HOST:PORT"),
        (AGENT + '[others]\nward.3 = "ward-3:9300"\n' + RUN, r'C605 [\s\S]*write a name with a dot in quotes: "ward\.REST"'),
        (AGENT + OTHERS + "[more]\n", "C605 .*more: there is no such key\n.*see docs/peers.md"),
        (AGENT + OTHERS.replace("others", "other") + RUN, "C605 .*: other: there is no such key\n.*did you mean others"),
        ("run = 3\n" + AGENT + OTHERS, "C605 .*run: Input should be a valid dictionary"),
        (AGENT + "[others", "C605 .*ward-3.toml: "),
        (AGENT + AGENT, "C605 .*ward-3.toml: "),
        (AGENT + OTHERS + '[run]\nmethod = "fedavg"\n', "C103 .*ward-3.toml: 'fedavg' is no method of agents"),
        (AGENT + OTHERS, "C103 .*ward-3.toml: 'geolora' is no method of agents"),
        (AGENT + OTHERS + RUN + "overly.kind = 'ring'\n", r"C101 .*'overly\.kind'"),
        (AGENT + OTHERS + RUN + "rounds = 0\n", "C102 .*rounds"),
        (AGENT + OTHERS + RUN + "rounds = [1]\n", "C102 .*rounds"),
        (AGENT + OTHERS + RUN + "rounds = 2026-01-01\n", "C102 .*rounds"),
        (AGENT + OTHERS + RUN + "overlay = 'ring'\n", "C101 .*'overlay'"),
        (AGENT + OTHERS + RUN + "overlay.degree = 3\n", r"C102 .*overlay\.degree"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=told):
        read_peer_config(written(tmp_path, text))


def test_a_method_that_nobody_knows_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match="C103") as told:
        read_peer_config(written(tmp_path, AGENT + OTHERS + '[run]\nmethod = "pars"\n'))
    assert "parse" in str(told.value.hint)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'[agent]\nkeys = "\xe9"\n')
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(ConcordError, match=f"C605 .*{path}"):
            read_peer_config(path)
