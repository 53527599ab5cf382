"""Who supervises the work: learns how far it is, and may end it between two visits."""

from contract.jobs import Progress


class Halted(Exception):
    """The work was told to end, and did so between two visits; the journal keeps those made."""


class Supervisor:
    """Lets the work run to its end. `LeaseKeeper` supervises what a lease is for."""

    def check(self) -> None:
        """Called wherever the work may end, at least once per visit and while it waits.

        Raises:
            Halted: it is to end here.
        """

    def tell(self, progress: Progress) -> None:
        """Called after every program exported and every visit made; checks too."""
        self.check()
