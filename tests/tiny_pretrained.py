"""Pretrained encoders of each family as they lie on disk, with random weights and small enough that a test takes a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    AutoModel,
    BertConfig,
    Dinov2Config,
    DistilBertConfig,
    HubertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    SiglipConfig,
    SiglipVisionConfig,
    ViTConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from client_app.data.preparation.raw import Waveform

WIDTH, RATE = 16, 1600
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(36)))
SHAPE: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WORDY: dict[str, Any] = SHAPE | {"vocab_size": len(WORDS), "max_position_embeddings": 66, "pad_token_id": 0}
SEEN: dict[str, Any] = SHAPE | {"image_size": 32, "patch_size": 4}
HEARD: dict[str, Any] = SHAPE | {
    "conv_dim": (16, 16),
    "conv_stride": (4, 4),
    "conv_kernel": (8, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,  # of 8 or more, oneDNN computes so narrow groups wrongly in bfloat16 on AMX
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,
}
WHISPERED: dict[str, Any] = {
    "vocab_size": 60,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_source_positions": 50,
    "num_mel_bins": 20,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "decoder_start_token_id": 4,
}
CONFIGS = {
    "bert": BertConfig(**WORDY),
    "roberta": RobertaConfig(**WORDY),
    "distilbert": DistilBertConfig(
        vocab_size=len(WORDS), max_position_embeddings=66, dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=32
    ),
    "mpnet": MPNetConfig(**WORDY),
    "vit": ViTConfig(**SEEN),
    "dinov2": Dinov2Config(**SEEN),
    "siglip": SiglipConfig(text_config=WORDY | {"bos_token_id": 2, "eos_token_id": 3}, vision_config=SEEN),
    "siglip-vision": SiglipVisionConfig(**SEEN),
    "wav2vec2": Wav2Vec2Config(**HEARD),
    "wav2vec2-stable": Wav2Vec2Config(**HEARD, do_stable_layer_norm=True, feat_extract_norm="layer"),
    "hubert": HubertConfig(**HEARD),
    "whisper": WhisperConfig(**WHISPERED),
    "ast": ASTConfig(**SHAPE, patch_size=4, num_mel_bins=16, max_length=64, frequency_stride=4, time_stride=4),
}
KINDS = {
    **dict.fromkeys(("bert", "roberta", "distilbert", "mpnet"), "text"),
    **dict.fromkeys(("vit", "dinov2", "siglip", "siglip-vision"), "image"),
    **dict.fromkeys(("wav2vec2", "wav2vec2-stable", "hubert", "whisper", "ast"), "audio"),
}


def save_tiny(folder: Path, family: str, seed: int = 0) -> str:
    """Writes a model of a family and what prepares its inputs to `folder`; its name for a run."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModel.from_config(CONFIGS[family])
        for parameter in model.parameters():  # tokens of a fresh model hardly differ, and no test could tell them apart
            parameter.data.add_(0.1 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    if KINDS[family] == "text":
        save_tokeniser(folder)
    elif KINDS[family] == "image":
        about = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
        (folder / "preprocessor_config.json").write_text(json.dumps(about))
    elif family == "whisper":
        WhisperFeatureExtractor(feature_size=20, chunk_length=1).save_pretrained(folder)
    elif family == "ast":
        ASTFeatureExtractor(num_mel_bins=16, max_length=64).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(folder)
    return str(folder)


def save_tokeniser(folder: Path) -> None:
    """A tokeniser of the words w0, w1 and so on, between [CLS] and [SEP]."""
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106 - no password
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **named).save_pretrained(folder)


def rate_of(family: str) -> int:
    """Samples a second of what a model of sound takes."""
    return 16_000 if family in ("whisper", "ast") else RATE


def raw_sample(family: str, seed: int, size: int = 20) -> Any:
    """A sample that a family reads: `size` words, a picture of `size` by twice as many pixels, `size` fiftieths of a second."""
    kind, rate, draw = KINDS[family], rate_of(family), np.random.default_rng(seed)
    if kind == "text":
        return " ".join(f"w{n}" for n in draw.integers(0, 36, size))
    if kind == "image":
        return draw.integers(0, 256, (size, 2 * size, 3), dtype=np.uint8)
    return Waveform((0.1 * draw.standard_normal(size * rate // 50)).astype(np.float32), rate)
