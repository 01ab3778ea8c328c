"""The help of ``fit`` and ``validate``: the settings that matter, told at once, without importing Lightning."""

from __future__ import annotations

from collections.abc import Sequence

ALL = "--help-all"
"""Flag that lists every setting, Lightning's included, which takes some seconds."""

HELP = """usage: python -m train fit --model.style PAINTING --data.photos FOLDER [--SETTING VALUE ...]
       python -m train validate --config runs/NAME/config.yaml

Train one style, and export it; validate computes the loss of a trained one on held-out photos.

settings that matter:
  --config FILE                       YAML file of settings; several stack
  --name NAME                         name of the style (default: the painting's)
  --runs FOLDER                       folder that run folders are made in (default: runs)
  --license TEXT                      terms of use, written into the exported file
  --overwrite true                    replace an earlier run of the same name
  --ckpt_path last                    go on from the run's last checkpoint, or from the file named
  --minutes MINUTES                   length of the training in minutes, in place of steps
  --trainer.max_steps COUNT           length of the training in steps (default: 4000)
  --model.style FILE                  picture of the painting, or a list of several of one style
  --model.style_weight WEIGHT         strength of the style: 0.5 is half as strong (default: 1)
  --model.style_size PIXELS           short side of the painting; larger gives larger strokes (default: 512)
  --model.content_weight WEIGHT       how much of the photo is kept (default: 1)
  --model.content_focus POWER         how much more of it is kept in faces and things than in skies (default: 0)
  --model.palette_weight WEIGHT       how closely the colors are to be the painting's (default: 1)
  --model.emd_weight WEIGHT           how strongly the painting's own figures (stars, swirls) are asked for (default: 0)
  --model.emd_rarity POWER            how much more those of them are asked for that are rare in it (default: 0)
  --model.stability_weight WEIGHT     how strongly the picture is to move with the photo, for videos (default: 0)
  --model.network.noise LEVELS        smooth noise on the photo: more scatters patterns (default: 6, or the style's)
  --model.network.width CHANNELS      32, or 16 and 8 for small devices (default: 32)
  --model.start_from STYLE            a style or start file, a kept style's name, 'none' for random weights, or
                                      'start' for the shared start, which is the default
  --model.freeze_deep true            leave the kernels of the deep layers, 97 % of all weights, as they are
  --model.freeze_inner true           leave those of all but the first and the last layer as they are, 99 %
  --model.teacher STYLE               a trained style whose pictures are to be painted, by a narrower network
  --model.network.strength true       let the finished style that --model.start_from names learn other strengths
  --model.optimizer NAME              what moves the weights: muon or adam (default: muon)
  --model.learning_rate RATE          peak of the schedule (default: 0.001)
  --model.perceptual NAME             the frozen network of the loss: vgg19, vgg16 or vgg_small (default: vgg19)
  --model.perceptual_weights W        its weights: 'default' (downloaded once) or a file in torchvision's layout
  --data.photos FOLDER                folder of photos, at any depth; 'samples', where there is none, scikit-image's
  --data.scene_share SHARE            share of drawn scenes among the photos; 1 for nothing else (default: 0)
  --data.image_size PIXELS            side of the crops (default: 256)
  --data.batch_size COUNT             photos per step (default: 4)
  --data.early_size PIXELS            side of the crops in the first --data.early_steps, which then take less time
  --data.held_out COUNT               photos that are set aside for validation (default: 16; of fewer than 64 a quarter)
  --preview.every_n_steps COUNT       steps between two before-and-after sheets (default: 100)
  --trainer.precision PRECISION       32-true or bf16-mixed (default: bf16-mixed where the hardware computes in it)

every setting: python -m train fit --help-all
its value:     python -m train fit --config configs/wave.yaml --print_config

examples:
  python -m train fit --model.style painting.jpg --data.photos coco/train2017 --license "CC BY 4.0, by me"
  python -m train fit --config configs/wave.yaml --minutes 10
  python -m train fit --config runs/wave/config.yaml --ckpt_path last
"""


def asks_for_help(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for the settings that matter."""
    return any(word in {"-h", "--help"} for word in words)
