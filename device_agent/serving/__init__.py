"""An agent that runs unattended: leases of jobs, and the work that they are for."""
