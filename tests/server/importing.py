"""Imports of tables of others, with the dull parts filled in."""

from pathlib import Path
from typing import Any

from contract.spaces import space
from server.imports.__main__ import app as command

FOREIGN = "foreign-float32-t1-contiguous-et0-native-any-isolated"


def bring_in(
    file: Path, format: str, *more: str, device: str = "pixel3", date: str = "2019-06-01"
) -> None:
    told = ["--source", "a paper", "--date", date]
    command([str(file), "--format", format, "--device", device, *told, *more])


def all_shapes(metric: str = "pixel3_latency") -> dict[str, Any]:
    """A file of HW-NAS-Bench with every operator of fbnet-224 and what we have none of."""
    chosen = space("fbnet-224")
    table: dict[str, float] = {"ConvNorm_H224_W224_Cin3_Cout16_kernel3_stride2_group1": 0.5}
    for index, operator in enumerate(chosen.operators):
        block, slot = operator.block, operator.slot
        if block.kind == "mbconv":
            size = slot.input_size
            table[
                f"ConvBlock_H{size}_W{size}_Cin{slot.in_channels}_Cout{slot.out_channels}"
                f"_exp{block.expansion}_kernel{block.kernel_size}_stride{slot.stride}"
                f"_group{block.groups}"
            ] = 1 + index / 8
    table["ConvNorm_H7_W7_Cin352_Cout1984_kernel1_stride1_group1"] = 1.5
    table["AvgP_H7_W7_Cin1984_Cout1984_kernel7_stride1"] = 0.25
    table["FC_Cin1984_Cout1000"] = 0.75
    table["ConvNorm_H7_W7_Cin352_Cout1504_kernel1_stride1_group1"] = 1.25
    table["Skip_H56_W56_Cin24_Cout24_stride1"] = 0.01
    table["ConvBlock_H9_W9_Cin7_Cout7_exp1_kernel3_stride1_group1"] = 1.0
    table["ConvBlock_H9_W9_Cin7_Cout7_exp1_kernel3_stride1_group2"] = 1.0
    return {"fbnet": {metric: table, "pixel3_energy": {}}}
