"""The training step measured against the reference."""
