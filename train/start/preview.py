"""Sheets that show what the shared start makes of paintings that it was not trained on."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from data.images import contact_sheet, encode, from_array
from data.photos import to_uint8, to_unit
from train.fit.callbacks import Preview
from train.fit.datamodule import PhotoData
from train.start.module import StartTraining


class PaintingsPreview(Preview):
    """Draw held-out photos above what the network makes of them, a row for each of some held-out paintings.

    Args:
        every_n_steps: Steps between two sheets.
        count: Number of photos on a sheet.
    """

    def __init__(self, every_n_steps: int = 200, count: int = 4) -> None:
        super().__init__(every_n_steps, count)

    @torch.no_grad()
    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        photos: PhotoData = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, StartTraining):
            raise TypeError("this callback works with StartTraining")
        if self._photos is None:
            self._photos = to_unit(photos.preview_photos(self.count).photos)
        size = self._photos.shape[-1]
        # Beside each row the painting, its short side as long as the photos'.
        rows = [[to_uint8(torch.ones(3, size, size)), *(to_uint8(photo) for photo in self._photos)]]
        for painting, pictures in pl_module.paint(self._photos):
            shown = to_uint8(painting.read(size)[0, :, :size, :size])
            rows.append([shown, *(to_uint8(picture) for picture in pictures)])
        self.folder.mkdir(parents=True, exist_ok=True)
        encode(from_array(contact_sheet(rows)), self.folder / f"step-{trainer.global_step:06d}.png")
