"""Blocks: what may be chosen for a slot. One module per kind: its fields, name and counts."""

from typing import Annotated

from pydantic import Field

from contract.blocks.conv import Conv, Stem
from contract.blocks.fused_mbconv import FusedMBConv
from contract.blocks.head import Head
from contract.blocks.mbconv import MBConv
from contract.blocks.residual import BasicResidual, BottleneckResidual
from contract.blocks.separable import Separable
from contract.blocks.shuffle import ShuffleUnit
from contract.blocks.skip import Skip

AnyBlock = (
    MBConv
    | FusedMBConv
    | Separable
    | Conv
    | ShuffleUnit
    | BasicResidual
    | BottleneckResidual
    | Stem
    | Head
    | Skip
)
Block = Annotated[AnyBlock, Field(discriminator="kind")]

__all__ = [
    "AnyBlock",
    "BasicResidual",
    "Block",
    "BottleneckResidual",
    "Conv",
    "FusedMBConv",
    "Head",
    "MBConv",
    "Separable",
    "ShuffleUnit",
    "Skip",
    "Stem",
]
