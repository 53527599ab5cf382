"""Visits as they are kept: what a version before wrote is read and written as it was."""

import pytest

from contract.visits import Series

BEFORE = '{"samples_ns":[9000,9100],"probes_ns":[1000,1000,1000],"events_ns":[]}'
MEMORY_PROBES = BEFORE.replace(',"events', ',"memory_probes_ns":[5000000,5100000],"events')
WITHOUT_PEAK = BEFORE.replace(',"events', ',"load_ns":2500000,"first_run_ns":9900,"events')
WHOLE = WITHOUT_PEAK.replace(',"events', ',"peak_bytes":3145728,"events')


@pytest.mark.parametrize("kept", [BEFORE, MEMORY_PROBES, WITHOUT_PEAK, WHOLE])
def test_a_series_is_written_as_it_was_read(kept: str) -> None:
    assert Series.model_validate_json(kept).model_dump_json() == kept
