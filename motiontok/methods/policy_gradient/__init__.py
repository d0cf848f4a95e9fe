"""Policy gradients on the same policies: what DAPS is compared with."""
