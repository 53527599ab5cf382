import json
import math
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest
import torch
from torch import Tensor, nn

from contract.blocks import Head, Stem
from contract.devices import DeviceDescription
from contract.results import SearchResult
from contract.spaces import SearchSpace, SpaceStem, Stage, space
from contract.tables import Device, LatencyTable, RuntimeSummary
from search.data import Images, Scaling, grey_images
from search.dnas.selection import derive
from search.supernet.supernet import Supernet
from tests.tables import table_of

FOUND_IN = space("fbnet-32-0.35")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # the tensors are tiny: a second thread would mostly wait


@pytest.fixture(autouse=True, scope="session")
def _no_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hugging Face's libraries read these when they are imported, which no test file does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging-face")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        yield


@pytest.fixture(scope="session")
def tiny() -> SearchSpace:
    return tiny_space()


def tiny_space() -> SearchSpace:
    """Two slots, one of which may skip, on 8x8 images of three classes."""
    return SearchSpace(
        name="tiny",
        resolution=8,
        classes=3,
        stem_block=SpaceStem(block=Stem(), channels=4, stride=1),
        candidates=space("fbnet-32").candidates,
        stages=(Stage(channels=4, depth=1), Stage(channels=8, depth=1, stride=2)),
        head_blocks=(Head(channels=16),),
    )


def random_images(count: int, *, seed: int = 0) -> Images:
    """Grey noise of 8x8 pixels under labels at random, for the space `tiny`."""
    generator = torch.Generator().manual_seed(seed)
    return grey_images(
        torch.rand(count, 8, 8, generator=generator),
        torch.randint(0, 3, (count,), generator=generator),
        scaling=Scaling(mean=0.5, deviation=0.3, resolution=8),
    )


def supernet_of(
    space: SearchSpace,
    table: LatencyTable | None = None,
    *,
    recompute: bool = False,
    shares_weights: bool = False,
) -> Supernet:
    """A super network with the same initial weights each time."""
    torch.manual_seed(0)
    return Supernet(
        space, table or table_of(space), recompute=recompute, shares_weights=shares_weights
    )


class Steps:
    """Counts the steps of a search or a training, and asks it to stop after so many."""

    def __init__(self, *, stop_after: float = math.inf) -> None:
        self.count = 0
        self.stop_after = stop_after

    def __call__(self) -> bool:
        self.count += 1
        return self.count == self.stop_after


def found_by(
    supernet: Supernet, space: SearchSpace, table: LatencyTable, *, samples: int
) -> SearchResult:
    """The result of a search that ended with this theta."""
    found = derive(
        supernet,
        space,
        table,
        within=None,
        samples=samples,
        generator=torch.Generator().manual_seed(0),
    )
    network = found.network(space)
    return SearchResult(
        device=table.device,
        runtime=table.runtime,
        space=space.name,
        seed=0,
        architecture=found.architecture,
        target_us=None,
        predicted_us=found.predicted_us,
        measured_us=None,
        macs=network.macs(),
        params=network.params(),
        accuracy=0.5,
        table_snapshot=table.snapshot,
        layers=found.layers,
        samples=found.samples,
    )


def certain_supernet() -> Supernet:
    """Theta nearly made up its mind, for the first eight blocks in turn."""
    supernet = supernet_of(FOUND_IN)
    for number, slot in enumerate(supernet.mixed_slots()):
        slot.theta_K.data[number % 8] = 5.0
    return supernet


def certain_result() -> SearchResult:
    return found_by(certain_supernet(), FOUND_IN, table_of(FOUND_IN), samples=4)


def trained(module: nn.Module) -> nn.Module:
    """The module after it has seen images: its batch norms are no longer those of a fresh one."""
    with torch.no_grad():
        module.train()(torch.randn(8, 3, 32, 32))
    return module.eval()


class TableServer:
    """Serves tables of one space over HTTP, records what it is asked, and refuses the rest.

    The first table of a device is that of its default runtime. An answer that the client has
    already, by its ETag, is not sent again.
    """

    def __init__(self, *tables: LatencyTable) -> None:
        self.asked: list[str] = []
        answers: dict[str, str] = {}
        devices: dict[str, list[LatencyTable]] = {}
        for table in tables:
            devices.setdefault(table.device, []).append(table)
            query = urlencode({"runtime": table.runtime.key, "space": table.space})
            answers[f"/lut/{table.device}?{query}"] = table.model_dump_json(by_alias=True)
        for name, its in devices.items():
            answers[f"/lut/{name}?space={its[0].space}"] = its[0].model_dump_json(by_alias=True)
        listed = [_device(name, its).model_dump_json() for name, its in devices.items()]
        answers["/devices"] = f"[{','.join(listed)}]"
        asked = self.asked
        statuses = self.statuses = list[int]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                problem = {"type": "about:blank", "title": "?", "status": 404, "detail": self.path}
                body = answers.get(self.path, json.dumps(problem)).encode()
                tag = f'W/"{sha256(body).hexdigest()}"'
                status = 200 if self.path in answers else 404
                if self.headers.get("If-None-Match") == tag:
                    status, body = 304, b""
                statuses.append(status)
                self.send_response(status)
                self.send_header("ETag", tag)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the tests look at answers."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def _device(name: str, tables: list[LatencyTable]) -> Device:
    return Device(
        name=name,
        description=DeviceDescription(model="M", soc="S", cores=8, memory_bytes=2**32, os="O"),
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
        runtimes=tuple(
            RuntimeSummary(
                runtime=table.runtime,
                key=table.runtime.key,
                is_default=table is tables[0],
                rows=len(table.entries),
                newest=None,
                oldest=None,
                spaces=(),
            )
            for table in tables
        ),
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the tested programs keep their files in."""
    folder = tmp_path / "home"
    monkeypatch.setenv("PHONEBOOK_HOME", str(folder))
    return folder


@pytest.fixture
def servers() -> Iterator[list[TableServer]]:
    """The servers that `serve` has started."""
    running: list[TableServer] = []
    yield running
    for started in running:
        started.server.shutdown()
        started.server.server_close()


Serve = Callable[..., str]  # of tables


@pytest.fixture
def serve(servers: list[TableServer]) -> Serve:
    """Serve tables and get the server's address."""

    def start(*tables: LatencyTable) -> str:
        servers.append(TableServer(*tables))
        Thread(target=servers[-1].server.serve_forever, args=(0.01,)).start()
        return servers[-1].url

    return start


def idx(values: Tensor) -> bytes:
    """A tensor of bytes as an IDX file."""
    header = bytes((0, 0, 8, values.dim())) + struct.pack(f">{values.dim()}I", *values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


def write_idx_folder(folder: Path, *, labels: list[int], test_labels: list[int]) -> Path:
    """A folder with the files of MNIST: 4x4 images at random, these labels."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for part, label in (("train", labels), ("t10k", test_labels)):
        pixels = torch.randint(0, 256, (len(label), 4, 4), generator=generator)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(torch.tensor(label)))
    return folder


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """Twenty images to learn from and six to be judged on, of three classes."""
    return write_idx_folder(
        tmp_path / "images", labels=[0, 1, 2, 0, 1] * 4, test_labels=[0, 1, 2] * 2
    )
