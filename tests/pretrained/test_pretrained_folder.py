"""Folders of pretrained encoders: found by name or path, told apart by content, and refused where they cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from tiny_pretrained import KINDS, raw_sample, save_tiny, save_tokeniser
from transformers import BartConfig, BartModel

from client_app.pretrained.folder import Sentence, find_pretrained
from client_app.pretrained.frozen import frozen_tokens
from client_app.pretrained.model import load_model
from concord.errors import ConcordError


@pytest.mark.parametrize("family", KINDS)
def test_the_kind_of_a_family_is_told_by_its_settings(family: str, tmp_path: Path) -> None:
    pretrained = find_pretrained(save_tiny(tmp_path, family))
    assert (pretrained.family.kind, pretrained.width) == (KINDS[family], 16)


def test_the_digest_is_that_of_weights_and_settings_wherever_they_lie(tmp_path: Path) -> None:
    first = find_pretrained(save_tiny(tmp_path / "a", "bert"))
    assert find_pretrained(save_tiny(tmp_path / "b", "bert")).digest == first.digest
    assert find_pretrained(save_tiny(tmp_path / "c", "bert", seed=1)).digest != first.digest
    shutil.copytree(tmp_path / "a", tmp_path / "d")
    (tmp_path / "d" / "README.md").write_text("no part of it")
    assert find_pretrained(str(tmp_path / "d")).digest == first.digest
    shutil.copytree(tmp_path / "a", tmp_path / "e")
    settings = tmp_path / "e" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 8}))
    assert find_pretrained(str(tmp_path / "e")).digest != first.digest


def test_weights_that_were_replaced_are_read_again(tmp_path: Path) -> None:
    before = find_pretrained(save_tiny(tmp_path, "vit")).digest
    find_pretrained.cache_clear()  # another process
    assert find_pretrained(save_tiny(tmp_path, "vit", seed=1)).digest != before


def sentence_folder(folder: Path, part: str = "", pooling: str = "pooling_mode_mean_tokens") -> str:
    """The layout of sentence-transformers around a tiny BERT."""
    save_tiny(folder / part, "bert")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": False, pooling: True}))
    (folder / part / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6, "do_lower_case": True}))
    parts = {"Transformer": part, "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{name}"} for name, path in parts.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    return str(folder)


@pytest.mark.parametrize("part", ["", "0_Transformer"])
def test_the_layout_of_sentence_transformers_is_read(part: str, tmp_path: Path) -> None:
    name = sentence_folder(tmp_path, part, "pooling_mode_cls_token")
    assert find_pretrained(name).sentence == Sentence("first", normalise=True, longest=6, lower_case=True)
    text = raw_sample("bert", 0)
    tokens_LE = frozen_tokens(name, [text])[0].float()
    plain_LE = frozen_tokens(
        str(tmp_path / part) if part else save_tiny(tmp_path / "plain", "bert"), [" ".join(text.split()[:4])]
    )
    assert float(tokens_LE[0].norm()) == pytest.approx(1, abs=1e-3)
    assert tokens_LE.any(1).sum() == 1 + 6  # the vector of the text, and as many tokens as it may have
    torch.testing.assert_close(tokens_LE[1:7], plain_LE[0, :6].float(), atol=2e-3, rtol=0)
    torch.testing.assert_close(tokens_LE[0], torch.nn.functional.normalize(tokens_LE[1], dim=0), atol=2e-3, rtol=0)
    assert torch.equal(frozen_tokens(name, [text.upper()])[0].float(), tokens_LE)


def no_folder(folder: Path) -> str:
    return str(folder / "missing")


def long_name(folder: Path) -> str:
    return "n" * 5000


def no_settings(folder: Path) -> str:
    return str(folder)


def pickled_weights(folder: Path) -> str:
    name = save_tiny(folder, "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return name


def torn_weights(folder: Path) -> str:
    name = save_tiny(folder, "bert")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    return name


def missing_weights(folder: Path) -> str:
    name = save_tiny(folder, "bert")
    tensors = {key: t for key, t in load_file(folder / "model.safetensors").items() if "layer.1" not in key}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return name


def code_from_elsewhere(folder: Path) -> str:
    name = save_tiny(folder, "bert")
    about = json.loads((folder / "config.json").read_text()) | {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "mine.py").write_text("raise SystemExit('executed')")
    return name


def a_decoder_too(folder: Path) -> str:
    small = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    BartModel(BartConfig(vocab_size=40, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **small)).save_pretrained(folder)
    save_tokeniser(folder)
    return str(folder)


def no_tokeniser(folder: Path) -> str:
    name = save_tiny(folder, "bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    return name


def modules_outside(folder: Path) -> str:
    name = sentence_folder(folder)
    modules = [{"path": "..", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    return name


def no_number(folder: Path) -> str:
    name = sentence_folder(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": "many"}')
    return name


def modules_of_another_form(folder: Path) -> str:
    name = sentence_folder(folder)
    (folder / "modules.json").write_text('["Transformer"]')
    return name


@pytest.mark.parametrize(
    "make",
    [
        no_folder,
        long_name,
        no_settings,
        pickled_weights,
        torn_weights,
        missing_weights,
        code_from_elsewhere,
        a_decoder_too,
        no_tokeniser,
        modules_outside,
        modules_of_another_form,
        no_number,
    ],
)
def test_what_cannot_be_used_is_told_with_its_name(make: Callable[[Path], str], tmp_path: Path) -> None:
    name = make(tmp_path)
    with pytest.raises(ConcordError, match="C103") as told:
        frozen_tokens(name, ["w1"])
    assert name in told.value.message


def test_a_name_of_the_hub_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def snapshot_download(name: str, allow_patterns: list[str], local_files_only: bool = False) -> str:
        assert "*.safetensors" in allow_patterns
        assert not any("bin" in pattern for pattern in allow_patterns)
        asked.append(local_files_only)
        if local_files_only and not (tmp_path / "config.json").exists():
            raise LocalEntryNotFoundError("not here")
        return str(tmp_path) if local_files_only else save_tiny(tmp_path, "vit")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_pretrained("somebody/vit-tiny").folder == tmp_path
    find_pretrained.cache_clear()
    assert find_pretrained("somebody/vit-tiny").folder == tmp_path
    assert asked == [True, False, True]
    find_pretrained.cache_clear()


def test_weights_of_half_precision_are_loaded_in_full(tmp_path: Path) -> None:
    name = save_tiny(tmp_path, "bert")
    half = {key: tensor.half() for key, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(half, tmp_path / "model.safetensors", {"format": "pt"})
    assert {p.dtype for p in load_model(find_pretrained(name)).parameters()} == {torch.float32}
