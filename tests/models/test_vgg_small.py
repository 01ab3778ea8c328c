"""The kept small perceptual network orders pictures as VGG-19 does; needs VGG-19, photos and paintings."""

import torch

from data.images import list_images
from data.photos import HeldOutPhotos, collate, hold_out, read_style, to_unit
from models.style_file import load_style
from tests import ROOT
from train.distill.fidelity import rank_correlation
from train.distill.pupils import build_loss


@torch.no_grad()
def test_small_network_orders_pictures_as_vgg19_does(real_vgg19, real_photos, real_paintings):
    _, held_out = hold_out(list_images(real_photos), 6, real_photos)
    held = HeldOutPhotos(held_out, 128)
    photos = to_unit(collate([held[index] for index in range(6)]).photos)
    painted = [
        load_style(ROOT / "models" / "pretrained" / f"{name}.safetensors")[0](photos).clamp(0, 1)
        for name in ("wave", "starry_night")
    ]
    noisy = (photos + 0.1 * torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    varied = [photos, noisy, *painted, *(photos.lerp(picture, 0.4) for picture in painted)]
    # A painting that the distillation has not seen.
    painting = read_style(real_paintings / "the_scream.jpg", 256)
    found: dict[str, dict[str, list[torch.Tensor]]] = {}
    for kind, frozen in (("large", ("vgg19", str(real_vgg19))), ("small", ("vgg_small", "default"))):
        loss = build_loss(frozen, painting)
        found[kind] = {"style": [], "content": []}
        contents = [loss.describe_content(photo[None]) for photo in photos]
        for pictures in varied:
            for picture, content in zip(pictures, contents, strict=True):
                terms = loss(picture[None], content)
                found[kind]["style"].append(terms.style)
                found[kind]["content"].append(terms.content)
    for term in ("style", "content"):
        correlation = rank_correlation(*(torch.stack(found[kind][term]) for kind in ("large", "small")))
        assert correlation > 0.9, term
