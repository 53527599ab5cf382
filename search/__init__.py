"""FBNet's differentiable architecture search (DNAS) against measured latencies."""

import os

from contract.early import quiet_interrupts

quiet_interrupts()

# OpenMP's threads spin while they wait; beside any other busy program, that makes a step several
# times slower. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
