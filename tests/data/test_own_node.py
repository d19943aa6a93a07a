"""A folder of own data becomes a node: features on disk, roles of samples, labels as concepts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flwr.app import Context, RecordDict, UserConfig
from own_data import CONCEPTS, SPEECH, write_pictures, write_sounds
from torch import Tensor

from client_app.app import open_node
from client_app.data.federation import federation_of
from client_app.data.own.anchors import build_anchors, public_folder
from client_app.data.own.check import check_own
from client_app.data.own.entry import FILE, Entry
from client_app.data.own.features import features
from client_app.data.own.node import load_own
from client_app.data.own.roles import roles_of
from client_app.data.preparation.registry import preparation_of
from client_app.files import read
from concord.anchors import AnchorSet, load_anchors, save_anchors
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.own import with_encoders
from concord.samples import NO_LABEL


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> AnchorSet:
    folder = tmp_path_factory.mktemp("public")
    places = {"speech": write_sounds(folder / "speech", ("dan",)), "sign": write_pictures(folder / "sign", 5)}
    return build_anchors({m: public_folder(place, m) for m, place in places.items()}, {}, (), 4, seed=0)


@pytest.fixture
def config(anchors: AnchorSet) -> RunConfig:
    return with_encoders(RunConfig(suite="own"), anchors)


def entry(id_: str, owner: str | None = None, split: str | None = None) -> Entry:
    return Entry(id_, id_, FILE, None, owner, split, 1, "")


def test_a_fifth_is_for_tests_and_a_new_sample_moves_no_other() -> None:
    entries = [entry(str(i)) for i in range(2000)]
    roles = roles_of(entries, seed=0)
    assert set(roles.values()) == {"train", "random"}
    assert 300 < sum(role == "random" for role in roles.values()) < 500
    assert roles_of(entries[:1000], seed=0) == {e.id: roles[e.id] for e in entries[:1000]}
    assert roles_of(entries[::-1], seed=0) == roles
    assert roles_of(entries, seed=1) != roles


def test_a_fifth_of_the_owners_is_held_out_whole() -> None:
    roles = roles_of([entry(f"{owner}-{i}", owner) for owner in "abcdefghij" for i in range(20)], seed=0)
    unseen = {id_[0] for id_, role in roles.items() if role == "unseen"}
    assert len(unseen) == 2
    assert all((role == "unseen") == (id_[0] in unseen) for id_, role in roles.items())


def test_one_owner_is_not_held_out() -> None:
    assert "unseen" not in roles_of([entry(str(i), "ann") for i in range(50)], seed=0).values()


def test_a_split_that_is_told_counts_first_and_for_all_modalities_of_an_instance() -> None:
    said = [entry("1", "ann", "Test"), entry("2", "bob", "unseen"), entry("3", "cem", "train")]
    assert roles_of([entry("1", "ann"), *said], seed=0) == {"1": "random", "2": "unseen", "3": "train"}
    with pytest.raises(ConcordError, match=r"C205.*'tset'"):
        roles_of([entry("1", split="tset")], seed=0)


def test_each_sample_is_prepared_once_whatever_the_order(tmp_path: Path) -> None:
    made: list[str] = []

    def of(keys: Sequence[str]) -> Tensor:
        def prepare(positions: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
            for n in reversed(positions):
                made.append(keys[n])
                yield n, torch.full((3, 2), float(keys[n]))

        x = features(tmp_path, "a folder", keys, prepare)
        assert x[:, 0, 0].tolist() == [float(key) for key in keys]
        return x

    first = of(["1", "2", "3"])
    assert sorted(made) == ["1", "2", "3"]
    of(["1", "2", "3"])
    of(["3", "2"])
    of(["4", "3", "1"])
    assert sorted(made) == ["1", "1", "2", "3", "4"]  # "1" was not in the newest file
    of(["5", "6"])
    of(["7"])
    assert first[:, 0, 0].tolist() == [1, 2, 3]  # its file is gone by now
    assert (len(list(tmp_path.glob("*/*.npy"))), len(list(tmp_path.glob("*/*.keys")))) == (3, 3)


def test_damaged_features_are_made_again(tmp_path: Path) -> None:
    def prepare(positions: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        yield from ((n, torch.ones(2)) for n in positions)

    features(tmp_path, "damage", ["a", "b"], prepare)
    (path,) = tmp_path.glob("*/*.npy")
    path.write_bytes(path.read_bytes()[:-3])
    assert features(tmp_path, "damage", ["a", "b"], prepare).tolist() == [[1, 1], [1, 1]]


def test_a_node_has_its_samples_as_the_encoder_takes_them(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    folder = write_sounds(tmp_path / "clinic")
    node = load_own(folder, config, anchors)
    assert node.name == "clinic"
    parts = [node.train["speech"], *(tests["speech"] for tests in node.tests.values())]
    assert sum(map(len, parts)) == len(list(folder.glob("*.wav")))
    assert len({id_.split("_")[1] for id_ in node.tests["unseen"]["speech"].ids}) == 1
    prepare = preparation_of("sound").prepare
    for part in parts:
        for i in range(0, len(part), 7):
            path = folder / part.ids[i].removeprefix("clinic/")
            assert torch.equal(part.x[i], prepare(read("audio", path)))
            assert CONCEPTS[part.y[i]] == path.name.split("_")[0]
    again = load_own(folder, config, anchors)
    assert again.train["speech"].ids == node.train["speech"].ids


def test_what_is_found_without_a_name_is_the_anchors_only_modality_of_its_kind(
    tmp_path: Path, config: RunConfig, anchors: AnchorSet
) -> None:
    folder = write_pictures(tmp_path / "school")
    assert list(load_own(folder, config, anchors).train) == ["sign"]
    both = replace(anchors, modalities={**anchors.modalities, "scan": anchors.of("sign")}, encoders=TWO_OF_IMAGES)
    with pytest.raises(ConcordError, match=r"C205.*sign, scan of that kind"):
        load_own(folder, with_encoders(RunConfig(suite="own"), both), both)
    heard = AnchorSet(anchors.concepts, {"speech": anchors.of("speech")}, {"speech": "sound"})
    with pytest.raises(ConcordError, match="C302"):
        load_own(folder, with_encoders(RunConfig(suite="own"), heard), heard)


TWO_OF_IMAGES = {"speech": "sound", "sign": "image", "scan": "image"}


def test_modalities_of_an_instance_share_its_role_and_gaps_are_normal(tmp_path: Path) -> None:
    public = {"notes": tmp_path / "p/manifest.csv", "sign": write_pictures(tmp_path / "p2")}
    (tmp_path / "p").mkdir()
    public["notes"].write_text("text,label\ntwo,2\nten,10\nthirty,30\n")
    folder = write_pictures(tmp_path / "ward")
    ids = [f"{concept}-{i}" for concept in CONCEPTS for i in range(12)]
    cells = [
        f"{id_},{id_.split('-')[0]},{id_.replace('-', '/')}.png,{'' if n % 5 == 0 else 'a word'}" for n, id_ in enumerate(ids)
    ]
    (folder / "visits.csv").write_text("\n".join(["id,label,path,text", *cells]) + "\n")
    table = 'table = "visits.csv"\n'
    (folder / "dataset.toml").write_text(f'[modality.sign]\nkind = "image"\n{table}[modality.notes]\nkind = "text"\n{table}')
    places = {"notes": public_folder(tmp_path / "p", "notes"), "sign": public_folder(public["sign"], "sign")}
    anchors = build_anchors(places, {}, (), 4, seed=0)
    node = load_own(folder, with_encoders(RunConfig(suite="own"), anchors), anchors)
    assert anchors.concepts == CONCEPTS
    sizes = {m: sum(len(part[m]) for part in (node.train, *node.tests.values())) for m in ("sign", "notes")}
    assert sizes == {"sign": 36, "notes": 28}
    assert set(node.train["notes"].ids) < set(node.train["sign"].ids)
    assert node.joint["random"] == node.tests["random"]["notes"].ids
    assert node.joint["random"]


def test_samples_without_a_label_are_learnt_from_and_not_tested(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    folder = write_pictures(tmp_path / "a")
    for path in folder.rglob("*.png"):
        path.rename(folder / f"{path.parent.name}-{path.name}")
    node = load_own(folder, config, anchors)
    assert set(node.train["sign"].y.tolist()) == {NO_LABEL}
    assert not any(len(tests["sign"]) for tests in node.tests.values())
    labelled = write_pictures(tmp_path / "b")
    hidden = config.model_copy(update={"scenario": "unlabelled=sign"})
    node = load_own(labelled, hidden, anchors)
    assert set(node.train["sign"].y.tolist()) == {NO_LABEL}
    assert NO_LABEL not in node.tests["random"]["sign"].y


def test_mistakes_are_told(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    folder = write_sounds(tmp_path / "clinic")
    for scenario in ("missing=0.5", "disjoint-labels", "task=links"):
        with pytest.raises(ConcordError, match="C204"):
            load_own(folder, config.model_copy(update={"scenario": scenario}), anchors)
    with pytest.raises(ConcordError, match="C103"):
        load_own(folder, config.model_copy(update={"method": "parse"}), anchors)
    with pytest.raises(ConcordError, match=r"C303.*sign=image,speech=sound"):
        load_own(folder, config.model_copy(update={"encoders": "speech=word,sign=image"}), anchors)
    (folder / "dataset.toml").write_text(SPEECH + 'encoder = "word"\n')
    with pytest.raises(ConcordError, match=r"C303.*encoder word"):
        load_own(folder, config, anchors)
    (folder / "dataset.toml").write_text(SPEECH + 'labels = {"2" = "two"}\n')
    with pytest.raises(ConcordError, match=r"C207.*'two'"):
        load_own(folder, config, anchors)
    (folder / "dataset.toml").write_text('[modality.sign]\nkind = "audio"\nfiles = "{label}_*.wav"\n')
    with pytest.raises(ConcordError, match=r"C303.*sign is audio"):
        load_own(folder, config, anchors)
    (folder / "dataset.toml").write_text(SPEECH.replace("speech", "talk"))
    with pytest.raises(ConcordError, match=r"C302.*'talk'"):
        load_own(folder, config, anchors)
    (folder / "dataset.toml").write_text(SPEECH)
    (folder / "2_ann_0.wav").write_bytes(b"RIFF")
    with pytest.raises(ConcordError, match=r"C206.*2_ann_0.wav"):
        load_own(folder, config, anchors)


def test_a_file_that_changes_is_prepared_again(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    folder = write_pictures(tmp_path / "school")
    node = load_own(folder, config, anchors)
    path = folder / node.train["sign"].ids[0].removeprefix("school/")
    before = node.train["sign"].x[0].clone()
    path.write_bytes((folder / node.train["sign"].ids[-1].removeprefix("school/")).read_bytes())
    os.utime(path, ns=(1, 1))
    after = load_own(folder, config, anchors).train["sign"].x[0]
    assert not torch.equal(before, after)


def test_names_that_are_no_utf8_are_read_and_written_out(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    folder = write_pictures(tmp_path / "school", seed=9)
    odd = os.fsencode(folder / "2") + b"/caf\xe9.png"
    os.rename(folder / "2/0.png", odd)  # noqa: PTH104
    node = load_own(folder, config, anchors)
    ids = {id_ for part in (node.train, *node.tests.values()) for id_ in part["sign"].ids}
    assert "school/2/caf\\xe9.png" in ids
    assert check_own(folder, anchors, lambda doing, done, total: None, deep=True).problems == ()
    Path(os.fsdecode(odd)).write_bytes(b"")
    (problem,) = check_own(folder, anchors, lambda doing, done, total: None).problems
    assert problem.place.endswith("caf\\xe9.png")
    assert "caf" not in problem.message


def test_each_folder_is_a_node(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    save_anchors(anchors, tmp_path / "anchors")
    write_sounds(tmp_path / "data/clinic")
    write_pictures(tmp_path / "data/school")
    run = config.model_copy(update={"data": str(tmp_path / "data"), "anchors": str(tmp_path / "anchors")})
    federation = federation_of(run)
    assert [(node.name, list(node.train)) for node in federation.nodes] == [("clinic", ["speech"]), ("school", ["sign"])]
    assert federation.anchors.digest == anchors.digest
    (pooled,) = federation_of(run, pooled=True).nodes
    assert pooled.sizes == {m: node.sizes[m] for node in federation.nodes for m in node.train}
    alone = federation_of(run.model_copy(update={"data": str(tmp_path / "data/clinic")}))
    assert [node.name for node in alone.nodes] == ["clinic"]
    (tmp_path / "data/school/dataset.toml").write_text('node = "clinic"\n[modality.sign]\nkind = "image"\nfiles = "{label}/*"\n')
    for data, code in ((tmp_path / "data", "C205"), (tmp_path / "nowhere", "C201"), (tmp_path / "anchors", "C201")):
        with pytest.raises(ConcordError, match=code):
            federation_of(run.model_copy(update={"data": str(data)}))
    with pytest.raises(ConcordError, match="C302"):
        federation_of(run.model_copy(update={"anchors": ""}))


def test_a_supernode_names_its_folder_and_its_copy_of_the_anchors(tmp_path: Path, config: RunConfig, anchors: AnchorSet) -> None:
    save_anchors(anchors, tmp_path / "anchors")
    folder = write_sounds(tmp_path / "clinic")
    run = config.model_copy(update={"anchors": "/of/the/server", "run_folder": str(tmp_path / "run")})
    about: UserConfig = {"data": str(folder), "anchors": str(tmp_path / "anchors"), "state-folder": str(tmp_path / "state")}
    census = open_node(Context(0, 1, about, RecordDict(), dict(run.flat()))).census()
    assert census.node == "clinic"
    assert len(list((tmp_path / "state/own-features").glob("*/*.npy"))) == 1
    assert census.anchor_digest == anchors.digest
    (holding,) = census.holdings
    assert (holding.modality, list(holding.labels)) == ("speech", [0, 1, 2])
    assert holding.examples == holding.labelled > 20
    pooled = run.model_copy(update={"method": "centralised"})
    with pytest.raises(ConcordError, match="C205"):
        open_node(Context(0, 1, about, RecordDict(), dict(pooled.flat())))


def test_the_anchors_say_how_they_were_made(tmp_path: Path, anchors: AnchorSet) -> None:
    assert anchors.concepts == CONCEPTS
    assert {m: len(samples) for m, samples in anchors.modalities.items()} == {"speech": 12, "sign": 12}
    assert anchors.encoders == {"speech": "sound", "sign": "image"}
    save_anchors(anchors, tmp_path)
    again = load_anchors(tmp_path)
    assert (again.digest, again.encoders, again.contents) == (anchors.digest, anchors.encoders, anchors.contents)
    assert replace(anchors, encoders={}).digest != anchors.digest
    for wrong in (("1 ab",) * 12, anchors.contents["sign"][:-1]):
        save_anchors(replace(anchors, contents={"sign": wrong}), tmp_path)
        with pytest.raises(ConcordError, match="C301"):
            load_anchors(tmp_path)
    assert with_encoders(RunConfig(suite="own", encoders="sign=image"), anchors).encoders == "sign=image,speech=sound"
    with pytest.raises(ConcordError, match="C303"):
        with_encoders(RunConfig(suite="own", encoders="sign=word"), anchors)


def test_what_is_prepared_is_told_and_only_once(anchors: AnchorSet, config: RunConfig, tmp_path: Path) -> None:
    school = write_pictures(tmp_path / "school", 20)
    told: list[tuple[str, int, int]] = []
    for _ in range(2):
        load_own(school, config, anchors, tmp_path / "kept", lambda *progress: told.append(progress))
    assert told == [("school: preparing sign", done, 60) for done in (32, 60)]
