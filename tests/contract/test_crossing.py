from contract.crossing import Standing, rivals


def test_a_network_of_another_device_that_beats_a_devices_own_is_named() -> None:
    found = rivals(
        [
            Standing("a", 0.90, {"a": 3000, "b": 2000, "c": 10}),
            Standing("b", 0.92, {"a": 2500, "b": 2000, "c": 9}),
            Standing("c", 0.80, {"a": 9000, "b": 1500, "c": 12}),
        ]
    )
    assert [(each.target, each.other.target, each.beats) for each in found] == [
        ("a", "b", True),
        ("c", "a", True),
        ("c", "b", True),
        ("b", "c", False),
    ]
    sentences = [each.sentence(lambda us: f"{us:g} us") for each in found]
    assert sentences[0] == (
        "on a the network searched for b beats its own: 2500 us against 3000 us, "
        "accuracy 92.0% against 90.0%"
    )
    assert "on b the network searched for c is faster, though less accurate, than" in sentences[3]


def test_each_being_the_fastest_at_home_there_is_nothing_to_say() -> None:
    assert (
        rivals([Standing("a", 0.9, {"a": 1, "b": 5}), Standing("b", 0.9, {"a": 5, "b": 1})]) == []
    )


def test_as_fast_and_more_accurate_is_better_too() -> None:
    one, other = Standing("a", 0.90, {"a": 1, "b": 1}), Standing("b", 0.91, {"a": 1, "b": 1})
    (found,) = rivals([one, other])
    assert (found.target, found.beats) == ("a", True)
