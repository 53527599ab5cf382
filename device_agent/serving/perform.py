"""What each kind of job asks of an agent's station."""

from contract.client import TableClient
from contract.jobs import AuditTable, MeasureNetwork, Profile, Work
from contract.networks import network
from contract.spaces import SPACE_NAMES, SearchSpace, space
from device_agent.measuring.audit import audit
from device_agent.measuring.profile import profile
from device_agent.measuring.references import beside
from device_agent.measuring.station import Station
from device_agent.measuring.whole_network import (
    TimedNetwork,
    export_network,
    must_be_measured,
    time_network,
)


def perform(work: Work, station: Station) -> TimedNetwork | None:
    """Do the work and send what it measured, or return it where it is a network's.

    Raises:
        DeviceFailed: the device could not do it this time.
        ServerUnreachable: at the start, with nothing begun.
        PhonebookError: it cannot be done as it was asked.
        Halted: the station's supervisor ended it.
    """
    of = _space(work.space, station.client)
    match work:
        case Profile():
            profile(station, of, again=work.again)
        case AuditTable():
            done = audit(station, of, networks=work.networks, seed=work.seed)
            station.send(must_store=[done.id])
        case MeasureNetwork():
            must_be_measured(station.device, station.name)
            chosen = network(work.blocks, space=of, name="asked-for")
            device, supervisor = station.device, station.supervisor
            file = export_network(
                chosen, device.runtime, station.cache, station.exporter, supervisor=supervisor
            )
            others = beside(
                chosen,
                device.runtime,
                device=station.name,
                client=station.client,
                cache=station.cache,
                exporter=station.exporter,
                supervisor=supervisor,
            )
            return time_network(device, chosen, file, beside=others, supervisor=supervisor)
    return None


def _space(name: str, client: TableClient) -> SearchSpace:
    """One that ships, or that the server knows, which is waited for like all else of a job."""
    return space(name) if name in SPACE_NAMES else client.space(name)


def title(work: Work) -> str:
    """The job in a few words."""
    match work:
        case Profile():
            again = " again" if work.again else ""
            return f"profile {work.space}{again}, {work.effort} effort"
        case AuditTable():
            return f"audit {work.space} with {work.networks} networks, {work.effort} effort"
        case MeasureNetwork():
            return f"measure a network of {work.space}"
