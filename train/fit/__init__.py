"""The training of one style: Lightning module, photos, checkpoints, and the run folder."""
