"""What each kind of job asks an agent to do at its workplace."""

from contract.estimates import Estimate
from contract.jobs import AuditTable, MeasureNetwork, Profile, Work
from contract.networks import network
from contract.spaces import space as space_named
from device_agent.audit import audit
from device_agent.network import exported, must_be_measured, time_network
from device_agent.profile import profile
from device_agent.workplace import Workplace


def do(work: Work, place: Workplace) -> Estimate | None:
    """Do the work and send what it measured; the estimate is of a measured network.

    Raises:
        DeviceFailed: the device could not do it this time.
        ServerUnreachable: at the start, with nothing begun.
        PhonebookError: it cannot be done as it was asked.
        Halted: the place's watch ended it.
    """
    match work:
        case Profile():
            profile(place, work.space, again=work.again)
        case AuditTable():
            done = audit(place, space_named(work.space), networks=work.networks, seed=work.seed)
            place.send(must_store=[done.id])
        case MeasureNetwork():
            must_be_measured(place.device, place.name)
            chosen = network(work.blocks, space=space_named(work.space), name="asked-for")
            runtime, watch = place.device.runtime, place.watch
            file = exported(chosen, runtime, place.cache, place.exporter, watch=watch)
            return time_network(place.device, chosen, file, watch=watch)
    return None


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
