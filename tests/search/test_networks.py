import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from contract.errors import PhonebookError
from contract.networks import network, published
from contract.spaces import space
from search.networks import build, load, write_weights
from search.supernet.blocks import build_network
from tests.search.conftest import trained

SMALL = space("fbnet-32-0.35")
FOUND = network(published("fbnet-a", in_space=SMALL).blocks, space=SMALL, name="searched")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    write_weights(path, trained(build_network(FOUND)), FOUND)
    return path


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.dim() > 1)


def test_a_published_network_is_built_by_its_name() -> None:
    assert parameters(build("fbnet-c")) == published("fbnet-c").params()
    small = build("fbnet-c", space=SMALL.name)
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, SMALL.classes)


def test_a_network_is_built_for_other_classes() -> None:
    module = build("fbnet-c", space=SMALL.name, classes=7)
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert module.training


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fbnet-d", {}, r"no network 'fbnet-d'; did you mean fbnet-"),
        ("fbnet-c", {"space": "fbnet-33"}, r"no space 'fbnet-33'; did you mean"),
        ("fbnet-c", {"classes": 0}, r"network fbnet-c: classes is 0, but must be 1 or more"),
    ],
)
def test_a_network_that_cannot_be_built_is_explained(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(PhonebookError, match=message):
        build(name, **options)  # type: ignore[arg-type]  # as a person would mistype them


def test_what_was_trained_is_loaded_from_its_file_alone(weights: Path) -> None:
    module = trained(build_network(FOUND))
    write_weights(weights, module, FOUND)
    loaded = load(weights)
    image_BCHW = torch.randn(4, 3, 32, 32)
    assert not loaded.training
    assert torch.equal(loaded(image_BCHW), module(image_BCHW))
    assert torch.equal(load(str(weights))(image_BCHW), module(image_BCHW))


def test_classes_and_head_of_a_network_survive_its_file(tmp_path: Path) -> None:
    wide = published("fbnet-c", in_space=space("fbnet-32"))
    module = build("fbnet-c", space="fbnet-32", classes=7).eval()
    write_weights(tmp_path / "w", module, wide)
    loaded = load(tmp_path / "w")
    image_BCHW = torch.randn(2, 3, 32, 32)
    assert wide.head_channels == 1984
    assert torch.equal(loaded(image_BCHW), module(image_BCHW))


def test_the_file_says_which_network_it_holds(weights: Path) -> None:
    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
        names = set(file.keys())
    # A file format: a run of today must load tomorrow.
    assert metadata == {
        "space": "fbnet-32-0.35",
        "architecture": json.dumps(FOUND.blocks),
        "head_channels": "1416",
        "classes": "100",
    }
    assert names == set(build_network(FOUND).state_dict())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, r"does not say which network its weights are of \(space: Field required\)"),
        ({"space": "fbnet-33"}, r"\(space: Value error, no space 'fbnet-33'; did you mean"),
        ({"architecture": "skip"}, r"\(architecture: Invalid JSON"),
        ({"classes": "few"}, r"\(classes: Input should be a valid integer"),
        ({"architecture": "[]"}, r"has 22 slots, got 0 blocks"),
        ({"head_channels": "5"}, r"has no head of 5 channels; it has 1416"),
        ({"classes": "7"}, r"does not fit the network that it names: .* head\.3\.bias, head\.3"),
        ({"space": "fbnet-32"}, r"does not fit .* and \d+ more; was it written by another"),
    ],
)
def test_other_weights_are_explained(
    weights: Path, metadata: dict[str, str] | None, message: str
) -> None:
    with safe_open(weights, framework="pt") as file:
        told = file.metadata()
    if metadata == {"space": "fbnet-32"}:
        metadata["head_channels"] = "1504"
    save_file(load_file(weights), weights, None if metadata is None else {**told, **metadata})
    with pytest.raises(PhonebookError, match=message) as caught:
        load(weights)
    assert str(weights) in str(caught.value)


def test_another_file_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(PhonebookError, match="text is no safetensors file"):
        load(tmp_path / "text")
    with pytest.raises(PhonebookError, match=r"cannot read .*gone"):
        load(tmp_path / "gone")
    with pytest.raises(PhonebookError, match=f"cannot read {tmp_path}"):
        load(tmp_path)
