"""Train the shared start of all styles: ``python -m train.start --config configs/start.yaml``.

Writes ``start.safetensors``, from which ``python -m train fit`` starts once it lies in ``models/``. Lightning is
imported only when the work begins, so that the help, which names the settings that matter, comes at once.
"""

from __future__ import annotations

import sys

from export.cli import show_help
from train.cli import Progress, run_command

HELP = """usage: python -m train.start --config configs/start.yaml [--SETTING VALUE ...]

Train one network on many paintings, from which the training of each new style starts.

settings that matter:
  --config FILE                       YAML file of settings; several stack
  --output FOLDER                     folder to write to (default: runs/start)
  --license TEXT                      terms of use, written into the file
  --overwrite true                    replace an earlier run in that folder
  --ckpt_path last                    go on from the folder's last checkpoint, or from the file named
  --model.paintings FOLDER            folder of pictures of paintings
  --model.held_out_paintings N        how many are not trained on, or a list of their names (default: 15)
  --model.paintings_per_step N        paintings per step, shared out over its photos (default: 4)
  --model.variants N                  further styles per painting: crops, mirrored, hues shifted (default: 0)
  --model.style_size PIXELS           short side that paintings are scaled to
  --model.perceptual NAME             the frozen network of the loss: vgg19, vgg16 or vgg_small (default: vgg19)
  --model.perceptual_weights W        its weights: 'default' (downloaded once) or a file in torchvision's layout
  --model.start_from STYLE            a trained style to start from (default: wave), or none for random weights
  --model.learning_rate RATE          peak of the schedule (default: 0.001)
  --data.photos FOLDER                folder of photos
  --data.image_size PIXELS            side of the crops
  --data.batch_size COUNT             photos per step, a multiple of the paintings per step
  --trainer.max_steps COUNT           length of the training

every setting: python -m train.start --help-all
its value:     python -m train.start --config configs/start.yaml --print_config

examples:
  python -m train.start --config configs/start.yaml --model.paintings paintings --data.photos photos
  python -m train.start --config runs/start/config.yaml --ckpt_path last
"""


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    typed = sys.argv[1:] if args is None else args
    if typed and typed[0] in {"-h", "--help"}:
        return show_help(HELP)
    progress = Progress("start.safetensors")

    def work() -> int:
        from train.start.training import run

        return run(["--help" if word == "--help-all" else word for word in typed], progress)

    return run_command(work, progress.describe_stop)
