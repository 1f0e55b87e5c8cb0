"""Pre-train the tiny vision transformer that the installation ships, so that pre-trained tracks run offline.

It learns to read letters that Pillow's own font draws, in 8 × 8 pixels, and never sees a digit. It needs two
minutes on one core:

    python examples/pretrain_tiny_vit.py cil_core/nets/vit_letters.safetensors
"""

from __future__ import annotations

import math
import string
import sys

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from timm import create_model
from torch import Tensor, nn

LETTERS = string.ascii_uppercase + "abdefghmnqrty"  # lower-case letters that look unlike their capitals
CANVAS, SIZE = 64, 8
PER_LETTER, EPOCHS, BATCH = 160, 30, 64
MEAN, STD = 0.3054, 0.3761  # as the digits are normalised


def drawn(letter: str, generator: torch.Generator) -> Tensor:
    """A letter in a random place, size, slant and weight, (1, 8, 8) in 0 … 1."""
    turn, slant, size, thick, left, top, light = (
        2 * torch.rand(7, generator=generator, dtype=torch.float64) - 1
    ).tolist()
    image = Image.new("L", (CANVAS, CANVAS))
    font = ImageFont.load_default(size=54 + 8 * size)
    middle = (CANVAS / 2, CANVAS / 2)
    stroke = round(1.5 + 1.5 * thick)
    ImageDraw.Draw(image).text(middle, letter, fill=255, font=font, anchor="mm", stroke_width=stroke)
    angle = math.radians(14 * turn)
    cosine, sine, shear = math.cos(angle), math.sin(angle), 0.25 * slant
    matrix = (cosine, sine + shear, 0.0, -sine, cosine, 0.0)
    x, y = (CANVAS / 2 + 4 * shift for shift in (left, top))
    a, b, _, d, e, _ = matrix
    image = image.transform(
        (CANVAS, CANVAS),
        Image.Transform.AFFINE,
        (a, b, CANVAS / 2 - a * x - b * y, d, e, CANVAS / 2 - d * x - e * y),
        Image.Resampling.BILINEAR,
    )
    pixels = torch.tensor(list(image.tobytes()), dtype=torch.float32).reshape(1, 1, CANVAS, CANVAS) / 255
    return F.avg_pool2d(pixels, CANVAS // SIZE)[0].mul(1.5 + 0.4 * light).clamp(max=1)


def main(path: str) -> None:
    """Draw the letters, train, and write the network without its head."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(LETTERS)).repeat(PER_LETTER)
    images = torch.stack([drawn(LETTERS[label], generator) for label in labels.tolist()])
    images = (images - MEAN) / STD
    network = create_model(
        "vit_tiny_patch16_224",
        img_size=SIZE,
        patch_size=2,
        embed_dim=32,
        depth=4,
        num_heads=4,
        in_chans=1,
        num_classes=0,
    )
    head = nn.Linear(32, len(LETTERS))
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05)
    steps = EPOCHS * math.ceil(len(labels) / BATCH)
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        right = 0
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):
            scores = head(network(images[chosen]))
            loss = F.cross_entropy(scores, labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.step()
            right += int((scores.argmax(dim=1) == labels[chosen]).sum())
        sys.stdout.write(f"epoch {epoch + 1}: {right / len(labels):.3f}\n")
        sys.stdout.flush()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


if __name__ == "__main__":
    main(sys.argv[1])
