"""Spaces and networks: the paper's shapes, and names that help when mistyped."""

from pathlib import Path

import pytest

from contract.blocks import Skip
from contract.errors import PhonebookError
from contract.networks import network, published
from contract.spaces import SPACE_NAMES, SearchSpace, find_space, space

OWN = """
name: own
resolution: 32
classes: 10
stem: {block: {kind: conv, kernel_size: 3, activation: hswish}, channels: 16, stride: 1}
stages:
  - channels: 24
    depth: [2, 4]
    stride: 2
    candidates:
      - {kind: mbconv, kernel_size: 3, expansion: 3}
      - {kind: mbconv, kernel_size: 7, expansion: 6, activation: hswish,
         squeeze: {ratio: 0.25, divisor: 8, gate: hsigmoid}}
  - channels: 40
    depth: 1
    candidates: [{kind: separable, kernel_size: 5}]
heads:
  - {kind: head, channels: 96, hidden: 128, activation: hswish}
"""

# Stored on every server that learnt one of them: content changes under a new name alone.
HASHES = {
    "fbnet-32": "ee25fdea",
    "fbnet-32-0.35": "057b5f4f",
    "fbnet-32-0.5": "95910423",
    "fbnet-96": "545364a1",
    "fbnet-96-0.35": "c0cddd60",
    "fbnet-96-0.5": "44c5dfb2",
    "fbnet-128": "04f513b6",
    "fbnet-128-0.35": "2020b8e5",
    "fbnet-128-0.5": "f27c1b95",
    "fbnet-160": "8f8ac4af",
    "fbnet-160-0.35": "b1e6925c",
    "fbnet-160-0.5": "1f67bedb",
    "fbnet-192": "c3accdd0",
    "fbnet-192-0.35": "3c7f2bcc",
    "fbnet-192-0.5": "1bf3ef13",
    "fbnet-224": "4f1f8b9e",
    "fbnet-224-0.35": "8b628f31",
    "fbnet-224-0.5": "9caaf1bd",
    "ofa-mbv3-224": "c5ed9340",
    "ofa-mbv3-224-1.2": "3060bed3",
    "proxylessnas-224": "27112743",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


def test_a_space_of_your_own_is_a_file(own: Path) -> None:
    found = find_space(str(own))
    assert found.name == "own"
    assert found.stem.key == "conv3_hswish-3x32-16s1"
    assert [choice.stage for choice in found.choices] == [1, 1, 1, 1, 2]
    assert [slot.name for slot in found.slots] == [
        "16x32-24s2",
        *["24x16-24s1"] * 3,
        "24x16-40s1",
    ]
    names = [[each.block.name for each in choice.candidates] for choice in found.choices]
    both = ["k3_e3", "k7_e6_se0.25d8h_hswish"]
    assert names == [both, both, [*both, "skip"], [*both, "skip"], ["sep5"]]
    assert found.head.key == "head96_h128_hswish-40x16-10s16"
    # The two depths that may be skipped hold the same operators as the one before.
    assert len(found.operators) == 1 + 2 + 2 + 1 + 1


def test_a_space_survives_the_wire(own: Path) -> None:
    for found in (find_space(str(own)), space("fbnet-96-0.35")):
        again = SearchSpace.model_validate_json(found.model_dump_json())
        assert again == found
        assert again.content_hash == found.content_hash


def test_the_hash_is_of_what_a_space_holds(own: Path) -> None:
    found = find_space(str(own))
    spelled_out = found.evolve(
        stages=(found.stages[0].evolve(depth=(2, 4)), found.stages[1].evolve(depth=(1, 1)))
    )
    assert spelled_out.content_hash == found.content_hash
    assert found.evolve(name="other").content_hash == found.content_hash
    assert found.evolve(resolution=64).content_hash != found.content_hash
    shorter = found.stages[0].evolve(depth=(2, 3))
    assert found.evolve(stages=(shorter, found.stages[1])).content_hash != found.content_hash


def test_the_spaces_that_ship_keep_their_content() -> None:
    assert {name: space(name).content_hash[:8] for name in SPACE_NAMES} == HASHES


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: own", "name: fbnet-32", "ships with Phonebook and holds something else"),
        ("name: own", "name: Own space", "name: String should match"),
        ("depth: [2, 4]", "depth: [4, 2]", "from 4 to 2: give the least first"),
        ("depth: [2, 4]", "depth: 500", "less than or equal to 200"),
        ("kind: separable", "kind: seperable", "stages.1.candidates.0"),
        ("kernel_size: 7", "kernel_size: 8", "kernel_size"),
        ("candidates: [{kind: separable, kernel_size: 5}]", "", "stage 2, layer 1: no candidate"),
        ("{kind: separable, kernel_size: 5}", "{kind: skip}", "stage 2, layer 1: no candidate"),
        ("expansion: 3", "expansion: 3, groups: 5", "stage 1, layer 1: k3_e3_g5 needs channels"),
        ("heads:", "Heads:", "Heads: Extra inputs"),
        ("classes: 10", "classes: ten", "classes: Input should be a valid integer"),
        ("classes: 10", "classes: [", "no YAML"),
    ],
)
def test_what_is_no_space_says_where_and_why(own: Path, old: str, new: str, words: str) -> None:
    text = own.read_text()
    assert old in text
    own.write_text(text.replace(old, new))
    with pytest.raises(PhonebookError) as caught:
        find_space(str(own))
    assert str(own) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\xff\xfe", b"!!python/object:os.system"])
def test_other_files_are_refused_with_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(PhonebookError, match=r"odd\.yaml"):
        find_space(str(path))


def test_a_missing_file_and_a_mistyped_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"missing\.yaml: No such file"):
        find_space(str(tmp_path / "missing.yaml"))
    with pytest.raises(PhonebookError, match=r"no space 'own'.*named by its file: \./mine\.yaml"):
        find_space("own")


def test_a_skip_is_the_last_of_the_blocks() -> None:
    blocks = space("fbnet-224").blocks
    assert (len(blocks), blocks[-1]) == (9, Skip())


def test_fbnet_224_is_table_1_of_the_paper() -> None:
    found = space("fbnet-224")
    shapes = [(s.in_channels, s.input_size, s.out_channels, s.stride) for s in found.slots]
    first_of_stage = [shapes[layer - 1] for layer in (1, 2, 6, 10, 14, 18, 22)]
    assert first_of_stage == [
        (16, 112, 16, 1),
        (16, 112, 24, 2),
        (24, 56, 32, 2),
        (32, 28, 64, 2),
        (64, 14, 112, 1),
        (112, 14, 184, 2),
        (184, 7, 352, 1),
    ]
    assert len(shapes) == 22


def test_skip_is_a_candidate_only_where_the_shape_stays() -> None:
    counts = [len(choice.candidates) for choice in space("fbnet-224").choices]
    assert (counts.count(8), counts.count(9)) == (6, 16)
    changing = [layer for layer, count in enumerate(counts, start=1) if count == 8]
    assert changing == [2, 6, 10, 14, 18, 22]


def test_the_released_small_network_gives_the_scaled_channels() -> None:
    found = space("fbnet-96-0.35")
    assert found.stem.slot.out_channels == 8
    channels = list(dict.fromkeys((s.out_channels, s.output_size) for s in found.slots))
    assert channels == [(8, 48), (16, 24), (16, 12), (24, 6), (40, 6), (72, 3), (128, 3)]


def test_small_images_keep_four_by_four_positions_to_the_end() -> None:
    found = space("fbnet-32")
    assert [found.slots[layer - 1].input_size for layer in (1, 6, 10, 18, 22)] == [
        32,
        32,
        16,
        8,
        4,
    ]


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_every_space_needs_about_a_hundred_rows(name: str) -> None:
    others = {"ofa-mbv3-224": 93, "ofa-mbv3-224-1.2": 93, "proxylessnas-224": 69}
    of_fbnet = 99 if len(space(name).heads) == 2 else 98
    assert len(space(name).operators) == others.get(name, of_fbnet)


def test_a_mistyped_name_is_answered_with_near_ones() -> None:
    with pytest.raises(PhonebookError, match=r"no space 'fbnet-223'; did you mean .*fbnet-224"):
        space("fbnet-223")
    with pytest.raises(PhonebookError, match=r"no network 'fbnet_a'; did you mean .*fbnet-a"):
        published("fbnet_a")


def test_a_wrong_list_of_blocks_names_the_layer() -> None:
    blocks = list(published("fbnet-a").blocks)
    with pytest.raises(PhonebookError, match="has 22 slots, got 21 blocks"):
        network(blocks[:-1], space=space("fbnet-224"))
    with pytest.raises(PhonebookError, match=r"layer 3: no block 'k3_e2'; did you mean"):
        network([*blocks[:2], "k3_e2", *blocks[3:]], space=space("fbnet-224"))
    with pytest.raises(PhonebookError, match=r"layer 2: skip cannot change 16x112-24s2"):
        network([blocks[0], "skip", *blocks[2:]], space=space("fbnet-224"))
    with pytest.raises(PhonebookError, match="no head of 7 channels; it has 1504, 1984"):
        network(blocks, space=space("fbnet-224"), head_channels=7)


def test_a_network_can_be_put_in_another_space() -> None:
    small = published("fbnet-b", in_space=space("fbnet-32-0.5"))
    assert (small.head_channels, small.blocks) == (1504, published("fbnet-b").blocks)
