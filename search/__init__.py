"""FBNet's differentiable architecture search, against measured latencies."""
