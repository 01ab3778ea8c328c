"""Losses of a training's network on held-out photos, as long as they are those of its present weights."""

from __future__ import annotations

import pytorch_lightning as pl


class HeldOutLosses(pl.LightningModule):
    """Remembers what a validation found, and after which step; the losses are what it logs as ``val_...``."""

    _validated: tuple[int, dict[str, float]] | None = None

    def on_validation_end(self) -> None:
        """Remember the losses of the held-out photos, and after which step they were measured."""
        metrics = self.trainer.callback_metrics
        losses = {name: float(value) for name, value in metrics.items() if name.startswith("val_")}
        self._validated = self.trainer.global_step, losses

    @property
    def held_out_losses(self) -> dict[str, float] | None:
        """Losses of the present network on held-out photos; None if it was trained after the last validation."""
        step, losses = self._validated or (-1, {})
        return losses if step == self.trainer.global_step else None

    @property
    def held_out_loss(self) -> float | None:
        """The whole loss among these, to six digits."""
        losses = self.held_out_losses
        return None if losses is None else float(f"{losses['val_loss']:.6g}")
