"""The figures of an audit, worked by hand."""

import pytest
from pydantic import ValidationError

from contract.audits import Audit, errors, summary
from contract.ranking import kendall_tau
from tests.server.making import an_audit


def test_every_figure_of_a_small_example() -> None:
    # Off by -10.5 %, +4 %, 0 and +30 %.
    found = errors([89.5, 260, 300, 260], [100, 250, 300, 200])
    assert found.bias == pytest.approx((-0.105 + 0.04 + 0 + 0.3) / 4)
    assert found.mape == pytest.approx((0.105 + 0.04 + 0 + 0.3) / 4)
    assert found.p95 == pytest.approx(0.105 + 0.85 * (0.3 - 0.105))
    assert found.worst == pytest.approx(0.3)
    assert (found.within_5_percent, found.within_10_percent) == (0.5, 0.5)


def test_ranks_by_hand() -> None:
    # Of six pairs five rank alike: (5 - 1) / 6; one swap of neighbours: 1 - 6 * 2 / (4 * 15).
    found = errors([1, 2, 4, 3], [1, 2, 3, 4])
    assert found.kendall_tau == pytest.approx(4 / 6)
    assert found.spearman == pytest.approx(0.8)
    reverse = errors([4, 3, 2, 1], [1, 2, 3, 4])
    assert reverse.kendall_tau == -1
    assert reverse.spearman == pytest.approx(-1)


def test_ranks_with_ties_by_hand() -> None:
    # Six pairs, one tied in the first: 5 / sqrt(5 * 6).
    assert kendall_tau([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / 30**0.5)
    # Ranks 1, 2.5, 2.5, 4 against 1 to 4: 4.5 / sqrt(4.5 * 5).
    tied = errors([1, 2, 2, 3], [1, 2, 3, 4])
    assert tied.spearman == pytest.approx(4.5 / 22.5**0.5)


def test_flat_predictions_rank_nothing() -> None:
    found = errors([0.1] * 7, [1, 2, 3, 4, 5, 6, 7])
    assert (found.kendall_tau, found.spearman) == (0, 0)


def test_networks_within_a_limit_are_counted() -> None:
    found = errors([104, 96, 108, 120], [100, 100, 100, 100])
    assert (found.within_5_percent, found.within_10_percent) == (0.5, 0.75)


def test_one_network_has_errors_and_none_has_not() -> None:
    assert errors([90], [100]).worst == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at least one"):
        errors([], [])
    with pytest.raises(ValueError, match="zip"):
        errors([1], [1, 2])


def test_the_fit_recovers_an_exact_line() -> None:
    # Measured 100, 200, 300, ... = 50 + sum / 2.
    found = summary(an_audit(predicted_us=(100, 300, 500, 700, 900)))
    assert found.table.mape > 0.1
    assert found.fitted.worst == pytest.approx(0, abs=1e-12)
    assert found.fresh.worst == 0


def test_the_fit_never_sees_the_network_it_predicts() -> None:
    # Left out, each is predicted by the line through the other two.
    found = summary(an_audit(predicted_us=(100, 200, 400)))
    expected = [150 / 100, 500 / 3 / 200, 400 / 300]
    assert found.fitted.bias == pytest.approx(sum(expected) / 3 - 1)


@pytest.mark.parametrize("odd", [0.1, 1000.0])
def test_the_fit_of_equal_predictions_is_the_mean_of_the_others(odd: float) -> None:
    # 0.1 has no exact mean of seven: what rounding leaves must not become a slope.
    found = summary(an_audit(predicted_us=(*[0.1] * 7, odd)))
    last = sum(100 * number for number in range(1, 8)) / 7
    assert found.fitted.worst >= abs(last / 800 - 1)
    assert found.fitted.worst < 10


def test_the_widest_durations_have_figures() -> None:
    found = summary(an_audit(predicted_us=(1e12, 1e-4, 1e12, 1e-4)))
    assert found.table.worst == pytest.approx(1e10)


def test_a_summary_says_what_was_audited() -> None:
    audit = an_audit()
    found = summary(audit)
    assert (found.id, found.space, found.snapshot) == (audit.id, audit.space, audit.snapshot)
    assert (found.ended_at, found.networks) == (audit.ended_at, 3)


@pytest.mark.parametrize("count", [2, 501])
def test_too_few_networks_or_too_many_are_refused(count: int) -> None:
    audit = an_audit()
    networks = [audit.networks[0].evolve(name=str(number)) for number in range(count)]
    with pytest.raises(
        ValidationError, match=r"networks\n.*should have at (least 3|most 500) items"
    ):
        Audit.model_validate({**dict(audit), "networks": networks})
