"""The training of the shared start, and its evaluation."""
