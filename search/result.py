"""What a search leaves behind for other programs: result.json."""

from pathlib import Path

from pydantic import Field, PositiveFloat, ValidationError

from contract.devices import DeviceName
from contract.errors import PhonebookError
from contract.networks import Network, network
from contract.runtime import Runtime
from contract.spaces import SpaceName, space
from contract.values import Value
from search.derive import Layer, Sampled
from search.files import whole_file


class SearchResult(Value):
    """result.json. `measured_us` is null until the device itself has run the network.

    `measured_by` is the job that did so, or this computer and the program it ran.
    """

    device: DeviceName
    runtime: Runtime
    space: SpaceName
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

    def network(self) -> Network:
        """The network found.

        Raises:
            PhonebookError: the architecture is none of its space's.
        """
        return network(self.architecture, space=space(self.space), name="searched")

    def write(self, path: Path) -> None:
        with whole_file(path) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "SearchResult":
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
                "give the result.json that `python -m search.run` wrote"
            ) from error
