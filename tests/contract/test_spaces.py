"""Spaces and networks: the paper's shapes, and names that help when mistyped."""

import pytest

from contract.errors import PhonebookError
from contract.networks import network, published
from contract.spaces import SPACE_NAMES, space


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
    assert len(space(name).operators) == (99 if len(space(name).heads) == 2 else 98)


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
