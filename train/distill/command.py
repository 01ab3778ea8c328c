"""Distill a small perceptual network: ``python -m train.distill --config configs/distill.yaml``.

Writes one ``.safetensors`` file in torchvision's layout, for ``--model.perceptual vgg_small``. Lightning is imported
only when the work begins, so that the help, which names the settings that matter, is fast.
"""

from __future__ import annotations

import sys

from export.cli import show_help
from train.cli import Progress, run_command

HELP = """usage: python -m train.distill --config configs/distill.yaml [--SETTING VALUE ...]

Distill a small perceptual network from VGG.

settings that matter:
  --config FILE               YAML file of settings; several stack
  --output FOLDER             folder to write to (default: runs/distill)
  --overwrite true            replace an earlier run in that folder
  --ckpt_path last            go on from the folder's last checkpoint, or from the file named
  --model.paintings LIST      pictures of paintings, as many styles as there are
  --model.styles LIST         trained styles (.safetensors) of one architecture, whose pictures are learned from
  --model.teacher NAME        the large network, vgg19 or vgg16 (default: vgg19)
  --model.teacher_weights W   its weights: 'default' (downloaded once) or a file in torchvision's layout
  --model.start_from FILE     a small network to start from in place of random weights
  --model.learning_rate RATE  peak of the schedule (default: 0.004)
  --data.photos FOLDER        folder of photos
  --data.image_size PIXELS    side of the crops
  --data.batch_size COUNT     photos per step, a multiple of 8, at most 96
  --trainer.max_steps COUNT   length of the training

every setting: python -m train.distill --help-all
its value:     python -m train.distill --config configs/distill.yaml --print_config

examples:
  python -m train.distill --config configs/distill.yaml
  python -m train.distill --config configs/distill.yaml --model.teacher vgg16 --output runs/mine
"""


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    typed = sys.argv[1:] if args is None else args
    if typed and typed[0] in {"-h", "--help"}:
        return show_help(HELP)
    progress = Progress("the network")

    def work() -> int:
        from train.distill.training import run

        return run(["--help" if word == "--help-all" else word for word in typed], progress)

    return run_command(work, progress.describe_stop)
