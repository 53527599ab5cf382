"""Networks as PyTorch modules: published ones with fresh weights, found ones with their own.

`weights.safetensors` has its one home here: the tensors of a network, and metadata that rebuild
the module around them.
"""

import json
from pathlib import Path

from pydantic import ConfigDict, Json, PositiveInt, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from contract import commands
from contract.errors import PhonebookError, listing
from contract.networks import Network, network, published
from contract.operators import Operator
from contract.spaces import SpaceReference, find_space, ships
from contract.values import Value
from search.files import whole_file
from search.supernet.blocks import build_network, untrained


class WeightsMetadata(Value):
    """What weights.safetensors tells besides its tensors, each value as text."""

    model_config = ConfigDict(extra="ignore")

    space: SpaceReference
    architecture: Json[tuple[str, ...]]  # one block per slot
    head_channels: PositiveInt
    classes: PositiveInt


def build(name: str, *, space: str | None = None, classes: int | None = None) -> nn.Module:
    """A published network, `fbnet-c` for one, with fresh weights.

    It takes images [B, 3, H, W] of its space's resolution and returns logits [B, classes].

    Args:
        name: a published network's name.
        space: put its blocks into this space; else its own.
        classes: how many classes it tells apart; else as many as its space.

    Raises:
        PhonebookError: no such network or space (the message lists near names), or no classes.
    """
    chosen = published(name, in_space=find_space(space) if space is not None else None)
    return untrained(chosen if classes is None else _with_classes(chosen, classes))


def load(path: Path | str) -> nn.Module:
    """The network that a run trained, from its weights.safetensors alone, in eval mode.

    It takes images [B, 3, H, W] and returns logits [B, classes].

    Raises:
        PhonebookError: no such file, no safetensors, or not the weights of a network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except OSError as error:
        raise PhonebookError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise PhonebookError(f"{path} is no safetensors file ({error})") from error
    module = build_network(_described(path, metadata))
    _check_fit(path, tensors, module.state_dict())
    module.load_state_dict(tensors)
    return module.eval()


def write_weights(path: Path, module: nn.Module, found: Network) -> None:
    """The tensors of a module that `build_network` made of `found`, and what `load` needs."""
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    classifier = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    metadata = {
        "space": found.space.name if ships(found.space) else found.space.model_dump_json(),
        "architecture": json.dumps(found.blocks),
        "head_channels": str(found.head_channels),
        "classes": str(classifier.out_features),
    }
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def _with_classes(network: Network, classes: int) -> Network:
    if classes < 1:
        raise PhonebookError(
            f"network {network.name}: classes is {classes}, but must be 1 or more"
        )
    slot = network.head.slot.evolve(out_channels=classes)
    head = Operator(block=network.head.block, slot=slot)
    return network.evolve(head=head)


def _described(path: Path | str, metadata: dict[str, str]) -> Network:
    try:
        described = WeightsMetadata.model_validate_strings(metadata)
    except ValidationError as error:
        first = error.errors()[0]
        raise PhonebookError(
            f"{path} does not say which network its weights are of "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); "
            f"give the weights.safetensors that `{commands.search()}` wrote"
        ) from error
    found = network(
        described.architecture,
        space=described.space,
        name=str(path),
        head_channels=described.head_channels,
    )
    return _with_classes(found, described.classes)


def _check_fit(path: Path | str, tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    differing = [
        name
        for name in sorted(tensors.keys() | expected.keys())
        if name not in tensors
        or name not in expected
        or tensors[name].shape != expected[name].shape
    ]
    if differing:
        raise PhonebookError(
            f"{path} does not fit the network that it names: missing, unknown or of another "
            f"shape are {listing(differing)}; was it written by another version?"
        )
