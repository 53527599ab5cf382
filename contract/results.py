"""What a run of the search leaves in its folder for other programs, and what they answer."""

from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from contract import commands
from contract.devices import DeviceName
from contract.errors import PhonebookError
from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.imports import Sources, provenance
from contract.levels import AtLevel
from contract.networks import Network, network
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.spaces import SpaceReference
from contract.values import Value

# In a run's folder, side by side.
RESULT = "result.json"
WEIGHTS = "weights.safetensors"
PROGRAM = "network.pte"  # the network as it was measured on this computer


class _ResultFile(Value):
    """A result.json, of whichever kind."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The result in that file.

        Raises:
            PhonebookError: no such file, or not a result.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise PhonebookError(f"cannot read {path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise PhonebookError(
                f"{path} is no result of a search ({where}: {first['msg']}); "
                f"give the result.json that `{commands.search()}` wrote"
            ) from error


class ResultNetwork(_ResultFile):
    """What the results of a search and of a training say alike: of which network they are."""

    model_config = ConfigDict(extra="ignore")

    space: SpaceReference
    architecture: tuple[str, ...]  # one block per slot
    head_channels: PositiveInt | None = None  # of the space's usual head, unless it says

    def network(self, name: str) -> Network:
        """The network.

        Raises:
            PhonebookError: the architecture is none of its space's.
        """
        return network(
            self.architecture,
            space=self.space,
            name=name,
            head_channels=self.head_channels,
        )


class Layer(Value):
    """What a slot chose."""

    number: int  # from 1
    operator: str
    block: str
    probability: float
    latency_us: float


class Sampled(Value):
    """An architecture drawn from P_theta."""

    architecture: tuple[str, ...]
    predicted_us: float


class SearchResult(_ResultFile):
    """result.json of a search. `measured_us` is null until the device has run the network.

    `measured_by` is the job that did so, or this computer and the program it ran.
    """

    device: DeviceName
    runtime: Runtime
    space: SpaceReference
    seed: int
    architecture: tuple[str, ...]  # one block per slot
    target_us: PositiveFloat | None  # what was asked for, if anything
    predicted_us: PositiveFloat
    measured_us: PositiveFloat | None
    macs: int
    params: int
    accuracy: float = Field(ge=0, le=1)  # share of the test images
    table_snapshot: str
    layers: tuple[Layer, ...]
    samples: tuple[Sampled, ...]
    # Results of older versions do not have what follows.
    measured_by: str | None = None
    measured_low_us: PositiveFloat | None = None  # 95 % interval
    measured_high_us: PositiveFloat | None = None
    measured_at_level: AtLevel | None = None  # of the table's session
    origin: Origin = "measured"  # of the table's rows
    sources: Sources = ()

    @property
    def provenance(self) -> str:
        """Where the table's rows come from; nothing of those that were measured."""
        return provenance(self.origin, self.sources)

    def network(self) -> Network:
        """The network found.

        Raises:
            PhonebookError: the architecture is none of its space's.
        """
        return network(self.architecture, space=self.space, name="searched")


class TrainingResult(_ResultFile):
    """result.json of a training."""

    space: SpaceReference
    architecture: tuple[str, ...]
    head_channels: PositiveInt
    macs: int
    params: int
    accuracy: float = Field(ge=0, le=1)  # share of the test images


class NetworkMeasured(Estimate):
    """The last line of `python -m device_agent.network --json`."""

    program: str  # the exported file
    footprint: Footprint
    at_level: AtLevel | None  # of the table that was named, where it has one
