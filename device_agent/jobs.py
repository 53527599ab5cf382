"""`python -m device_agent.jobs list|show|cancel|retry|file`: the work that waits for devices."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from cyclopts import App, Parameter, validators
from pydantic import TypeAdapter

from contract import commands
from contract.audits import LEAST_NETWORKS, MOST_NETWORKS
from contract.cli import command_line, main
from contract.client import TableClient, default_server, known_space, table_client
from contract.errors import PhonebookError, near
from contract.job_words import state_words, work_words
from contract.jobs import AuditTable, Job, JobReport, JobState, MeasureNetwork, Profile, Work
from contract.networks import published
from contract.runtime import Runtime, runtime_of
from contract.sessions import Effort
from contract.spaces import DEFAULT_SPACE
from contract.times import age, stamp
from device_agent import screen

Id = Annotated[UUID, Parameter(help="The job's id, as `list` shows it.")]
Server = Annotated[
    str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON document on stdout.")
]
DeviceName = Annotated[str, Parameter(help="Which device is to do it, by its name on the server.")]
RuntimeKey = Annotated[
    str | None, Parameter(help="The runtime's key [default: the device's default one].")
]
Space = Annotated[str, Parameter(help="Which search space.")]
Care = Annotated[Effort, Parameter(help="How much care is taken.")]
Priority = Annotated[
    int,
    Parameter(
        help="The highest goes first, then the oldest.",
        validator=validators.Number(gte=-100, lte=100),
    ),
]

app = command_line(
    "python -m device_agent.jobs", "See, file, cancel and retry the jobs that agents do."
)
filing = App(name="file", help="File a job, for an agent that serves the device.")
app.command(filing)


@app.command(name="list")
def list_jobs(
    *,
    device: Annotated[str | None, Parameter(help="Of that device alone.")] = None,
    state: Annotated[JobState | None, Parameter(help="In that state alone.")] = None,
    before: Annotated[
        UUID | None, Parameter(help="Go on after that job, the last one of a listing.")
    ] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List the newest 100 jobs, newest first."""
    with table_client(server or default_server()) as client:
        found = client.jobs(device, state, before=before)
        if as_json:
            everything = TypeAdapter(list[JobReport]).dump_json(found)
            sys.stdout.write(everything.decode() + "\n")
        elif found:
            _write(*_table(found, datetime.now(UTC)))
        else:
            _write(f"no such job on {client.server}")


@app.command
def show(job: Id, /, *, server: Server = None, as_json: AsJson = False) -> None:
    """Tell all about a job: what it is, how many attempts it had, how the last one went."""
    with table_client(server or default_server()) as client:
        report = client.job(job)
        if as_json:
            _write(report.model_dump_json())
            return
        _write(*screen.columns(list(_details(report, datetime.now(UTC)))))
        if report.state in ("dead", "cancelled"):
            _write(f"`{commands.retry_job(job, server=client.server)}` lets it wait again")


@app.command
def cancel(job: Id, /, *, server: Server = None) -> None:
    """Let nobody begin the job; whoever has begun it loses it."""
    with table_client(server or default_server()) as client:
        _say(client.cancel_job(job))


@app.command
def retry(job: Id, /, *, server: Server = None) -> None:
    """Let a dead or cancelled job wait again, its attempts counted anew."""
    with table_client(server or default_server()) as client:
        _say(client.retry_job(job))


@filing.command
def profile(
    *,
    device: DeviceName,
    runtime: RuntimeKey = None,
    space: Space = DEFAULT_SPACE,
    effort: Care = "standard",
    again: Annotated[
        bool, Parameter(negative="", help="Measure operators that have a row anew.")
    ] = False,
    priority: Priority = 0,
    server: Server = None,
) -> None:
    """File a profile: bring the table of a space to completeness."""
    with table_client(server or default_server()) as client:
        work = Profile(space=space, effort=effort, again=again)
        _file(client, work, device=device, runtime=runtime, priority=priority)


@filing.command
def audit(
    *,
    device: DeviceName,
    runtime: RuntimeKey = None,
    space: Space = DEFAULT_SPACE,
    effort: Care = "standard",
    networks: Annotated[
        int,
        Parameter(
            help="How many random networks.",
            validator=validators.Number(gte=LEAST_NETWORKS, lte=MOST_NETWORKS),
        ),
    ] = 50,
    seed: Annotated[
        int,
        Parameter(help="Of the random networks.", validator=validators.Number(gte=0, lt=2**31)),
    ] = 0,
    priority: Priority = 0,
    server: Server = None,
) -> None:
    """File an audit: hold the table against whole networks."""
    with table_client(server or default_server()) as client:
        work = AuditTable(space=space, effort=effort, networks=networks, seed=seed)
        _file(client, work, device=device, runtime=runtime, priority=priority)


@filing.command(name="network")
def measure_network(
    *,
    device: DeviceName,
    network: Annotated[str, Parameter(help="A published network.")],
    runtime: RuntimeKey = None,
    space: Annotated[str | None, Parameter(help="Where to put it [default: its own].")] = None,
    priority: Priority = 0,
    server: Server = None,
) -> None:
    """File a measurement of a whole network."""
    with table_client(server or default_server()) as client:
        where = known_space(space, server=client.server) if space else None
        chosen = published(network, in_space=where)
        work = MeasureNetwork(space=chosen.space.name, blocks=chosen.blocks)
        _file(client, work, device=device, runtime=runtime, priority=priority)


def _file(
    client: TableClient, work: Work, *, device: str, runtime: str | None, priority: int
) -> None:
    job = Job(
        id=uuid4(),
        device=device,
        runtime=runtime_of(runtime) if runtime else _default_runtime(client, device),
        work=work,
        priority=priority,
    )
    _say(client.file_job(job))


def _default_runtime(client: TableClient, device: str) -> Runtime:
    """
    Raises:
        PhonebookError: no such device, or nothing was measured on it.
    """
    devices = {each.name: each for each in client.devices()}
    if device not in devices:
        client.check_name(device)
        raise PhonebookError(f"no device {device!r}; {near(device, list(devices))}")
    for summary in devices[device].runtimes:
        if summary.is_default:
            return summary.runtime
    raise PhonebookError(
        f"nothing was measured on {device} yet, so it has no default runtime; "
        "give --runtime KEY, as in xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"
    )


def _table(found: list[JobReport], now: datetime) -> Iterator[str]:
    rows = [("job", "device", "work", "state", "unit", "filed")] + [
        (
            str(report.job.id),
            report.job.device,
            work_words(report.job.work),
            state_words(report) + _so_far(report),
            report.unit or "-",
            age(report.filed_at, now),
        )
        for report in found
    ]
    return screen.columns(rows)


def _so_far(report: JobReport) -> str:
    progress = report.progress
    if report.state != "leased" or progress is None:
        return ""
    return f": {progress.done} of {progress.total} {progress.what}"


def _details(report: JobReport, now: datetime) -> Iterator[tuple[str, str]]:
    job = report.job
    yield "job", str(job.id)
    yield "work", work_words(job.work)
    if isinstance(job.work, MeasureNetwork):
        yield "blocks", " ".join(job.work.blocks)
    yield "device", job.device
    yield "runtime", job.runtime.key
    yield "priority", str(job.priority)
    yield "filed", f"{stamp(report.filed_at)}, {age(report.filed_at, now)}"
    yield "state", f"{state_words(report)}, since {stamp(report.changed_at)}"
    yield "attempts", f"{report.attempts}, dead after {job.most_attempts} that failed"
    if report.unit is not None:
        yield "unit", f"{report.unit}, of agent {report.agent}"
    if report.progress is not None:
        progress = report.progress
        yield "progress", f"{progress.done} of {progress.total} {progress.what}"
    if report.expires_at is not None:
        yield "lease", f"until {stamp(report.expires_at)} unless renewed"
    if report.reason is not None:
        yield "reason", report.reason
    if report.estimate is not None:
        figures = report.estimate
        yield (
            "latency",
            f"{figures.latency_us:,.1f} us +- {figures.half_width:.1%}, grade {figures.grade}",
        )
    if report.at_level is not None:
        yield "level", report.at_level.words
    if report.footprint is not None:
        yield "besides", report.footprint.words


def _say(report: JobReport) -> None:
    job = report.job
    _write(f"job {job.id} ({work_words(job.work)} on {job.device}): {state_words(report)}")


def _write(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(app)
