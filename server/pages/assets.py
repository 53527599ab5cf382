"""plotly.js, from the installed wheel: nothing is fetched from elsewhere."""

import gzip
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Header, Response
from plotly.offline import get_plotlyjs, get_plotlyjs_version

# The version is in the name, so a browser may keep the file for good.
PLOTLY_PATH = f"/assets/plotly-{get_plotlyjs_version()}.min.js"
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}

router = APIRouter(include_in_schema=False)


@router.get(PLOTLY_PATH)
def plotly(accept_encoding: Annotated[str, Header()] = "") -> Response:
    """The script, compressed once."""
    if "gzip" not in accept_encoding:
        return Response(get_plotlyjs(), media_type="text/javascript", headers=_HEADERS)
    return Response(
        _compressed(),
        media_type="text/javascript",
        headers={**_HEADERS, "Content-Encoding": "gzip"},
    )


@lru_cache(maxsize=1)
def _compressed() -> bytes:
    return gzip.compress(get_plotlyjs().encode())
