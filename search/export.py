"""`python -m search.export --result runs/x/result.json`: the network found, as an ONNX file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.results import WEIGHTS, SearchResult
from search.console import plain_console
from search.runs.folder import ONNX

HELP = "Write the network that a search found as an ONNX file, with its trained weights."
app = command_line("python -m search.export", HELP)


@app.default
def export(*, result: Path, to: Annotated[Path | None, Parameter(name="--onnx")] = None) -> None:
    """Write the network that a search found as an ONNX file, with its trained weights.

    Args:
        result: The result.json of a search; its weights.safetensors lies beside it.
        to: The file to write; else network.onnx beside the result.
    """
    found = SearchResult.read(result)
    path = to or result.with_name(ONNX)
    resolution = found.space.resolution
    # Not before: whoever mistypes an option or asks for help does not wait for PyTorch.
    from search.networks import load
    from search.runs.onnx import write_onnx

    write_onnx(path, load(result.with_name(WEIGHTS)), resolution=resolution)
    plain_console().print(
        f"{path}: `image`, float32, any batch x 3 x {resolution} x {resolution}, to `logits`"
    )


if __name__ == "__main__":
    main(app)
