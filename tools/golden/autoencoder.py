"""Reference values for @sgdiff/latent-autoencoder from diffusers' VQModel with seeded random weights.

    python tools/golden/autoencoder.py        (torch, diffusers, safetensors, numpy)

Writes fixtures/tiny.safetensors (weights in our paths and layout) and fixtures/tiny.golden.json.
"""

import json
import re
from pathlib import Path

import diffusers
import torch
from diffusers import VQModel
from safetensors.torch import save_file

SEED = 7
LEVELS = 2
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "latent-autoencoder" / "fixtures"


def our_path(name: str) -> str:
    rules = [
        (r"^encoder\.down_blocks\.(\d+)\.", r"encoder.down.\1."),
        (r"^decoder\.up_blocks\.(\d+)\.", lambda m: f"decoder.up.{LEVELS - 1 - int(m[1])}."),
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
        our_path(name): plain(our_layout(our_path(name), parameter.grad))
        for name, parameter in model.named_parameters()
        if name in CHECKED
    }
weights = {our_path(name): our_layout(our_path(name), value.detach()) for name, value in model.named_parameters()}

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
