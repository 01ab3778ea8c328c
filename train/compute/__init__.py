"""How training computes on this machine: device, precision and memory."""
