"""`python -m search.run --device NAME`: a network for that device, predicted and measured."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract import spaces
from contract.cli import command_line, main
from contract.client import default_server, known_space
from contract.errors import PhonebookError
from search.config import DataConfig, MachineConfig, SearchConfig, TrainConfig
from search.measuring.network import Where
from search.presets import of_search, use_presets
from search.runs.folder import RunFolder, fresh_path

app = command_line(
    "python -m search.run", "Search for a network for a device, by its table of latencies."
)
use_presets(app, of_search)


@app.default
def run(
    *,
    device: list[str],
    preset: str | None = None,
    space: str = spaces.DEFAULT_SPACE,
    server: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    measure: Where = "auto",
    profile_missing: Annotated[bool, Parameter(negative="")] = False,
    search: Annotated[SearchConfig, Parameter(name="*")] = SearchConfig(),
    data: Annotated[DataConfig, Parameter(name="*")] = DataConfig(),
    machine: Annotated[MachineConfig, Parameter(name="*")] = MachineConfig(),
    final: TrainConfig = TrainConfig(),
) -> None:
    """Search for a network for a device, by its table of measured latencies.

    Args:
        device: Whose table: DEVICE, DEVICE@RUNTIME with a runtime's key or parts of it
            (host@int8), DEVICE@imported, or any other address of a table, as the server's pages
            write it. Give several to search for each and see how every network does on every
            device.
        preset: Options that suit each other: fbnet-imagenet (the paper's), small, glimpse.
            Options given beside it count more.
        space: The search space: one that ships or that the server knows, or a file of one
            (`./mine.yaml`).
        server: The server's address; else PHONEBOOK_SERVER, else this computer.
        offline: Use the tables that were fetched last; the server is neither asked nor told how
            the search goes.
        out: Where the results go; else a new folder under runs/.
        overwrite: Allow --out to hold another run, and replace it.
        resume: Go on with the run that was stopped in --out, by the same options.
        measure: Who measures the network found on the device: an agent that serves it, through
            the server's queue; a program here; auto, the queue where an agent serves it now and
            else here; or no.
        profile_missing: Where the table lacks rows, let an agent that serves the device measure
            them first, and wait.
        search: Hyper-parameters of the search.
        data: What to learn from.
        machine: How this computer works.
        final: Training of the network found, from scratch.
    """
    if len(set(device)) < len(device):
        raise PhonebookError(f"--device {' '.join(device)}: the same twice; name each once")
    if resume and out is None:
        raise PhonebookError("--resume needs --out: the folder of the run to go on with")
    if offline and profile_missing:
        raise PhonebookError(
            "--offline asks no server, which --profile-missing needs to; leave one of them out"
        )
    address = server or default_server()
    chosen = known_space(space, server=address)
    folders = _folders(device, out, overwrite=overwrite, resume=resume)
    # Not before: whoever mistypes an option or asks for help does not wait for PyTorch.
    from search.runs.devices import search_each

    search_each(
        device,
        folders,
        space=chosen,
        server=address,
        offline=offline,
        profile_missing=profile_missing,
        measure=measure,
        preset=preset,
        search=search,
        data=data,
        machine=machine,
        final=final,
    )


def _folders(
    targets: list[str], out: Path | None, *, overwrite: bool, resume: bool
) -> list[RunFolder]:
    """One folder per target: `out` itself for one, a folder in it for each of several."""
    root = out or fresh_path("-".join(targets))
    paths = [root] if len(targets) == 1 else [root / target for target in targets]
    folders = [RunFolder(path, out=root, overwrite=overwrite, resume=resume) for path in paths]
    if resume and not any(folder.resumes for folder in folders):
        raise PhonebookError(f"--out {root} holds no run to resume; leave --resume out")
    return folders


if __name__ == "__main__":
    main(app)
