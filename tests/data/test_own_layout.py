"""Where own data are: patterns, tables, `dataset.toml`, and what is found without it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client_app.data.own.index import entries_of, read_entries
from client_app.data.own.layout import Source, read_dataset
from client_app.data.own.pattern import PatternError, compiled, walk
from client_app.data.own.tables import column_names, rows
from concord.errors import ConcordError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("pattern", "path", "told"),
    [
        ("{label}_{owner}_{take}.wav", "0_george_27.wav", {"label": "0", "owner": "george", "take": "27"}),
        ("Dataset/{label}/*.JPG", "Dataset/3/IMG_4.JPG", {"label": "3"}),
        ("Dataset/{label}/*.JPG", "Dataset/3/more/IMG_4.JPG", None),
        ("Dataset/{label}/*.JPG", "Dataset/3/IMG_4JPG", None),
        ("**/{label}/*", "cat/1.png", {"label": "cat"}),
        ("**/{label}/*", "a/b/cat/1.png", {"label": "cat"}),
        ("**/{label}/*", "1.png", None),
        ("{split}/{label}/{id}.png", "test/a+b/x.y.png", {"split": "test", "label": "a+b", "id": "x.y"}),
    ],
)
def test_a_pattern_tells_of_a_file(pattern: str, path: str, told: dict[str, str] | None) -> None:
    found = compiled(pattern).fullmatch(path)
    assert (found.groupdict() if found else None) == told


@pytest.mark.parametrize("pattern", ["/etc/*", "../{label}/*", "{label}/{label}.png", "{label", "a}", "{a b}.png"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compiled(pattern)


def test_hidden_files_are_not_walked(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.png", "a.png", ".git/2.png", "b/.DS_Store", "a/x/3.png")
    assert [path for path, _ in walk(tmp_path)] == ["a.png", "a/x/3.png", "b/1.png"]


TABLE = {"id": ["1", "2", "3"], "text": ["seven", "", 'a "b"\nc'], "label": ["7", "8", ""]}


def write_table(path: Path) -> Path:
    lines = [dict(zip(TABLE, cells, strict=True)) for cells in zip(*TABLE.values(), strict=True)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({**TABLE, "label": pa.array([7, 8, None])}), path)
    elif path.suffix == ".jsonl":
        numbered = [line | {"label": int(line["label"]) if line["label"] else None} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in numbered))
    else:
        comma = "\t" if path.suffix == ".tsv" else ","
        quoted = [comma.join('"' + line[name].replace('"', '""') + '"' for name in TABLE) for line in lines]
        path.write_text("\n".join([comma.join(TABLE), *quoted]) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_reads_alike_in_all_formats(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"t{suffix}")
    assert column_names(path) == ("id", "text", "label")
    assert list(rows(path, ("label", "text"))) == [("7", "seven"), ("8", None), (None, 'a "b"\nc')]
    assert next(rows(path, ("text", "id", "text"))) == ("seven", "1", "seven")
    with pytest.raises(ConcordError, match=r"C205.*no column is called owner"):
        list(rows(path, ("owner",)))


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".csv", b"a,b\n1\n"), (".csv", b"a,a\n1,2\n"), (".jsonl", b"[1]\n"), (".jsonl", b"{"), (".parquet", b"PAR1")],
)
def test_a_broken_table_is_told(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConcordError, match="C206"):
        list(rows(path, ("a",)))


def test_texts_are_rows_and_an_empty_one_is_a_gap(tmp_path: Path) -> None:
    write_table(tmp_path / "notes.csv")
    source = Source(kind="text", table="notes.csv", labels={"7": "seven"})
    entries = entries_of(tmp_path, source)
    assert [(e.id, e.row, e.label, e.place) for e in entries] == [
        ("1", 0, "seven", "notes.csv, row 1"),
        ("3", 2, None, "notes.csv, row 3"),
    ]
    assert [(e.id, text) for e, text in read_entries(tmp_path, source, entries[::-1])] == [("1", "seven"), ("3", 'a "b"\nc')]


def test_dataset_toml_tells_all(tmp_path: Path) -> None:
    touch(tmp_path, "takes/0_ann_1.wav", "takes/1_bob_2.wav", "takes/notes.txt")
    write_table(tmp_path / "visits.csv")
    (tmp_path / "dataset.toml").write_text(
        'node = "ward-3"\n[modality.speech]\nkind = "audio"\nfiles = "takes/{label}_{owner}_{id}.wav"\n'
        '[modality.notes]\nkind = "text"\ntable = "visits.csv"\n'
    )
    dataset = read_dataset(tmp_path)
    assert (dataset.name, list(dataset.sources), dataset.named) == ("ward-3", ["speech", "notes"], True)
    speech = entries_of(tmp_path, dataset.sources["speech"])
    assert [(e.id, e.label, e.owner, e.path) for e in speech] == [
        ("1", "0", "ann", "takes/0_ann_1.wav"),
        ("2", "1", "bob", "takes/1_bob_2.wav"),
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[modality.a]\nkind = 'image'", "name either files"),
        ("[modality.a]\nkind = 'image'\nfiles = '*'\ntable = 'a.csv'", "name either files"),
        ("[modality.a]\nkind = 'smell'\nfiles = '*'", "modality.a.kind"),
        ("[modality.a]\nkind = 'image'\nfiles = '../*'", "leads out"),
        ("[modality.a]\nkind = 'image'\nfiles = '*'\nlable = 'x'", "lable"),
        ("[modality.a]\nkind = 'image'\nfiles = '*'\nrate = 3", "rate is for audio"),
        ("node = '..'\n[modality.a]\nkind = 'image'\nfiles = '*'", "node"),
        ("node = 'a/b'\n[modality.a]\nkind = 'image'\nfiles = '*'", "node"),
        ("[modality]", "modality"),
        ("kind = ", "dataset.toml"),
    ],
)
def test_a_mistake_in_dataset_toml_is_told(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ConcordError, match="C205") as told:
        read_dataset(tmp_path)
    assert where in told.value.message


def test_folders_of_classes_are_found_by_kind(tmp_path: Path) -> None:
    touch(tmp_path, "x/cat/1.PNG", "x/dog/1.png", "tones/low/1.wav", "README.md")
    dataset = read_dataset(tmp_path)
    assert not dataset.named
    images = entries_of(tmp_path, dataset.sources["image"])
    assert [(e.id, e.label) for e in images] == [("x/cat/1.PNG", "cat"), ("x/dog/1.png", "dog")]
    assert [e.label for e in entries_of(tmp_path, dataset.sources["audio"])] == ["low"]


def test_files_side_by_side_have_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png")
    assert [e.label for e in entries_of(tmp_path, read_dataset(tmp_path).sources["image"])] == [None, None]


def test_a_manifest_names_files_and_their_labels(tmp_path: Path) -> None:
    touch(tmp_path, "p/1.png", "p/2.wav")
    (tmp_path / "manifest.csv").write_text("path,label,split\np/1.png,a,test\np/2.wav,b,train\n")
    sources = read_dataset(tmp_path).sources
    assert {kind: [(e.path, e.label, e.split) for e in entries_of(tmp_path, source)] for kind, source in sources.items()} == {
        "audio": [("p/2.wav", "b", "train")],
        "image": [("p/1.png", "a", "test")],
    }


@pytest.mark.parametrize("cell", ["/etc/passwd.png", "../x.png", "a/../../x.png"])
def test_a_manifest_does_not_lead_out_of_its_folder(tmp_path: Path, cell: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"path\n{cell}\n")
    with pytest.raises(ConcordError, match=r"C205.*leads out"):
        entries_of(tmp_path, read_dataset(tmp_path).sources["image"])


def test_two_samples_with_one_id_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(ConcordError, match="same id '1'"):
        entries_of(tmp_path, Source(kind="image", files="{label}/{id}.png"))


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConcordError, match="C205"):
            read_dataset(folder)
