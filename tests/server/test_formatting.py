"""What a device's state is kept as, and the words for it."""

from contract.devices import Conditions
from server.pages.formatting import conditions_words

OF_A_COMPUTER = Conditions(load_1min=0.3, clock_mhz=2400.0, temperature_c=41.0)
OF_AN_IPHONE = Conditions(
    load_1min=None,
    clock_mhz=None,
    temperature_c=None,
    battery=0.93,
    is_charging=True,
    thermal="fair",
    low_power=False,
)


def test_the_words_tell_what_could_be_read() -> None:
    assert conditions_words(OF_A_COMPUTER) == "load 0.3, 2400 MHz, 41 °C"
    assert conditions_words(OF_AN_IPHONE) == "battery 93%, thermal state fair"
    saving = OF_AN_IPHONE.evolve(low_power=True)
    assert conditions_words(saving).endswith("low-power mode")


def test_what_only_iphones_tell_is_left_out_elsewhere() -> None:
    """A server that does not know these fields refuses them."""
    assert {"thermal", "low_power"} & OF_A_COMPUTER.model_dump(mode="json").keys() == set()
    assert Conditions.model_validate(OF_AN_IPHONE.model_dump(mode="json")) == OF_AN_IPHONE
