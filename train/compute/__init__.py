"""How training computes on this machine: precision and memory."""
