"""What `load_model` gives is the model of the run; a folder that is not whole, or is forged, is told before it costs anything."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_agents import BOTH, agent_config, agents
from tiny_run import ONE_EACH, Settings, open_tiny

from client_app.agents.export import export_agent
from client_app.inference.folder import load_model
from client_app.measure import anchor_means, classify_all, embed_all
from client_app.model import MultimodalModel
from concord import load_model as load_model_of_users
from concord.anchors import AnchorSet, load_anchors, save_anchors
from concord.errors import ConcordError
from concord.functional.prototypes import anchor_assignment
from concord.run_folder import RunFolder
from peer_app.in_process import Neighbourhood
from server_app.run import Run

CPU = torch.device("cpu")


def model_of(run: Run) -> MultimodalModel:
    """The model of a run, put together from its groups."""
    state = run.strategy.state
    model = MultimodalModel(run.config, sorted(run.anchors.modalities), len(run.anchors.concepts), base=state.base or None)
    model.load_groups({name: group for name, group in state.groups.items() if name in model.groups()})
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"adapter.kind": "lora", "adapter.train-a": True, "adapter.scope": "modality", "model.head": "shared"},
        {"adapter.kind": "full", "adapter.scope": "modality"},
    ],
    ids=str,
)
def test_the_loaded_model_is_that_of_the_run(settings: Settings, tmp_path: Path) -> None:
    run = open_tiny(tmp_path, {"lr": 0.05, "rounds": 1, **settings}, ONE_EACH[:2])
    run.rounds()
    theirs, loaded = model_of(run), load_model(RunFolder(tmp_path).model)
    assert loaded.modalities == ("image", "tone", "word")
    for modality in loaded.modalities:
        samples = run.anchors.of(modality)
        z_ND = embed_all(theirs, modality, samples, CPU)
        torch.testing.assert_close(loaded.embed(modality, samples.x, "pooled"), z_ND, atol=1e-6, rtol=1e-5)
        means = anchor_means(theirs, modality, samples, len(loaded.concepts), CPU)
        torch.testing.assert_close(loaded.embed(modality, samples.x), anchor_assignment(z_ND, *means), atol=1e-5, rtol=1e-4)
        probability_NC = classify_all(theirs, modality, samples, CPU).softmax(1)
        torch.testing.assert_close(loaded.classify({modality: samples.x}), probability_NC, atol=1e-6, rtol=1e-5)


def test_a_user_loads_the_run_folder_as_well_as_its_model(run: Run) -> None:
    x = run.anchors.of("image").x
    by_run = load_model_of_users(str(run.folder.path)).embed("image", x)
    assert torch.equal(by_run, load_model_of_users(run.folder.model).embed("image", x))


def test_a_trunk_that_was_named_is_read_from_the_folder(tmp_path: Path) -> None:
    first = open_tiny(tmp_path / "first", {"rounds": 1}, ONE_EACH[:2])
    first.rounds()
    named = tmp_path / "pretrained"
    (RunFolder(tmp_path / "first").model / "trunk").rename(named)
    run = open_tiny(tmp_path / "run", {"rounds": 1, "model.trunk": str(named)}, ONE_EACH[:2])
    run.rounds()
    x = run.anchors.of("image").x
    before = model_of(run).embed("image", x)
    named.rename(tmp_path / "elsewhere")
    loaded = load_model(RunFolder(tmp_path / "run").model)
    torch.testing.assert_close(loaded.embed("image", x, "pooled"), before.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("method", ["parse", "harmony", "dsgd-task"])
def test_the_model_of_an_agent_classifies_as_the_agent_does(method: str, tmp_path: Path) -> None:
    config = agent_config(tmp_path, method, {"rounds": 2, "lr": 0.05})
    both, other = agents(config, {"anna": BOTH, "bert": ("image",)})
    Neighbourhood([both, other], config).rounds()
    for agent in (both, other):
        export_agent(tmp_path / agent.name, agent)
        loaded = load_model(tmp_path / agent.name)
        tests = agent.data.tests["unseen"]
        named_N = loaded.classify({m: samples.x for m, samples in tests.items()}).argmax(1)
        evaluation = next(e for e in agent.evaluate() if (e.modality, e.split) == (agent.model.kind, "unseen"))
        assert int((named_N == next(iter(tests.values())).y).sum()) == evaluation.correct
        assert sum(evaluation.classes.predicted) == len(named_N)
        assert torch.bincount(named_N, minlength=4).tolist() == list(evaluation.classes.predicted)
    model = load_model(tmp_path / "anna")
    with pytest.raises(ConcordError, match=r"C702.*tone is not given"):
        model.classify({"image": both.data.train["image"].x})
    with pytest.raises(ConcordError, match=r"C702.*share no space"):
        model.embed("image", both.data.train["image"].x)


def change(key: str, value: object) -> Callable[[Path], None]:
    """Changes a key of ``model.json``, or of the configuration in it."""

    def forge(folder: Path) -> None:
        about = json.loads((folder / "model.json").read_text())
        (about if key in about else about["config"])[key] = value
        (folder / "model.json").write_text(json.dumps(about))

    return forge


def replace_tensor(file: str, tensor: torch.Tensor) -> Callable[[Path], None]:
    """Puts another tensor in the place of the first one of a file."""

    def forge(folder: Path) -> None:
        tensors = load_file(folder / file)
        save_file(tensors | {sorted(tensors)[0]: tensor}, folder / file)

    return forge


def other_anchors(folder: Path) -> None:
    whole = load_anchors(folder / "anchors")
    images = whole.of("image")
    save_anchors(
        AnchorSet(whole.concepts, {**whole.modalities, "image": images.take(range(len(images) - 1))}), folder / "anchors"
    )


def rename_modality(folder: Path, old: str, new: str) -> None:
    whole = load_anchors(folder / "anchors")
    renamed = AnchorSet(whole.concepts, {new if name == old else name: part for name, part in whole.modalities.items()})
    save_anchors(renamed, folder / "anchors")
    for key, value in {"anchors": renamed.digest, "modalities": sorted(renamed.modalities), "encoders": f"{new}=image"}.items():
        change(key, value)(folder)


FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no description": (lambda f: (f / "model.json").unlink(), "C701.*model.json"),
    "not JSON": (lambda f: (f / "model.json").write_text("{"), "C701.*the file"),
    "another schema": (change("schema-version", 2), "C701.*schema-version"),
    "a key too many": (
        lambda f: (f / "model.json").write_text(
            (f / "model.json").read_text().replace('"schema-version": 1', '"schema-version": 1, "more": 1')
        ),
        "C701.*more",
    ),
    "an unknown setting": (change("config", {"no-such": 1}), "C701.*no-such"),
    "a modality without anchors": (change("modalities", ["image", "smell"]), "C701.*smell"),
    "a modality that is a path": (change("modalities", ["../image"]), "C701.*no anchors"),
    "a modality that torch cannot name": (lambda f: rename_modality(f, "image", "im.age"), "C701.*cannot be built|C204"),
    "other anchors": (other_anchors, "C701.*was trained with"),
    "a wide model": (change("model.width", 1 << 24), "C701"),
    "a deep model": (change("model.layers", 1 << 30), "C701.*layers"),
    "a large rank": (change("adapter.rank", 1 << 26), "C701"),
    "heads that do not divide": (change("model.attention-heads", 3), "C701.*cannot be built"),
    "no adapter": (lambda f: (f / "adapter" / "adapter_model.safetensors").unlink(), "C701.*adapter_model"),
    "a file that breaks off": (lambda f: (f / "heads.safetensors").write_bytes(b"\xff" * 9), "C701.*heads"),
    "a tensor of another shape": (replace_tensor("tokenisers.safetensors", torch.zeros(3)), "C701.*has shape"),
    "a tensor that is not finite": (replace_tensor("projectors.safetensors", torch.full((16,), torch.nan)), "C701.*finite"),
    "a tensor too many": (lambda f: save_file({"extra": torch.zeros(1)}, f / "heads.safetensors"), "C701.*not both"),
    "another trunk": (replace_tensor("trunk/model.safetensors", torch.zeros(2, 2)), "C701.*cannot be built"),
}


@pytest.mark.parametrize(("forge", "told"), FORGERIES.values(), ids=FORGERIES.keys())
def test_a_folder_that_is_not_whole_or_is_forged_is_told(forge: Callable[[Path], object], told: str, folder: Path) -> None:
    forge(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConcordError, match=f"(?s){told}"):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes: nothing was made for it"


def test_the_network_of_a_graph_is_told(folder: Path) -> None:
    change("suite", "citation")(folder)
    with pytest.raises(ConcordError, match=r"C702.*network of a graph"):
        load_model(folder)
