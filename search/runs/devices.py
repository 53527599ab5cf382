"""One search for each of several devices, and how every network does on every one of them."""

from collections.abc import Sequence

from contract.searches import Elsewhere
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.config import DataConfig, MachineConfig, SearchConfig, TrainConfig
from search.files import write_document
from search.measuring.network import Where, measurer, where_of
from search.runs.complete_table import complete_table, find_table
from search.runs.context import open_run
from search.runs.cross import Cross, Searched, show_cross
from search.runs.folder import RunFolder
from search.runs.images import load_images
from search.runs.posting import Posting, group_of
from search.runs.search import RunSpec, check, search_and_measure


def search_each(
    targets: Sequence[str],
    folders: Sequence[RunFolder],
    *,
    space: SearchSpace,
    server: str,
    offline: bool,
    profile_missing: bool,
    measure: Where,
    preset: str | None,
    search: SearchConfig,
    data: DataConfig,
    machine: MachineConfig,
    final: TrainConfig,
) -> None:
    """Search a network for each target and keep it in the target's folder.

    Raises:
        PhonebookError: as `search_and_measure` does, for the first target that fails.
    """
    with open_run(machine) as context:
        context.processes.require_equal_shares("batch-size", search.batch_size)
        context.processes.require_equal_shares("final.batch-size", final.batch_size)
        # Everything first, of every device: a run of hours shall not end at what the second lacks.
        tables = [
            folder.table_used()
            if folder.resumes
            else find_table(
                server,
                target=target,
                space=space,
                context=context,
                profile_missing=profile_missing,
                offline=offline,
            )
            for target, folder in zip(targets, folders, strict=True)
        ]
        wheres = [where_of(table, measure) for table in tables]
        for target, where in zip(targets, wheres, strict=True):
            if where != measure:
                context.console.print(
                    f"{target}: the table is imported, so the network found is not measured"
                )
        images = load_images(data, space, context)
        if profile_missing:
            tables = [
                table
                if folder.resumes
                else complete_table(server, table, target=target, space=space, context=context)
                for target, table, folder in zip(targets, tables, folders, strict=True)
            ]
        group = group_of(folder.told for folder in folders) if len(targets) > 1 else None
        tells = context.processes.is_first and not offline
        specs = [
            RunSpec(
                target=target,
                space=space,
                table=table,
                images=images,
                data=data,
                search=search,
                final=final,
                folder=folder,
                context=context,
                preset=preset,
                group=group,
                posting=Posting(server=server, console=context.console) if tells else None,
            )
            for target, table, folder in zip(targets, tables, folders, strict=True)
        ]
        for spec in specs if len(specs) > 1 else ():
            check(spec)
        results = [
            search_and_measure(
                spec,
                measure=measurer(
                    where,
                    server=server,
                    console=context.console,
                    stop=lambda: context.stop.asked,
                ),
            )
            for spec, where in zip(specs, wheres, strict=True)
        ]
        if len(results) > 1 and context.processes.is_first:
            cross = Cross.of(targets, results, tables)
            write_document(folders[0].out / "cross.json", cross)
            show_cross(context.console, cross)
            for spec, searched in zip(specs, cross.networks, strict=True):
                if spec.posting is not None:
                    spec.posting.tell_elsewhere(_elsewhere(targets, tables, searched))


def _elsewhere(
    targets: Sequence[str], tables: Sequence[LatencyTable], searched: Searched
) -> list[Elsewhere]:
    """The network's latency on each target but its own."""
    return [
        Elsewhere(
            target=target,
            device=table.device,
            runtime=table.runtime,
            snapshot=table.snapshot,
            origin=table.origin,
            sources=table.sources,
            predicted_us=predicted_us,
        )
        for target, table, predicted_us in zip(targets, tables, searched.predicted_us, strict=True)
        if target != searched.target
    ]
