"""`python -m tests.new_kind_walk SPACE KIND OUT`: a kind of block from its document to its events.

Runs whichever contract, search and device_agent come first on the path.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Walked:
    """What was met on the way.

    Attributes:
        homes: where each package was imported from.
        counted: multiply-accumulates and weights of each operator of the kind, as it says.
        built: the same of its module.
        losses: of weights and theta in an epoch of a search.
        learnt: by operator of the kind, whether all its weights have changed.
        events: of a network with the kind's first two blocks: whose each is, and its name.
    """

    homes: list[str]
    counted: dict[str, list[int]]
    built: dict[str, list[int]]
    losses: list[float]
    learnt: dict[str, bool]
    events: list[tuple[str, str]]


def walk(document: str, kind: str, folder: Path) -> Walked:
    """Export to that folder, and time there."""
    import torch
    from torch import Tensor, nn

    import contract
    import device_agent
    import search
    from contract.networks import network
    from contract.operators import Operator
    from contract.runtime import RuntimeRequest
    from contract.spaces import find_space
    from device_agent.backends.xnnpack.events import owners
    from device_agent.device import Plan, ProgramFile
    from device_agent.devices.host.computer import Host
    from device_agent.measuring.checks import check_timing
    from device_agent.programs.cache import export_to_pte
    from device_agent.programs.program import Program
    from search.config import SearchConfig
    from search.data import Scaling, grey_images
    from search.dnas.search import Search
    from search.supernet.blocks import build
    from search.supernet.supernet import Supernet
    from tests.tables import table_of

    space = find_space(document)
    of_kind = [operator for operator in space.operators if operator.block.kind == kind]

    def counts(operator: Operator) -> list[int]:
        """Of the module's convolutions, as one image runs through them."""
        module, found = build(operator).eval(), [0, 0]

        def count(layer: nn.Module, inputs: Sequence[Tensor], output_BCHW: Tensor) -> None:
            weights = sum(weight.numel() for weight in layer.parameters())
            found[0] += weights * output_BCHW.shape[2] * output_BCHW.shape[3]
            found[1] += weights

        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(count)
        slot = operator.slot
        module(torch.zeros(1, slot.in_channels, slot.input_size, slot.input_size))
        return found

    images = grey_images(
        torch.rand(8, space.resolution, space.resolution),
        torch.randint(0, space.classes, (8,)),
        scaling=Scaling(mean=0.5, deviation=0.3, resolution=space.resolution),
    )
    supernet = Supernet(space, table_of(space))
    modules = {
        operator.key: module
        for slot in supernet.mixed_slots()
        for operator, module in zip(slot.operators, slot.candidates, strict=True)
        if operator in of_kind
    }
    before = {
        key: [weight.detach().clone() for weight in module.parameters()]
        for key, module in modules.items()
    }
    steps = Search(
        supernet,
        weight_split=images,
        theta_split=images,
        config=SearchConfig(epochs=1, batch_size=4, warmup_share=0.0),
        seed=0,
    )
    losses = [
        loss for epoch in steps.epochs() for loss in (epoch.weight_cross_entropy, epoch.theta_loss)
    ]
    learnt = {
        key: all(
            not torch.equal(weight, old)
            for weight, old in zip(module.parameters(), before[key], strict=True)
        )
        for key, module in modules.items()
    }

    firsts = [block.name for block in space.blocks if block.kind == kind]
    chosen = network(
        [firsts[number % 2] for number in range(len(space.slots))], space=space, name="chosen"
    )
    plan = Plan(warmup_runs=1, min_runs=3, max_runs=3, min_duration_s=0, deadline_s=60, trace=True)
    file = ProgramFile(folder / "chosen.pte")
    with Host(RuntimeRequest(protocol="isolated")) as host:
        export_to_pte(Program.under(host.runtime, chosen), file)
        timing = host.time_program(file, plan)
        check_timing(timing, file, host.runtime)
    names = [event.name for event in timing.events]
    return Walked(
        homes=[str(package.__file__) for package in (contract, search, device_agent)],
        counted={operator.key: [operator.macs(), operator.params()] for operator in of_kind},
        built={operator.key: counts(operator) for operator in of_kind},
        losses=losses,
        learnt=learnt,
        events=[
            (chosen.operators[owner].key, name)
            for owner, name in zip(owners(chosen, names), names, strict=True)
        ],
    )


if __name__ == "__main__":
    document, kind, out = sys.argv[1:]
    walked = walk(document, kind, Path(out).resolve().parent)
    Path(out).write_text(json.dumps(asdict(walked)))
