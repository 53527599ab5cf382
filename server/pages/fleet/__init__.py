"""The page of agents, units and jobs."""
