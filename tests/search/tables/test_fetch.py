import json

import pytest

from contract.errors import PhonebookError, RequestRefused
from contract.runtime import Runtime
from contract.spaces import space
from contract.tables import LatencyTable
from search import predict
from search.tables.fetch import fetch
from tests.search.conftest import Serve, TableServer
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
FLOAT_1, FLOAT_2, INT8_1, INT8_2 = (
    f"xnnpack-{dtype}-t{threads}-contiguous-et1.5.1-native-any-in_situ"
    for dtype in ("float32", "int8")
    for threads in (1, 2)
)


def tables(*keys: str) -> list[LatencyTable]:
    return [table_of(SMALL, runtime=Runtime.parse(key)) for key in keys]


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("test-phone", FLOAT_1),
        ("test-phone@int8-t2", INT8_2),
        ("test-phone@t2-float32", FLOAT_2),
        (f"test-phone@{INT8_1}", INT8_1),
    ],
)
def test_a_target_names_one_table_of_a_device(serve: Serve, target: str, key: str) -> None:
    server = serve(*tables(FLOAT_1, FLOAT_2, INT8_1, INT8_2))
    assert fetch(server, target=target, space=SMALL).runtime.key == key


def test_one_part_is_enough_where_only_one_runtime_has_it(serve: Serve) -> None:
    server = serve(*tables(FLOAT_1, FLOAT_2, INT8_1))
    assert fetch(server, target="test-phone@int8", space=SMALL).runtime.key == INT8_1
    assert fetch(server, target="test-phone@t2", space=SMALL).runtime.key == FLOAT_2


@pytest.mark.parametrize(
    ("target", "message", "listed"),
    [
        ("test-phone@int8", "2 runtimes of test-phone have 'int8' in the key", [INT8_1, INT8_2]),
        (
            "test-phone@t3",
            "no runtime of test-phone has 't3' in the key",
            [FLOAT_1, INT8_1, INT8_2],
        ),
        ("test-phone@t", "no runtime of test-phone has 't' in the key", [FLOAT_1, INT8_1, INT8_2]),
        ("test-phone@", "no runtime of test-phone has '' in the key", [FLOAT_1, INT8_1, INT8_2]),
        ("test-fone@int8", "no device 'test-fone'; did you mean test-phone?", []),
    ],
)
def test_a_target_that_names_no_single_table_is_explained(
    serve: Serve, target: str, message: str, listed: list[str]
) -> None:
    server = serve(*tables(FLOAT_1, INT8_1, INT8_2))
    with pytest.raises(PhonebookError) as caught:
        fetch(server, target=target, space=SMALL)
    assert message in str(caught.value)
    assert [key for key in (FLOAT_1, INT8_1, INT8_2) if key in str(caught.value)] == listed
    assert caught.value.exit_code == 2


def test_a_plain_device_is_left_to_the_server(serve: Serve, servers: list[TableServer]) -> None:
    server = serve(*tables(FLOAT_1))
    fetch(server, target="test-phone", space=SMALL)
    with pytest.raises(RequestRefused, match="/lut/other"):
        fetch(server, target="other", space=SMALL)
    assert servers[0].asked == [
        f"/lut/{name}?space={SMALL.name}" for name in ("test-phone", "other")
    ]


def test_a_prediction_reads_the_table_of_its_target(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--network", "fbnet-a", "--space", SMALL.name, "--json"]
    arguments += ["--server", serve(*tables(FLOAT_1, INT8_1))]
    predict.app(["--device", "test-phone@int8", *arguments])
    document = json.loads(capsys.readouterr().out)
    assert (document["device"], document["runtime"]) == ("test-phone", INT8_1)
