"""`python -m search.run --device NAME`: a network for that device, predicted and measured."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract import spaces
from contract.cli import command_line, main
from contract.client import default_server
from contract.errors import PhonebookError
from contract.searches import Elsewhere
from contract.tables import LatencyTable
from search.bench import opened
from search.completing import complete
from search.config import DataConfig, MachineConfig, SearchConfig, TrainConfig
from search.cross import Cross, Searched, show_cross
from search.folder import RunFolder, fresh_path
from search.job import Job, loaded, search_and_measure
from search.measure import Where, measurer
from search.posting import Posting, group_of
from search.presets import of_search, use_presets

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
        device: As the server knows it, or DEVICE@RUNTIME (`host@int8`). Give several to search
            for each and see how every network does on every device.
        preset: Options that suit each other: fbnet-imagenet (the paper's), small, glimpse.
            Options given beside it count more.
        space: The search space.
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
    chosen = spaces.space(space)
    with opened(machine) as bench:
        bench.ranks.check_batch("batch-size", search.batch_size)
        bench.ranks.check_batch("final.batch-size", final.batch_size)
        folders = _folders(device, out, overwrite=overwrite, resume=resume)
        address = server or default_server()
        # Every table first: a run of hours shall not end at the second device's missing rows.
        tables = [
            folder.table_used()
            if folder.resumes
            else complete(
                address,
                target=name,
                space=chosen,
                bench=bench,
                profile_missing=profile_missing,
                offline=offline,
            )
            for name, folder in zip(device, folders, strict=True)
        ]
        images = loaded(data, chosen, bench)
        group = group_of(folder.known for folder in folders) if len(device) > 1 else None
        told = bench.ranks.is_first and not offline
        jobs = [
            Job(
                target=name,
                space=chosen,
                table=table,
                images=images,
                data=data,
                search=search,
                final=final,
                folder=folder,
                bench=bench,
                preset=preset,
                group=group,
                posting=Posting(server=address, console=bench.console) if told else None,
            )
            for name, table, folder in zip(device, tables, folders, strict=True)
        ]
        how = measurer(
            measure, server=address, console=bench.console, stop=lambda: bench.stop.asked
        )
        results = [search_and_measure(job, measure=how) for job in jobs]
        if len(results) > 1 and bench.ranks.is_first:
            cross = Cross.of(device, results, tables)
            cross.write(folders[0].out / "cross.json")
            show_cross(bench.console, cross)
            for job, searched in zip(jobs, cross.networks, strict=True):
                if job.posting is not None:
                    job.posting.elsewhere(_elsewhere(device, tables, searched))


def _elsewhere(
    targets: list[str], tables: list[LatencyTable], searched: Searched
) -> list[Elsewhere]:
    """The network's latency on each target but its own."""
    return [
        Elsewhere(
            target=target,
            device=table.device,
            runtime=table.runtime,
            snapshot=table.snapshot,
            predicted_us=predicted_us,
        )
        for target, table, predicted_us in zip(targets, tables, searched.predicted_us, strict=True)
        if target != searched.target
    ]


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
