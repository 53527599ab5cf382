"""What a device's state is kept as, and the words for it."""

from contract.devices import Conditions, Patience
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


def test_what_a_session_was_told_to_wait_for_is_among_the_words() -> None:
    told = Patience(others_s=600.0, cooling_s=3600.0, cool_c=33.0, hot_c=45.0)
    assert conditions_words(OF_A_COMPUTER.evolve(patience=told)).endswith(
        "41 °C, told to wait 60 min to be below 33 °C, up to 45 °C, and 10 min for others"
    )


def test_what_only_iphones_tell_is_left_out_elsewhere() -> None:
    """A server that does not know these fields refuses them."""
    assert {"thermal", "low_power", "patience"} & OF_A_COMPUTER.model_dump(
        mode="json"
    ).keys() == set()
    assert Conditions.model_validate(OF_AN_IPHONE.model_dump(mode="json")) == OF_AN_IPHONE
