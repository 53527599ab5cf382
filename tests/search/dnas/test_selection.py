import pytest
import torch

from contract.errors import PhonebookError
from search.dnas.selection import derive, window
from tests.search.conftest import FOUND_IN, certain_result, certain_supernet
from tests.tables import table_of

TABLE = table_of(FOUND_IN)


def test_the_most_probable_network_follows_theta() -> None:
    says = certain_result()
    by_number = ["k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6"]
    assert list(says.architecture) == [by_number[number % 8] for number in range(22)]
    assert all(layer.probability > 0.9 for layer in says.layers)


@pytest.mark.parametrize("share", [0.8, 1.05])
def test_with_a_target_the_network_and_all_samples_meet_it(share: float) -> None:
    supernet = certain_supernet()
    target_us = share * certain_result().predicted_us
    says = derive(
        supernet,
        FOUND_IN,
        TABLE,
        within=window(supernet, target_us),
        samples=4,
        generator=torch.Generator().manual_seed(0),
    )
    for predicted_us in (says.predicted_us, *(one.predicted_us for one in says.samples)):
        assert 0.97 * target_us <= predicted_us <= target_us
    assert sum(layer.probability > 0.9 for layer in says.layers) > 11


def test_a_target_that_the_space_cannot_meet_is_refused() -> None:
    with pytest.raises(PhonebookError, match=r"--target-ms 0\.1 is out of reach: the networks"):
        window(certain_supernet(), 100.0)


def test_the_prediction_is_the_sum_of_rows_with_stem_and_head() -> None:
    says = certain_result()
    fixed_us = sum(table_of(FOUND_IN).latencies_us((FOUND_IN.stem, FOUND_IN.head)))
    layers_us = sum(layer.latency_us for layer in says.layers)
    assert says.predicted_us == pytest.approx(fixed_us + layers_us)


def test_samples_follow_the_generator_and_have_their_own_latency() -> None:
    says = certain_result()
    assert says.samples == certain_result().samples
    assert len(says.samples) == 4
    assert len({sampled.architecture for sampled in says.samples}) > 1
