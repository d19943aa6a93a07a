"""Spoken digits: the Free Spoken Digit Dataset, 6 speakers x 10 digits x 50 takes at 8 kHz.

The owner of a recording is its speaker; takes 0-4 are the official test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, read_arrays
from client_app.data.preparation.log_mel import log_mel

OFFICIAL_TEST_TAKES = 5

FSDD = ArrayFile(
    path="digits/fsdd.npz",
    origin="Jakobovski/free-spoken-digit-dataset at commit 26eb9aaf76e8, recordings/*.wav as 16-bit samples",
    size=15_428_992,
    sha256="7ff2ad8ee69bb9fb04a253c4e1c702c01e64d395199fa332889886c9af642b4b",
    arrays={
        "audio": Array("integer", ("T",), -32768, 32767),
        "offset": Array("integer", ("N+1",)),
        "label": Array("integer", ("N",), 0, 9),
        "speaker": Array("integer", ("N",), 0, 5),
        "take": Array("integer", ("N",), 0, 49),
        "speakers": Array("text", (6,)),
        "sample_rate": Array("integer", (), 8000, 8000),
    },
    rows="audio",
)


def build(data: Path) -> Corpus:
    """All recordings as log-mel spectrograms."""
    pack = read_arrays(FSDD, data)
    audio = pack["audio"].astype(np.float32) / 32768
    owners = [str(pack["speakers"][speaker]) for speaker in pack["speaker"]]
    takes = zip(pack["label"].tolist(), owners, pack["take"].tolist(), strict=True)
    ids = [f"speech/{label}_{owner}_{take}" for label, owner, take in takes]
    corpus = make_corpus(log_mel(np.split(audio, pack["offset"][1:-1])), pack["label"], ids, owners)
    return Corpus(corpus.samples, corpus.owners, torch.as_tensor(pack["take"] < OFFICIAL_TEST_TAKES))


SPEECH = Reader("speech", 2, build, (FSDD,))
