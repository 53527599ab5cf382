"""A kind of block is added as CONTRIBUTING.md says, to a copy of the code that is then run."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.new_kind_walk import Walked

ROOT = Path(__file__).parent.parent
PACKAGES = ("contract", "search", "device_agent")

IN_CONTRACT = '''"""Blueprint separable convolution: pointwise first, then depthwise."""

from typing import Literal

from contract.blocks.kind import BlockKind, conv_macs, conv_params
from contract.slots import Slot


class Blueprint(BlockKind):
    """1x1 to the output's channels, kxk depthwise with the stride, ReLU; no shortcut.

    Haase and Amthor 2020 (arXiv:2003.13549), figure 4.
    """

    kind: Literal["blueprint"] = "blueprint"
    kernel_size: Literal[3, 5, 7]

    @property
    def name(self) -> str:
        return f"blueprint{self.kernel_size}"

    def misfit(self, slot: Slot) -> str | None:
        return None

    def macs(self, slot: Slot) -> int:
        pointwise = conv_macs(slot.in_channels, slot.out_channels, size=slot.input_size)
        return pointwise + self._depthwise(slot) * slot.output_size**2

    def params(self, slot: Slot) -> int:
        return conv_params(slot.in_channels, slot.out_channels) + self._depthwise(slot)

    def _depthwise(self, slot: Slot) -> int:
        wide = slot.out_channels
        return conv_params(wide, wide, kernel_size=self.kernel_size, groups=wide)
'''

IN_SEARCH = '''"""Blueprint separable convolution."""

from torch import nn

from contract.blocks import Blueprint
from contract.slots import Slot
from search.supernet.blocks.parts import conv_bn, conv_bn_act


def blueprint(block: Blueprint, slot: Slot) -> nn.Sequential:
    """Pointwise, then depthwise, with an activation at the end alone."""
    wide = slot.out_channels
    return nn.Sequential(
        conv_bn(slot.in_channels, wide),
        conv_bn_act(
            wide, wide, kernel_size=block.kernel_size, stride=slot.stride, groups=wide
        ),
    )
'''

NEW = {
    "contract/blocks/blueprint.py": IN_CONTRACT,
    "search/supernet/blocks/blueprint.py": IN_SEARCH,
}

# Which lines come after which.
UNION = "contract/blocks/__init__.py"
ADDED: dict[str, dict[str, str]] = {
    UNION: {
        "from pydantic import Field\n\n": ("from contract.blocks.blueprint import Blueprint\n"),
        "    | BottleneckResidual\n": "    | Blueprint\n",
        '    "Block",\n': '    "Blueprint",\n',
    },
    "search/supernet/blocks/__init__.py": {
        "    BasicResidual,\n": "    Blueprint,\n",
        "from contract.operators import Operator\n": (
            "from search.supernet.blocks.blueprint import blueprint\n"
        ),
        "            return conv_bn_act(\n                slot.in_channels, slot.out_channels, "
        "kernel_size=3, stride=slot.stride\n            )\n": (
            "        case Blueprint():\n            return blueprint(block, slot)\n"
        ),
    },
    "device_agent/backends/xnnpack/events.py": {
        "    BasicResidual,\n": "    Blueprint,\n",
        '            return [_Step("dense", before=True)]\n': (
            "        case Blueprint():\n            return [_DENSE, _DEPTHWISE]\n"
        ),
    },
}

SPACE = """
name: toy
resolution: 16
classes: 10
stem: {block: {kind: stem}, channels: 8, stride: 2}
stages:
  - channels: 16
    depth: 2
    stride: 2
    candidates:
      - {kind: blueprint, kernel_size: 3}
      - {kind: blueprint, kernel_size: 5}
      - {kind: mbconv, kernel_size: 3, expansion: 1}
heads: [{kind: head, channels: 32}]
"""

pytestmark = pytest.mark.slow


def copied(folder: Path) -> Path:
    """The code as it is."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__", ".build", "build"),
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def write(folder: Path, *names: str) -> None:
    """Those new files."""
    for name in names:
        (folder / name).write_text(NEW[name])


def edit(folder: Path, *names: str) -> None:
    """Add to those files what the kind needs there."""
    for name in names:
        text = (folder / name).read_text()
        for before, lines in ADDED[name].items():
            assert text.count(before) == 1, f"{name}: {before}"
            text = text.replace(before, before + lines)
        (folder / name).write_text(text)


def sources(folder: Path) -> dict[str, str]:
    """Of the three packages, by path."""
    return {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8")
        for package in PACKAGES
        for file in (folder / package).rglob("*.py")
    }


def mypy(folder: Path) -> subprocess.CompletedProcess[str]:
    """What it says of the two packages that meet every kind of block."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--cache-dir", ".mypy", "--no-error-summary"),
            *("search/supernet/blocks", "device_agent/backends/xnnpack/events.py"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the recipe was followed."""
    folder = copied(tmp_path_factory.mktemp("grown"))
    write(folder, *NEW)
    edit(folder, *ADDED)
    return folder


@pytest.fixture(scope="module")
def walked(grown: Path) -> Walked:
    """The way of the kind through the copy, in a process of its own."""
    (grown / "toy.yaml").write_text(SPACE)
    subprocess.run(
        [sys.executable, "-m", "tests.new_kind_walk", "toy.yaml", "blueprint", "walked.json"],
        cwd=grown,  # which comes first on the path
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=280,
        check=True,
    )
    return Walked(**json.loads((grown / "walked.json").read_text()))


def test_it_takes_two_new_files_and_three_edited_as_the_recipe_says(
    grown: Path, tmp_path: Path
) -> None:
    before, after = sources(copied(tmp_path)), sources(grown)
    assert after.keys() - before.keys() == NEW.keys()
    edited = {name for name in before if after[name] != before[name]}
    assert edited == ADDED.keys()
    most = 0
    for name in edited:
        changes = [
            line[0]
            for line in difflib.ndiff(before[name].splitlines(), after[name].splitlines())
            if line[0] in "+-"
        ]
        assert {*changes} == {"+"}
        most = max(most, len(changes))
    recipe = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    said = re.search(r"two new files and three edited, by at most (\w+) lines each", recipe)
    assert said is not None
    assert said[1] == {4: "four"}[most]


def test_mypy_names_both_places_that_the_union_leaves_behind(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    write(folder, "contract/blocks/blueprint.py")
    edit(folder, UNION)
    errors = [line for line in mypy(folder).stdout.splitlines() if ": error: " in line]
    assert sorted(line.partition(":")[0] for line in errors) == sorted(ADDED.keys() - {UNION})
    assert all('"assert_never" has incompatible type "Blueprint"' in line for line in errors)
    write(folder, *NEW)
    edit(folder, *(ADDED.keys() - {UNION}))
    done = mypy(folder)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_the_copy_that_was_run(walked: Walked, grown: Path) -> None:
    assert [Path(home).parent for home in walked.homes] == [grown / name for name in PACKAGES]


def test_a_document_names_it_and_its_counts_are_those_of_the_module(walked: Walked) -> None:
    assert {key.partition("-")[0] for key in walked.counted} == {"blueprint3", "blueprint5"}
    assert len(walked.counted) == 4
    assert walked.counted == walked.built


def test_a_super_network_trains_it(walked: Walked) -> None:
    assert walked.losses
    assert all(0 < loss < 100 for loss in walked.losses)
    assert walked.learnt
    assert all(walked.learnt.values())


def test_its_events_in_a_network_on_this_computer_are_booked_to_it(walked: Walked) -> None:
    names = [name for key, name in walked.events if key.startswith("blueprint")]
    kinds = ["DWConv" if "DWConv" in name else name.partition(" (")[0] for name in names]
    assert kinds == ["Fully Connected", "DWConv"] * 2
    assert {key.partition("-")[0] for key, _ in walked.events} == {
        *("stem", "blueprint3", "blueprint5", "head32"),
    }
