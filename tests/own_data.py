"""Folders of made-up own data: chirps and squares of three concepts, one file a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

CONCEPTS = ("2", "10", "30")
SPEECH = '[modality.speech]\nkind = "audio"\nfiles = "{label}_{owner}_{take}.wav"\n'


def write_sounds(folder: Path, owners: tuple[str, ...] = ("ann", "bob", "cem"), takes: int = 6, seed: int = 0) -> Path:
    """Chirps of another pitch a concept, ``2_ann_0.wav``, with a ``dataset.toml``."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(SPEECH)
    seconds_T = np.arange(2400) / 8000
    for number, concept in enumerate(CONCEPTS):
        for owner in owners:
            for take in range(takes):
                wave_T = 0.5 * np.sin(2 * np.pi * (400 + 700 * number + 500 * seconds_T) * seconds_T)
                soundfile.write(folder / f"{concept}_{owner}_{take}.wav", wave_T + 0.05 * rng.standard_normal(2400), 8000)
    return folder


def write_pictures(folder: Path, each: int = 12, seed: int = 1) -> Path:
    """Squares of another size a concept, ``2/0.png``, and nothing that describes them."""
    rng = np.random.default_rng(seed)
    for number, concept in enumerate(CONCEPTS):
        (folder / concept).mkdir(parents=True)
        for i in range(each):
            levels_HW = rng.integers(0, 80, (24, 24), dtype=np.uint8)
            levels_HW[2 : 6 + 6 * number, 2 : 6 + 6 * number] = 250
            Image.fromarray(levels_HW).save(folder / concept / f"{i}.png")
    return folder
