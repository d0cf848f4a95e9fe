"""Policy gradients on the same policies, to compare DAPS with."""
