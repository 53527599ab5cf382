"""FBNet's differentiable architecture search (DNAS) against measured latencies."""

import os

# OpenMP's threads spin while they wait; beside any other busy program, that makes a step several
# times slower. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
