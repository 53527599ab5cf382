"""Tells the server of a run as it goes on. The run never waits for that, and never fails by it.

What was not told is told after the next epoch or at the end, and by a run that is resumed: its
folder has every epoch, and search.json the id under which the server knows the run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock, Thread
from uuid import UUID, uuid4

from pydantic import ValidationError
from rich.console import Console

from contract.client import TableClient, table_client
from contract.errors import PhonebookError, is_passing
from contract.results import SearchResult
from contract.searches import Elsewhere, FoundFigures, SearchEpoch, SearchPlan, SearchRun
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.values import Value
from search.dnas.figures import EpochResult
from search.files import write_document

LAST_WAIT_S = 10.0  # for what is still to be told when the run ends


class ToldSearch(Value):
    """search.json: under which id, and as what, the server knows the run."""

    id: UUID
    plan: SearchPlan


class Posting:
    """One run's news. Every method returns at once but `end`, which waits a little."""

    def __init__(self, *, server: str, console: Console) -> None:
        self._server = server
        self._console = console
        self._search: ToldSearch | None = None
        self._lock = Lock()  # around all that follows
        self._run: SearchRun | None = None
        self._told: SearchRun | None = None
        self._epochs: list[SearchEpoch] = []
        self._epochs_told = 0
        self._fault: PhonebookError | None = None
        self._sender: Thread | None = None
        self._said: set[str] = set()

    def begin(
        self, path: Path, make: Callable[[], SearchPlan], epochs: Sequence[EpochResult]
    ) -> None:
        """Tell that the run began, or goes on after these epochs. `path` is its search.json."""
        try:
            self._search = _read_or_begin(path, make)
            self._run = SearchRun(plan=self._search.plan)
        except (ValidationError, PhonebookError) as error:
            self._say(f"the server is not told of this run: {error}")
            return
        for epoch in epochs:
            self._keep(epoch)
        self._send()

    def add_epoch(self, epoch: EpochResult) -> None:
        """Tell of an epoch that has ended."""
        if self._run is not None:
            self._keep(epoch)
            self._send()

    def tell_result(
        self, result: SearchResult, *, table: LatencyTable, space: SearchSpace
    ) -> None:
        """Tell what was found, or how long it took on the device."""
        stem_us, head_us = table.latencies_us((space.stem, space.head))
        figures = result.model_dump(include=set(FoundFigures.model_fields))
        layers = [layer.model_dump() for layer in result.layers]
        self._change(result={**figures, "stem_us": stem_us, "head_us": head_us, "layers": layers})

    def end(self, *, why: BaseException | None = None) -> None:
        """Tell that the run is finished, or why it stopped, and what is still to be told."""
        if why is None:
            self._change(state="finished")
        else:
            self._change(state="stopped", reason=_reason(why))
        self._wait()

    def tell_elsewhere(self, latencies: Sequence[Elsewhere]) -> None:
        """Tell how the network does on the command's other targets."""
        self._change(elsewhere=tuple(latencies))
        self._wait()

    def _keep(self, epoch: EpochResult) -> None:
        try:
            told = SearchEpoch.model_validate(asdict(epoch))
        except ValidationError as error:
            self._say(f"the server is not told of epoch {epoch.epoch}: {error}")
            return
        with self._lock:
            self._epochs.append(told)

    def _change(self, **changes: object) -> None:
        if self._run is None:
            return
        try:
            run = SearchRun.model_validate({**dict(self._run), **changes})
        except ValidationError as error:
            self._say(f"the server is not told how this run stands: {error}")
            return
        with self._lock:
            self._run = run
        self._send()

    def _send(self) -> None:
        """Begin to send what waits, unless that is under way or the server refused it."""
        self._explain()
        with self._lock:
            refused = self._fault is not None and not is_passing(self._fault)
            if refused or (self._sender is not None and self._sender.is_alive()):
                return
            self._sender = Thread(target=self._send_waiting, daemon=True)
            self._sender.start()

    def _send_waiting(self) -> None:
        assert self._search is not None
        fault = None
        try:
            # At a wrong address nothing is told, and the run goes on all the same.
            with table_client(self._server, answered_before=True) as client:
                while self._send_next(client, self._search.id):
                    pass
        except PhonebookError as error:
            fault = error
        with self._lock:
            self._fault = fault

    def _send_next(self, client: TableClient, search: UUID) -> bool:
        """Tell one thing; False where nothing waits."""
        with self._lock:
            run = None if self._run == self._told else self._run
            epochs, number = self._epochs[self._epochs_told :], self._epochs_told
        if run is not None:
            client.tell_search(search, run)
            with self._lock:
                self._told = run
        elif epochs:
            client.tell_epoch(search, epochs[0])
            with self._lock:
                self._epochs_told = number + 1
        return run is not None or bool(epochs)

    def _wait(self) -> None:
        """Give the last words some time, and say where the run can be seen, or what is missing."""
        if self._run is None or self._search is None:
            return
        if self._sender is not None:
            self._sender.join(LAST_WAIT_S)
        with self._lock:
            waits = self._told != self._run or self._epochs_told < len(self._epochs)
            idle = self._sender is None or not self._sender.is_alive()
            passing = self._fault is None or is_passing(self._fault)
        if waits and idle and passing:  # it had failed before the last words came
            self._send()
            if self._sender is not None:
                self._sender.join(LAST_WAIT_S)
            with self._lock:
                waits = self._told != self._run or self._epochs_told < len(self._epochs)
        self._explain()
        if waits:
            self._say(
                f"{self._server} does not know all of this run; the same command with --out and "
                "--resume tells it the rest"
            )

    def _explain(self) -> None:
        """Say, once, where the run can be seen, or why it cannot."""
        with self._lock:
            fault, told = self._fault, self._told
        if fault is not None:
            self._say(f"the server was not told how the run goes, which goes on: {fault}")
        elif told is not None and self._search is not None:
            self._say(f"to be seen at {self._server.rstrip('/')}/searches/{self._search.id}")

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._console.print(line)
        self._said.add(line)


def _reason(why: BaseException) -> str:
    if isinstance(why, KeyboardInterrupt):
        return "stopped by whoever ran it"
    return str(why)[-4000:] if isinstance(why, PhonebookError) else type(why).__name__


def group_of(paths: Iterable[Path]) -> UUID:
    """What the runs of these search.json are told as: the group of one that was told, or a new
    one."""
    for path in paths:
        try:
            group = ToldSearch.model_validate_json(path.read_bytes()).plan.group
        except (OSError, ValidationError):
            continue
        if group is not None:
            return group
    return uuid4()


def _read_or_begin(path: Path, make: Callable[[], SearchPlan]) -> ToldSearch:
    """What the server knows the run as; a run that it does not know gets an id.

    Raises:
        PhonebookError: the file cannot be written.
        ValidationError: the run has no plan that the server could take.
    """
    try:
        return ToldSearch.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        told = ToldSearch(id=uuid4(), plan=make())
    write_document(path, told)
    return told
