"""The figures of a training's epochs."""

from contract.values import Value


class FinalEpoch(Value):
    """One epoch of training a network."""

    epoch: int  # from 1
    cross_entropy: float
