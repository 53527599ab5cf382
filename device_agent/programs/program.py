"""What is exported to a program, and the name it is cached under."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Self

from contract.networks import Network
from contract.operators import Operator
from contract.runtime import BackendName, Dtype, MemoryFormat, Runtime


@dataclass(frozen=True, kw_only=True)
class Program:
    """An operator, or a whole network, exported to one `.pte` beside its expected output.

    `weights` is a safetensors file for the network; without it the weights are random.
    """

    content: Operator | Network
    dtype: Dtype
    memory_format: MemoryFormat
    backend: BackendName = "xnnpack"
    weights: Path | None = None

    @classmethod
    def under(
        cls, runtime: Runtime, content: Operator | Network, *, weights: Path | None = None
    ) -> Self:
        """The program that is timed under this runtime."""
        return cls(
            content=content,
            dtype=runtime.dtype,
            memory_format=runtime.memory_format,
            backend=runtime.backend,
            weights=weights,
        )

    @property
    def name(self) -> str:
        return self.content.key if isinstance(self.content, Operator) else self.content.name

    @cached_property
    def file_stem(self) -> str:
        """The name, and a hash of everything that the exported bytes depend on."""
        recipe = {
            "content": self.content.model_dump(mode="json", exclude={"name", "space"}),
            "dtype": self.dtype,
            "memory_format": self.memory_format,
            "backend": self.backend,
            "weights": _file_hash(self.weights) if self.weights else None,
            "torch": version("torch"),
            "torchao": version("torchao"),
            "executorch": version("executorch"),
            "exporter": _exporter_hash(self.backend),
        }
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:16]}"


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache
def _exporter_hash(backend: BackendName) -> str:
    """Of the code that decides what is in a program, so that changing it exports anew."""
    root = Path(__file__).resolve().parents[2]
    sources = (
        root / "device_agent" / "programs" / "export.py",
        root / "device_agent" / "backends" / backend / "lowering.py",
        *sorted((root / "search" / "supernet" / "blocks").glob("*.py")),
    )
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
