from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from contract.errors import Diverged
from contract.networks import network
from contract.spaces import SearchSpace
from search.config import TrainConfig
from search.data import Images, Scaling, grey_images
from search.processes import Processes, Stopped
from search.runs.record import Record
from search.supernet.blocks import build_network
from search.training.figures import FinalEpoch
from search.training.from_scratch import Training, accuracy
from tests.search.conftest import Steps, random_images

QUICK = TrainConfig(epochs=3, batch_size=6, lr=0.05)
STEPS = 3  # of a pass over 18 images


def module_of(space: SearchSpace, *, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(network(["k3_e1", "k5_e3"], space=space, name="small"))


@pytest.mark.parametrize("after", [1, 2, 3, 4, 6, 8, 9])
def test_a_training_stopped_anywhere_ends_as_if_it_had_not_been(
    tiny: SearchSpace, tmp_path: Path, after: int
) -> None:
    images = random_images(18)
    whole = module_of(tiny)
    expected = list(Training(whole, images, config=QUICK, seed=1).epochs())

    record = Record(identity={})
    stop = Steps(stop_after=after)
    first = Training(module_of(tiny), images, config=QUICK, seed=1, on_step=stop)
    with pytest.raises(Stopped):
        record.final_epochs.extend(first.epochs())
    record.training = first.state()
    record.write(tmp_path / "checkpoint.pt")

    again = Record.read(tmp_path / "checkpoint.pt", identity={})
    second = Training(module_of(tiny, seed=9), images, config=QUICK, seed=1)
    assert again.training is not None
    second.load(again.training)
    epochs: list[FinalEpoch] = [*again.final_epochs, *second.epochs()]
    assert epochs == expected
    state = second.module.state_dict()
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())


def test_a_training_learns_what_there_is_to_learn(tiny: SearchSpace) -> None:
    images = grouped(30)
    module = module_of(tiny)
    config = replace(QUICK, epochs=8, schedule="cosine")
    epochs = list(Training(module, images, config=config, seed=0).epochs())
    assert epochs[-1].cross_entropy < 0.5 * epochs[0].cross_entropy
    assert accuracy(module, images, batch_size=7, processes=Processes()) > 0.9


def grouped(count: int) -> Images:
    """Images that are as bright as their label says."""
    label_B = torch.arange(count) % 3
    grey_BHW = torch.rand(count, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2
    scaling = Scaling(mean=0.5, deviation=0.3, resolution=8)
    return grey_images(grey_BHW + 0.4 * label_B[:, None, None], label_B, scaling=scaling)


def test_the_accuracy_does_not_depend_on_the_batches(tiny: SearchSpace) -> None:
    images = random_images(20)
    module = module_of(tiny)
    list(Training(module, images, config=QUICK, seed=0).epochs())
    found = {
        accuracy(module, images, batch_size=size, processes=Processes()) for size in (1, 7, 20)
    }
    assert len(found) == 1


def test_a_training_that_explodes_names_epoch_and_step(tiny: SearchSpace) -> None:
    config = replace(QUICK, lr=1e30)
    with pytest.raises(Diverged, match=r"the loss is (nan|inf) in epoch 1, step [23]; lower its"):
        list(Training(module_of(tiny), random_images(18), config=config, seed=0).epochs())


def test_a_trained_networks_batch_statistics_are_those_of_its_images(tiny: SearchSpace) -> None:
    images = random_images(18)
    module = module_of(tiny)
    list(Training(module, images, config=replace(QUICK, lr=0.5), seed=0).epochs())
    norm = next(layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0]))
    ((image_BCHW, _),) = images.batches(18)
    module.eval()
    module(image_BCHW)
    assert norm.running_mean is not None
    torch.testing.assert_close(
        norm.running_mean, seen[0].mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5
    )
