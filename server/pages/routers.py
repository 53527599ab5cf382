"""Every router of the dashboard."""

from server.pages import assets
from server.pages.compare import route as compare
from server.pages.device import route as device
from server.pages.export import route as export
from server.pages.fleet import route as fleet
from server.pages.history import route as history
from server.pages.networks import route as networks
from server.pages.operator import route as operator
from server.pages.overview import route as overview
from server.pages.search import route as search
from server.pages.searches import route as searches
from server.pages.sign_in import route as sign_in
from server.pages.snapshot_diff import route as snapshot_diff

# Before the API's, whose addresses they share.
BEFORE_THE_API = (searches.router, search.router)
AFTER_THE_API = (
    *(sign_in.router, overview.router, device.router, operator.router, history.router),
    *(compare.router, networks.router, export.router, snapshot_diff.router, fleet.router),
    assets.router,
)
