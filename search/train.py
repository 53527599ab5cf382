"""`python -m search.train`: one network trained from scratch, as the paper does after a search."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.errors import PhonebookError
from contract.networks import Network, published
from contract.networks import network as network_of
from contract.results import SearchResult
from contract.spaces import find_space
from search.config import DataConfig, MachineConfig, TrainConfig
from search.presets import of_training, use_presets
from search.runs.folder import RunFolder, fresh_path

app = command_line("python -m search.train", "Train one network from scratch.")
use_presets(app, of_training)


@app.default
def run(
    *,
    architecture: Path | None = None,
    sample: int | None = None,
    network: str | None = None,
    space: str | None = None,
    preset: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    config: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
    data: Annotated[DataConfig, Parameter(name="*")] = DataConfig(),
    machine: Annotated[MachineConfig, Parameter(name="*")] = MachineConfig(),
) -> None:
    """Train one network from scratch, on all training images.

    Args:
        architecture: A search's result.json.
        sample: Train this one of the result's samples of P_theta, from 1; else the network found.
        network: A published network instead.
        space: The published network's blocks in this space; else its own.
        preset: Options that suit each other: fbnet-imagenet (the paper's), small, glimpse.
            Options given beside it count more.
        out: Where the results go; else a new folder under runs/.
        overwrite: Allow --out to hold another run, and replace it.
        resume: Go on with the training that was stopped in --out, by the same options.
        config: Hyper-parameters.
        data: What to learn from.
        machine: How this computer works.
    """
    chosen = _chosen(architecture, sample, network, space)
    if resume and out is None:
        raise PhonebookError("--resume needs --out: the folder of the training to go on with")
    folder = RunFolder(out or fresh_path(chosen.name), overwrite=overwrite, resume=resume)
    if resume and not folder.resumes:
        raise PhonebookError(f"--out {folder.path} holds no training to resume")
    # Not before: whoever mistypes an option or asks for help does not wait for PyTorch.
    from search.runs.training import train_alone

    train_alone(chosen, folder, config=config, data=data, machine=machine)


def _chosen(
    architecture: Path | None, sample: int | None, network: str | None, space: str | None
) -> Network:
    if (architecture is None) == (network is None):
        raise PhonebookError("give either --architecture RESULT.JSON or --network NAME")
    if architecture is None:
        if sample is not None:
            raise PhonebookError("--sample is of a search's result; give --architecture too")
        return published(network or "", in_space=find_space(space) if space else None)
    result = SearchResult.read(architecture)
    if space is not None and find_space(space) != result.space:
        raise PhonebookError(
            f"{architecture} is of {result.space.name}; leave --space {space} out"
        )
    if sample is None:
        return result.network()
    if not 1 <= sample <= len(result.samples):
        raise PhonebookError(
            f"--sample is {sample}, but {architecture} has samples 1 to {len(result.samples)}"
        )
    return network_of(
        result.samples[sample - 1].architecture,
        space=result.space,
        name=f"sample-{sample}",
    )


if __name__ == "__main__":
    main(app)
