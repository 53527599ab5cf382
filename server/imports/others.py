"""Files that hold whole networks' latencies or a model's profile: known, and not yet taken in.

A table has a row per operator of a space. What a whole network took tells none of its operators,
and a profile names a model's events, which are no operators of a space.
"""

import re
from collections.abc import Mapping

_NETWORKS = (
    "it has latencies of whole networks ({whose}), and a table has one of each operator, which "
    "sums do not tell; {instead}"
)
_PROFILES = (
    "it is a profile of one model ({whose}), and its events are no operators of a space; profiles "
    "of models cannot be brought in yet. Tables of operators can: HW-NAS-Bench, ProxylessNAS, "
    "Once-for-All, or CSV with `operator` and `latency_us`"
)
_INSTEAD = "bring in the table of operators that they were summed from, if it is published"
_HELP_INSTEAD = "HELP's FBNet latencies are sums of HW-NAS-Bench's table: bring in that one"

# What pandas writes of ExecuTorch's Inspector, with tabs or commas.
_INSPECTOR = ("event_block_name", "event_name")
# What TensorFlow Lite's benchmark_model writes with --profiling_output_csv_file.
_BENCHMARK_MODEL = re.compile(r"^node type,.*avg_ms.*times called", re.MULTILINE)
_BENCHMARK_BANNER = re.compile(r"^=+ .*(Run Order|Top by Computation Time) =+", re.MULTILINE)
_NB201 = re.compile(r"\|[a-z0-9_]+~0\|\+\|")  # an architecture as NAS-Bench-201 writes it
_SEARCHES = ("nasbench201", "nas-bench-201", "nb201")


def recognised_text(text: str) -> str | None:
    """Why a text cannot be taken in, where it is known; None of any other."""
    first = text.lstrip("\ufeff").partition("\n")[0]
    columns = {column.strip().strip('"') for column in re.split(r"[,\t]", first)}
    if columns.issuperset(_INSPECTOR):
        return _PROFILES.format(whose="of ExecuTorch's Inspector")
    if _BENCHMARK_MODEL.search(text) or _BENCHMARK_BANNER.search(text):
        return _PROFILES.format(whose="of TensorFlow Lite's benchmark_model")
    if _NB201.search(first) or any(
        column.lower() in ("arch", "architecture") for column in columns
    ):
        return _NETWORKS.format(whose="an architecture in each line", instead=_INSTEAD)
    return None


def recognised_document(document: object) -> str | None:
    """Why JSON or a pickle cannot be taken in, where it is known; None of any other."""
    if isinstance(document, list | tuple):
        networks = [each for each in document if _is_network(each)]
        if document and len(networks) == len(document):
            return _NETWORKS.format(whose="a list of them", instead=_INSTEAD)
        return None
    if not isinstance(document, Mapping) or not document:
        return None
    names = [str(name) for name in document]
    if "fbnet" in document:
        return None
    if any(name.lower() in _SEARCHES for name in names):
        return _NETWORKS.format(whose="NAS-Bench-201's cells", instead=_INSTEAD)
    if any(_NB201.search(name) for name in names[:10]):
        return _NETWORKS.format(whose="NAS-Bench-201's cells", instead=_INSTEAD)
    if _is_help(document):
        return _NETWORKS.format(whose="as HELP has them", instead=_HELP_INSTEAD)
    if all(_spells_network(name) for name in names):
        return _NETWORKS.format(whose="an architecture as each key", instead=_INSTEAD)
    return None


def _is_help(document: Mapping[object, object]) -> bool:
    """HELP's and LatBench's: architectures, and lists as long of each device's latencies."""
    lists = [each for each in document.values() if isinstance(each, list | tuple)]
    return (
        len(lists) == len(document)
        and all(len(each) > 1 for each in lists)
        and all(isinstance(each, int | float) for its in lists for each in its[:3])
    )


def _is_network(entry: object) -> bool:
    return isinstance(entry, Mapping) and bool({"arch", "op_idx", "architecture"} & {*entry})


def _spells_network(name: str) -> bool:
    """`[0, 3, 1, ...]`, `(0, 3, ...)` or a network's number."""
    return bool(re.fullmatch(r"[\[(]?\s*[0-9]+(\s*,\s*[0-9]+)*\s*,?\s*[\])]?", name))
