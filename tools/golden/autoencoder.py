"""Reference values for @sgdiff/latent-autoencoder from diffusers' VQModel with seeded random weights.

    python tools/golden/autoencoder.py [tiny|odd|full …]        (torch, diffusers, safetensors, numpy)

tiny: fixtures/tiny.safetensors (weights in our paths and layout) and fixtures/tiny.golden.json.
odd: fixtures/odd.golden.json, other forms and sides, with weights from seeded.py.
full: fixtures/full.golden.json, the published vq-f8 in full size (67,717,295 weights), with weights from seeded.py.
"""

import json
import re
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import VQModel
from safetensors.torch import save_file

from seeded import seeded_uniform, seeded_weight

SEED = 7
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "latent-autoencoder" / "fixtures"


def our_path(name: str, levels: int) -> str:
    rules = [
        (r"^encoder\.down_blocks\.(\d+)\.", r"encoder.down.\1."),
        (r"^decoder\.up_blocks\.(\d+)\.", lambda m: f"decoder.up.{levels - 1 - int(m[1])}."),
        (r"\.mid_block\.resnets\.0\.", ".mid.block1."),
        (r"\.mid_block\.resnets\.1\.", ".mid.block2."),
        (r"\.mid_block\.attentions\.0\.", ".mid.attn1."),
        (r"\.resnets\.", ".block."),
        (r"\.attentions\.", ".attn."),
        (r"\.downsamplers\.0\.", ".downsample."),
        (r"\.upsamplers\.0\.", ".upsample."),
        (r"\.group_norm\.", ".norm."),
        (r"\.to_([qkv])\.", r".\1."),
        (r"\.to_out\.0\.", ".projOut."),
        (r"\.conv_shortcut\.", ".ninShortcut."),
        (r"\.conv_norm_out\.", ".normOut."),
        (r"\.conv_in\.", ".convIn."),
        (r"\.conv_out\.", ".convOut."),
        (r"^quant_conv\.", "quantConv."),
        (r"^post_quant_conv\.", "postQuantConv."),
    ]
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def our_layout(path: str, value: torch.Tensor) -> torch.Tensor:
    if value.ndim == 4:
        value = value.permute(2, 3, 1, 0)  # OIHW -> HWIO
    elif value.ndim == 2 and not path.startswith("quantize"):
        value = value.t()[None, None]  # linear [out, in] -> 1x1 convolution
    return value.contiguous()


def nhwc(value: torch.Tensor) -> dict:
    value = value.detach()
    if value.ndim == 4:
        value = value.permute(0, 2, 3, 1)
    return plain(value)


def plain(value: torch.Tensor) -> dict:
    return {"shape": list(value.shape), "data": [float(f"{x:.8g}") for x in value.detach().flatten().tolist()]}


def tiny_golden() -> None:
    torch.manual_seed(SEED)
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
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "norm" in name:
                parameter.copy_(0.3 * noise + (1 if name.endswith("weight") else 0))
            elif name == "quantize.embedding.weight":
                parameter.copy_(0.5 * noise)
            elif parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.1 * noise)

    images = torch.rand(2, 3, 8, 8) * 2 - 1
    seen = {}


    def watch(key: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _, args, out: seen.__setitem__(key, (args[0], out)))


    watch("resBlock", model.encoder.down_blocks[1].resnets[0])  # 8 -> 16 channels
    watch("attentionBlock", model.encoder.mid_block.attentions[0])
    watch("downsample", model.encoder.down_blocks[0].downsamplers[0])
    watch("upsample", model.decoder.up_blocks[0].upsamplers[0])

    latents = model.encode(images).latents
    quantized, codebook_loss, (_, _, indices) = model.quantize(latents)
    decoded = model.decode(latents).sample
    modules = {key: {"input": nhwc(x), "output": nhwc(y)} for key, (x, y) in seen.items()}

    # The value of the codebook loss is the same in both forms; what it pulls on is not.
    CHECKED = ("encoder.conv_in.weight", "quant_conv.weight", "quantize.embedding.weight", "decoder.conv_in.bias")
    gradients = {}
    for form in ("paper", "legacy"):
        model.quantize.legacy = form == "legacy"
        model.zero_grad()
        z = model.encode(images).latents
        loss = (model.decode(z).sample - images).abs().mean() + model.quantize(z)[1]
        loss.backward()
        gradients[form] = {
            our_path(name, 2): plain(our_layout(our_path(name, 2), parameter.grad))
            for name, parameter in model.named_parameters()
            if name in CHECKED
        }
    weights = {our_path(name, 2): our_layout(our_path(name, 2), value.detach()) for name, value in model.named_parameters()}

    FOLDER.mkdir(exist_ok=True)
    save_file(weights, FOLDER / "tiny.safetensors")
    golden = {
        "recipe": {
            "command": "python tools/golden/autoencoder.py",
            "libraries": {"torch": torch.__version__, "diffusers": diffusers.__version__},
            "seed": SEED,
        },
        "images": nhwc(images),
        "latents": nhwc(latents),
        "quantized": nhwc(quantized),
        "indices": indices.flatten().tolist(),
        "decoded": nhwc(decoded),
        "loss": loss.item(),
        "codebookLoss": codebook_loss.item(),
        "gradients": gradients,
        "modules": modules,
    }
    (FOLDER / "tiny.golden.json").write_text(json.dumps(golden) + "\n")
    print(f"{len(weights)} tensors, {sum(w.numel() for w in weights.values())} values")


def build(config: dict) -> VQModel:
    """The model of one of our configs, with seeded weights."""
    widths = [config["baseChannels"] * mult for mult in config["channelMults"]]
    levels = len(widths)
    attended = [level in config["attentionLevels"] for level in range(levels)]
    with torch.device("meta"):  # no initial values: all are replaced
        model = VQModel(
            in_channels=config["imageChannels"],
            out_channels=config["imageChannels"],
            down_block_types=["AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in attended],
            up_block_types=["AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in reversed(attended)],
            block_out_channels=widths,
            layers_per_block=config["numResBlocks"],
            latent_channels=config["zChannels"],
            norm_num_groups=config["groups"],
            num_vq_embeddings=config["codebookSize"],
            vq_embed_dim=config["embedDim"],
        )
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            path = our_path(name, levels)
            values = torch.from_numpy(seeded_weight(path, our_layout(path, parameter).shape))
            if parameter.ndim == 4:
                values = values.permute(3, 2, 0, 1)
            elif values.ndim == 4:  # a linear layer there, a 1x1 convolution here
                values = values[0, 0].t()
            parameter.copy_(values)
    assert not list(model.buffers())
    return model.eval()


def seeded_input(name: str, bound: float, *shape: int) -> torch.Tensor:
    """Uniform in ±bound; the shape is ours (NHWC), the result NCHW."""
    values = torch.from_numpy(seeded_uniform(name, int(np.prod(shape)), bound)).reshape(shape)
    return values.permute(0, 3, 1, 2).contiguous()


def codes(model: VQModel, latents: torch.Tensor) -> list:
    """Nearest codes. Asserts that none is so close a call that rounding could decide it."""
    z = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    distances = torch.cdist(z, model.quantize.embedding.weight.double()) ** 2
    nearest, order = distances.topk(2, dim=1, largest=False)
    margin = (nearest[:, 1] - nearest[:, 0]).min().item()
    assert margin > 5e-6, margin
    indices = model.quantize(latents)[2][2].flatten()
    assert torch.equal(indices, order[:, 0])
    return indices.tolist()


def recipe(command: str) -> dict:
    return {
        "command": f"python tools/golden/autoencoder.py {command}",
        "libraries": {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__},
        "weights": "tools/golden/seeded.py, by our paths",
        "inputs": "seeded_uniform('images' | 'x', bound 1), full: also 'z'",
    }


def short(value: torch.Tensor) -> list:
    value = value.detach()
    value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
    return [float(f"{x:.6g}") for x in value.flatten().tolist()]


SMALL = {
    "imageChannels": 3, "stem": 1, "baseChannels": 8, "channelMults": [1, 2, 2], "numResBlocks": 2, "attentionLevels": [2],
    "zChannels": 4, "embedDim": 4, "codebookSize": 64, "groups": 4,
}
PUBLISHED = {
    **SMALL, "baseChannels": 128, "channelMults": [1, 2, 2, 4], "attentionLevels": [3], "codebookSize": 16384, "groups": 32,
}
ODD = {
    "three levels, 24x40": {"config": SMALL, "size": [1, 24, 40]},
    "latents of odd sides, 12x20": {"config": {**SMALL, "embedDim": 3, "attentionLevels": []}, "size": [2, 12, 20]},
    "the published levels down to 2x1": {
        "config": {**SMALL, "channelMults": [1, 2, 2, 4], "attentionLevels": [3], "codebookSize": 500}, "size": [2, 16, 8],
    },
    "attention at the finest level, one block": {
        "config": {**SMALL, "channelMults": [1, 3], "attentionLevels": [0, 1], "numResBlocks": 1}, "size": [1, 6, 14],
    },
}


def odd_golden() -> None:
    cases = {}
    for name, case in ODD.items():
        model = build(case["config"])
        with torch.no_grad():
            latents = model.encode(seeded_input("images", 1, *case["size"], 3)).latents
            down, up = model.encoder.down_blocks[0].downsamplers[0], model.decoder.up_blocks[0].upsamplers[0]
            finest, coarsest = (case["config"]["channelMults"][i] * case["config"]["baseChannels"] for i in (0, -1))
            assert 0.1 < latents.std() < 10
            cases[name] = {
                **case,
                "latents": short(latents),
                "indices": codes(model, latents),
                "decoded": short(model.decode(latents).sample),
                "downsample": short(down(seeded_input("x", 1, 2, 4, 6, finest))),
                "upsample": short(up(seeded_input("x", 1, 2, 3, 1, coarsest))),
            }
    golden = {"recipe": recipe("odd"), "cases": cases, "faint": faint()}
    (FOLDER / "odd.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def faint() -> dict:
    """Blocks on inputs so small that the epsilons of their norms decide: level 1 and middle of the small encoder."""
    model = build(SMALL)
    bound = 5e-4
    with torch.no_grad():
        return {
            "bound": bound,
            "resBlock": short(model.encoder.down_blocks[1].resnets[0](seeded_input("x", bound, 2, 4, 6, 8), None)),
            "attentionBlock": short(model.encoder.mid_block.attentions[0](seeded_input("x", bound, 2, 4, 6, 16))),
        }


def full_golden() -> None:
    """Latents of a 64x64 image, codes of 32x32 latents, and every so manyth value of their 256x256 image."""
    model = build(PUBLISHED)
    with torch.no_grad():
        latents = model.encode(seeded_input("images", 1, 1, 64, 64, 3)).latents
        z = seeded_input("z", 1, 1, 32, 32, 4)
        indices = codes(model, z)
        image = model.decode(z).sample
    step = 127  # meets every channel and, 768 numbers to a row, all columns in turn
    golden = {
        "recipe": recipe("full"), "imageSide": 64, "latents": short(latents), "latentSide": 32, "indices": indices,
        "step": step, "largest": float(image.abs().max()),
        "decoded": [float(f"{x:.6g}") for x in image.permute(0, 2, 3, 1).flatten()[::step].tolist()],
    }
    (FOLDER / "full.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"latents: standard deviation {latents.std():.3g}; image: {image.std():.3g}, largest {image.abs().max():.3g}; "
          f"{len(set(indices))} codes for {len(indices)} positions")


if __name__ == "__main__":
    makers = {"tiny": tiny_golden, "odd": odd_golden, "full": full_golden}
    for chosen in sys.argv[1:] or makers:
        makers[chosen]()
