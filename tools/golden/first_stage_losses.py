"""Reference values for the training losses of @sgdiff/latent-autoencoder/train.

    python tools/golden/first_stage_losses.py        (torch, torchvision, lpips, diffusers, numpy)

The perceptual distance is the lpips package's, with narrower convolutions put into it where the fixture says so; the
autoencoder is diffusers' VQModel; normalisation and convolutions of the discriminator are PyTorch's. All weights and images
are those of seeded.py, so that the fixture holds results alone. Writes fixtures/first-stage-losses.golden.json.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import diffusers
import lpips
import torch
import torchvision
from diffusers import VQModel
from torch import nn
from torch.nn import functional as F

from autoencoder import our_path
from seeded import seeded_uniform, seeded_weight, to_torch_layout

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "latent-autoencoder" / "fixtures"
FULL = (64, 128, 256, 512, 512)
NARROW = (4, 6, 8, 8, 6)
warnings.filterwarnings("ignore")


def weight(path: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A weight of ours (shape in our layout) in PyTorch's layout."""
    values = seeded_weight(path, shape)
    if path.startswith("heads."):
        values = abs(values)
    return torch.from_numpy(values.copy() if "embedding" in path else to_torch_layout(values).copy())


def images(name: str, B: int, H: int, W: int) -> torch.Tensor:
    values = torch.from_numpy(seeded_uniform(name, B * H * W * 3, 1.0)).reshape(B, H, W, 3)
    return values.permute(0, 3, 1, 2).contiguous()


def ours(value: torch.Tensor) -> torch.Tensor:
    """Images NCHW -> NHWC, convolutions OIHW -> HWIO."""
    return value.permute(2, 3, 1, 0) if value.ndim == 4 else value


def flat(value: torch.Tensor) -> list[float]:
    return [float(f"{x:.6g}") for x in value.detach().flatten().tolist()]


def pixels(value: torch.Tensor) -> list[float]:
    return flat(value.permute(0, 2, 3, 1))


def perceptual(widths: tuple[int, ...]) -> lpips.LPIPS:
    model = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
    before = 3
    for group, width in enumerate(widths):
        block = getattr(model.net, f"slice{group + 1}")
        index = 0
        for name, module in list(block.named_children()):
            if isinstance(module, nn.ReLU):
                module.inplace = False
            if not isinstance(module, nn.Conv2d):
                continue
            conv = nn.Conv2d(before, width, 3, padding=1)
            conv.weight = nn.Parameter(weight(f"groups.{group}.{index}.weight", (3, 3, before, width)), False)
            conv.bias = nn.Parameter(weight(f"groups.{group}.{index}.bias", (width,)), False)
            setattr(block, name, conv)
            before = width
            index += 1
        head = lpips.NetLinLayer(width, use_dropout=True)
        head.model[1].weight = nn.Parameter(weight(f"heads.{group}.weight", (1, 1, width, 1)), False)
        setattr(model, f"lin{group}", head)
        model.lins[group] = head
    return model.eval()


def perceptual_case(widths: tuple[int, ...], B: int, H: int, W: int) -> dict:
    model = perceptual(widths)
    nearest = []  # to the kink of a rectifier, where the gradient jumps

    def watch(_module: nn.Module, _inputs: tuple, out: torch.Tensor) -> None:
        nearest.append((out.abs().min() / out.std()).item())

    for module in model.net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(watch)
    x, y = images("images", B, H, W).requires_grad_(), images("others", B, H, W).requires_grad_()
    values = model(x, y).flatten()
    (values * torch.arange(1, B + 1)).sum().backward()
    print(f"{H}x{W}: nearest to a kink {min(nearest):.1e}")
    case = {"widths": widths, "shape": [B, H, W, 3], "values": flat(values), "gradient": pixels(x.grad)}
    return case if B == 1 else {**case, "gradientOfOthers": pixels(y.grad)}


class Discriminator(nn.Module):
    def __init__(self, channels: int, layers: int):
        super().__init__()
        widths = [channels * min(2**i, 8) for i in range(layers + 1)]
        self.convIn = nn.Conv2d(3, channels, 4, 2, 1)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "conv": nn.Conv2d(widths[i], widths[i + 1], 4, 2 if i < layers - 1 else 1, 1, bias=False),
                    "norm": nn.BatchNorm2d(widths[i + 1]),
                }
            )
            for i in range(layers)
        )
        self.convOut = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        with torch.no_grad():
            for path, parameter in self.named_parameters():
                parameter.copy_(weight(path, tuple(ours(parameter).shape)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.leaky_relu(self.convIn(x), 0.2)
        for block in self.blocks:
            h = F.leaky_relu(block["norm"](block["conv"](h)), 0.2)
        return self.convOut(h)

    def gradients(self) -> dict:
        return {path: flat(ours(parameter.grad)) for path, parameter in self.named_parameters()}

    def running(self) -> list:
        norms = [block["norm"] for block in self.blocks]
        return [{"mean": flat(norm.running_mean), "variance": flat(norm.running_var)} for norm in norms]


def discriminator_case(channels: int, layers: int, B: int, H: int, W: int) -> dict:
    model = Discriminator(channels, layers)
    x = images("images", B, H, W).requires_grad_()
    logits = model(x)
    _, _, h, w = logits.shape
    factors = torch.from_numpy(seeded_uniform("factors", B * h * w, 1.0)).reshape(B, 1, h, w)
    (logits * factors).sum().backward()
    case = {
        "channels": channels,
        "layers": layers,
        "shape": [B, H, W, 3],
        "logitsShape": [B, h, w, 1],
        "logits": pixels(logits),
        "gradients": {"images": pixels(x.grad), **model.gradients()},
    }
    model(images("others", B, H, W))
    case["runningAfterTwo"] = model.running()
    model.eval()
    case["logitsInEvaluation"] = pixels(model(x))
    return case


def autoencoder() -> VQModel:
    model = VQModel(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        num_vq_embeddings=11,
        vq_embed_dim=3,
    )
    model.quantize.legacy = True
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            path = our_path(name, 2)
            if parameter.ndim == 2 and "embedding" not in path:  # a 1x1 convolution here
                out, into = parameter.shape
                parameter.copy_(weight(path, (1, 1, into, out))[:, :, 0, 0])
            else:
                parameter.copy_(weight(path, tuple(ours(parameter).shape)))
    return model


PERCEPTUAL_WEIGHT = 1.0
DISCRIMINATOR_WEIGHT = 0.6


def composite_case(B: int, side: int) -> dict:
    """One step of both optimisers at the same weights, as the published loss has it."""
    model, distance, judge = autoencoder(), perceptual(NARROW), Discriminator(2, 2)
    x = images("images", B, side, side)
    latents = model.encode(x).latents
    decoded, codebook = model.decode(latents).sample, model.quantize(latents)[1]
    difference = (x - decoded).abs()
    p = distance(x, decoded)
    reconstruction = (difference + PERCEPTUAL_WEIGHT * p).mean()
    adversarial = -judge(decoded).mean()
    last = model.decoder.conv_out.weight
    (slope,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (pull,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    adaptive = (slope.norm() / (pull.norm() + 1e-4)).clamp(0.0, 1e4).detach()
    loss = reconstruction + DISCRIMINATOR_WEIGHT * adaptive * adversarial + codebook
    loss.backward()
    checked = (
        "encoder.convIn.weight",
        "encoder.normOut.weight",
        "quantize.embedding.weight",
        "decoder.mid.block1.norm1.bias",
        "decoder.convIn.bias",
        "decoder.convOut.weight",
        "decoder.convOut.bias",
    )
    gradients = {
        our_path(name, 2): flat(ours(parameter.grad)) for name, parameter in model.named_parameters() if our_path(name, 2) in checked
    }
    judge.zero_grad()
    real, fake = judge(x), judge(decoded.detach())
    hinge = 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
    hinge.backward()
    return {
        "shape": [B, side, side, 3],
        "perceptualWeight": PERCEPTUAL_WEIGHT,
        "discriminatorWeight": DISCRIMINATOR_WEIGHT,
        "loss": loss.item(),
        "terms": {
            "reconstruction": difference.mean().item(),
            "l1": difference.mean().item(),
            "perceptual": p.mean().item(),
            "codebook": codebook.item(),
            "adversarial": adversarial.item(),
            "adaptiveWeight": adaptive.item(),
            "real": real.mean().item(),
            "decoded": fake.mean().item(),
        },
        "gradients": gradients,
        "discriminator": {"loss": hinge.item(), "gradients": judge.gradients(), "running": judge.running()},
    }


def main() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Larger images come too near to a kink for their gradients to be compared; distances have no such trouble.
    larger = perceptual(FULL)(images("images", 1, 32, 32), images("others", 1, 32, 32)).item()
    golden = {
        "recipe": {
            "command": "python tools/golden/first_stage_losses.py",
            "libraries": {
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "lpips": version("lpips"),
                "diffusers": diffusers.__version__,
            },
            "seed": "names of the weights, and of the images: images, others, factors",
        },
        "perceptual": {"narrow": perceptual_case(NARROW, 2, 17, 19), "full": perceptual_case(FULL, 1, 16, 16), "at32": larger},
        "discriminator": [discriminator_case(3, 2, 2, 18, 15), discriminator_case(2, 3, 1, 24, 26)],
        "composite": composite_case(2, 16),
    }
    (FOLDER / "first-stage-losses.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
