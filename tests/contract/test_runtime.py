"""How a runtime names the CPUs that a runner may use."""

import pytest
from cyclopts import App
from pydantic import ValidationError

from contract.errors import PhonebookError
from contract.runtime import Cpus, Runtime, RuntimeRequest, affinity_of, cpu_list
from tests.fakes import RUNTIME


def chosen(text: str) -> tuple[int, ...]:
    """What `--cpus` takes the text for."""
    app = App(result_action="return_value")

    @app.default
    def run(*, cpus: Cpus = ()) -> tuple[int, ...]:
        return cpus

    numbers: tuple[int, ...] = app(["--cpus", text], exit_on_error=False)
    return numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", (0,)),
        ("1,0", (1, 0)),
        ("0-3,7", (0, 1, 2, 3, 7)),
        ("7-7", (7,)),
        ("0-39", tuple(range(40))),
    ],
)
def test_cpus_are_numbers_and_ranges(text: str, numbers: tuple[int, ...]) -> None:
    assert chosen(text) == numbers


@pytest.mark.parametrize("text", ["", "3-0", "0-", "-1", "a", "0,,1", "0..3", "0-3-5", "9" * 20])
def test_what_is_no_list_of_cpus_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PhonebookError, match="as in 0,1 or 0-3,7"):
        chosen(text)


@pytest.mark.parametrize(
    ("cpus", "affinity", "listed"),
    [
        ((), "any", "any"),
        ((4, 5, 6, 7), "cpu4.5.6.7", "4,5,6,7"),  # as stored rows have it
        ((1, 0, 1), "cpu0.1", "0,1"),
        (range(40), "cpu0to39", "0-39"),
        (range(10_000), "cpu0to9999", "0-9999"),
        ((*range(40), 50, 60, 61), "cpu0to39.50.60to61", "0-39,50,60-61"),
    ],
)
def test_a_key_names_the_cpus_and_leads_back_to_them(
    cpus: tuple[int, ...], affinity: str, listed: str
) -> None:
    assert affinity_of(cpus) == affinity
    runtime = RUNTIME.evolve(affinity=affinity)
    assert runtime.cpus == tuple(sorted(set(cpus)))
    assert Runtime.parse(runtime.key) == runtime
    if cpus:
        assert cpu_list(cpus) == listed
        assert set(chosen(listed)) == set(cpus)


@pytest.mark.parametrize("affinity", ["cpu0to1", "cpu3to0", "cpu0to39to50", "cpu0to99999"])
def test_one_set_of_cpus_has_one_name(affinity: str) -> None:
    with pytest.raises(ValidationError):
        RUNTIME.evolve(affinity=affinity)


def test_cpus_that_no_key_can_hold_are_refused_with_words() -> None:
    scattered = tuple(range(0, 128, 2))
    with pytest.raises(PhonebookError, match="choose CPUs that follow each other"):
        RuntimeRequest(cpus=scattered).granted(executorch="1.5.1", runner="native", cpus=scattered)
