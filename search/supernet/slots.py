"""One slot of the super network: its candidates, mixed by a mask or one at a time.

Wu et al. 2019 (arXiv:1812.03443), section 3.3.

Shape suffixes: B batch, C channels, H height, W width, K candidates of a slot.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from contract.operators import Operator
from search.supernet.blocks import begin_as_shortcuts
from search.supernet.branches import branch_of
from search.supernet.shared_weights import drop_weights, owners_of


class MixedSlot(nn.Module):
    """One slot: its candidates, their latencies in us, and the logits of choosing among them."""

    latency_us_K: Tensor

    def __init__(
        self,
        operators: Sequence[Operator],
        candidates: Iterable[nn.Module],
        latencies_us: Sequence[float],
    ) -> None:
        """One module and one latency per operator, in the same order."""
        super().__init__()
        self.operators = tuple(operators)
        self.candidates = nn.ModuleList(candidates)
        self._choose_branches(owners={})
        self.theta_K = nn.Parameter(torch.zeros(len(operators)))
        self.register_buffer("latency_us_K", torch.tensor(latencies_us))
        # Untrained blocks then do not drown each other, whatever path is drawn: on Fashion-MNIST
        # the cross entropy along paths was 2.10 instead of 2.46 after three epochs.
        begin_as_shortcuts(self)

    def probabilities(self) -> Tensor:
        """P_theta of each candidate, without noise (equation 5)."""
        return self.theta_K.softmax(dim=0)

    def skip_probability(self) -> float | None:
        """P_theta of computing nothing; None where the shape changes and something must."""
        probability_K = self.probabilities()
        free = [index for index, operator in enumerate(self.operators) if operator.is_free]
        return probability_K[free[0]].item() if free else None

    def mask(self, temperature: float, generator: torch.Generator) -> Tensor:
        """A Gumbel-softmax sample over the candidates, which sums to one (equation 7)."""
        return ((self.theta_K + self._gumbel_noise(generator)) / temperature).softmax(dim=0)

    def draw(self, generator: torch.Generator) -> int:
        """A candidate, with its probability."""
        return int((self.theta_K + self._gumbel_noise(generator)).argmax())

    def forward(self, x_BCHW: Tensor, weight_K: Tensor, recompute: bool) -> Tensor:
        """The candidates' outputs, each times its weight.

        Where all of them pass the input on, by a shortcut or as a skip, it is added once: their
        weights sum to one.
        """
        mixed_BCHW: Tensor | None = None
        for index, branch in enumerate(self.branches):
            if branch is not None:
                output_BCHW = branch(x_BCHW, gate=weight_K[index], recompute=recompute)
                mixed_BCHW = output_BCHW if mixed_BCHW is None else mixed_BCHW.add_(output_BCHW)
        passing = [index for index in range(len(self.branches)) if self._passes_input(index)]
        if not passing:
            assert mixed_BCHW is not None
            return mixed_BCHW
        everyone = len(passing) == len(self.branches)
        passed_BCHW = x_BCHW if everyone else x_BCHW * weight_K[passing].sum()
        return passed_BCHW if mixed_BCHW is None else passed_BCHW + mixed_BCHW

    def along(self, x_BCHW: Tensor, index: int, recompute: bool) -> Tensor:
        """The output of one candidate."""
        branch = self.branches[index]
        if branch is None:
            return x_BCHW
        output_BCHW = branch(x_BCHW, gate=None, recompute=recompute)
        return x_BCHW + output_BCHW if self._passes_input(index) else output_BCHW

    def share_weights(self) -> None:
        """Let candidates with as many groups have the weights of the largest among them."""
        owners = owners_of(self.operators)
        for index in owners:
            drop_weights(self.candidates[index])
        self._choose_branches(owners)

    def _choose_branches(self, owners: Mapping[int, int]) -> None:
        self.branches = tuple(
            branch_of(operator.block, candidate, self.candidates[owners.get(index, index)])
            for index, (operator, candidate) in enumerate(
                zip(self.operators, self.candidates, strict=True)
            )
        )

    def _passes_input(self, index: int) -> bool:
        branch = self.branches[index]
        return branch is None or branch.adds_input

    def _gumbel_noise(self, generator: torch.Generator) -> Tensor:
        # -log(Exponential) is Gumbel noise and, unlike -log(-log(uniform)), always finite. Drawn
        # on the CPU, so that every process and every accelerator gets the same.
        noise_K = -torch.empty(self.theta_K.shape).exponential_(generator=generator).log()
        return noise_K.to(self.theta_K.device)
