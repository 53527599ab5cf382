"""What a table says of a whole network."""

from collections.abc import Sequence

from contract.operators import Operator
from contract.tables import LatencyTable


def predicted_us(operators: Sequence[Operator], table: LatencyTable) -> float:
    """The sum of the operators' rows (equation 3).

    Raises:
        IncompleteTable: one of them has no row.
    """
    return sum(table.latencies_us(operators))
