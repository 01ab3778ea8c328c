"""A training of the shared start small enough for a test."""

from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write


def arguments(folder, steps=2, **options):
    """Make what a training needs in ``folder`` and return its command line; ``options`` replace or add flags."""
    if not (folder / "photos").exists():
        for index in range(8):
            write(folder / "photos" / f"{index}.png", noise(80, 72, seed=index))
        for index in range(4):
            write(folder / "paintings" / f"painting{index}.png", ramp(90 + 10 * index, 80) // (index + 1))
        write_weights(folder / "vgg.safetensors")
    flags = {
        "model.paintings": folder / "paintings",
        "model.held_out_paintings": 1,
        "model.paintings_per_step": 2,
        "model.style_size": 48,
        "model.perceptual_weights": folder / "vgg.safetensors",
        "model.content_layers": "{relu2_1: 1}",
        "model.style_layers": "{relu1_1: 1, relu2_1: 1}",
        "model.network.width": 4,
        "model.network.residual_blocks": 1,
        "model.start_from": "none",
        "data.photos": folder / "photos",
        "data.image_size": 64,
        "data.batch_size": 2,
        "data.held_out": 2,
        "data.workers": 0,
        "trainer.max_steps": steps,
        "trainer.val_check_interval": 2,
        "trainer.accelerator": "cpu",
        "trainer.precision": "32-true",
        "preview.every_n_steps": 2,
        "preview.count": 2,
        "checkpoint.every_n_steps": 1,
        "output": folder / "start",
    } | {name.replace("__", "."): value for name, value in options.items()}
    return [f"--{name}={value}" for name, value in flags.items() if value is not None]
