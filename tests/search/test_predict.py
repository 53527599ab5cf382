import json
import subprocess
import sys

import pytest

from contract.errors import PhonebookError
from contract.spaces import space
from search import predict
from tests.search.conftest import Serve
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")


def test_the_networks_are_listed_with_their_exact_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict.app(["--list", "--json"])
    listed = {network["name"]: network for network in json.loads(capsys.readouterr().out)}
    assert (listed["fbnet-a"]["params"], listed["fbnet-a"]["macs"]) == (4_286_480, 249_921_848)
    small = listed["fbnet-96-0.35-1"]
    assert (small["params"], small["head"], small["space"]) == (1_833_968, 1416, "fbnet-96-0.35")
    assert all(len(network["blocks"]) == 22 for network in listed.values())
    predict.app(["--list"])
    assert "fbnet-iphonex in fbnet-224: 321.8 M MACs" in capsys.readouterr().out


def test_a_prediction_is_the_sum_of_its_operators(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "test-phone", "--network", "fbnet-a", "--space", SMALL.name]
    arguments += ["--server", serve(table_of(SMALL))]
    predict.app([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    rows = document["operators"]
    assert len(rows) == 24
    assert document["predicted_us"] == pytest.approx(sum(row["latency_us"] for row in rows))
    assert (document["measured_us"], document["space"]) == (None, SMALL.name)
    predict.app(arguments)
    assert "predicted" in capsys.readouterr().out


def test_a_prediction_is_as_sure_as_its_rows(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = table_of(SMALL, latency_us=lambda _: 10.0)
    rows = tuple(row.evolve(low_us=9.0, high_us=12.0) for row in exact.entries)
    arguments = ["--device", "test-phone", "--network", "fbnet-a", "--space", SMALL.name]
    arguments += ["--server", serve(exact.evolve(entries=rows))]
    predict.app(arguments)
    assert "predicted 210 us (189 us to 252 us)" in " ".join(capsys.readouterr().out.split())
    predict.app([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["predicted_low_us"], document["predicted_high_us"]) == (189, 252)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --device and --network"),
        (["--device", "x", "--network", "fbnet-d"], "no network 'fbnet-d'; did you mean"),
        (["--list", "--space", "fbnet"], "no space 'fbnet'"),
        (["--device", "x", "--network", "gone.json"], r"cannot read gone\.json"),
    ],
)
def test_a_wrong_prediction_is_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(PhonebookError, match=message):
        predict.app(arguments)


def test_as_a_program_an_error_is_one_line_and_one_code() -> None:
    command = [sys.executable, "-m", "search.predict", "--device", "x", "--network", "fbnet-d"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no network 'fbnet-d'; did you mean")
