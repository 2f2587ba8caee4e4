"""Which published name belongs to which weight of ours, by way of diffusers' own reader of latent-diffusion checkpoints.

Run from the repository root:
    python tools/golden/published_names.py        (torch, diffusers)

Writes packages/published-models/fixtures/names.golden.json. diffusers turns the published names into its own ones
(convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint); from those to our paths lead the rules that the golden values of
diffusion-unet and latent-autoencoder were computed with, so what the names mean is proven by numbers there. Neither step knows
`publishedName` of our packages, which a test compares with the result.
"""
import json
import re
from pathlib import Path

import diffusers
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from published_checkpoint import SIZES, autoencoder, unet

OUT = Path("packages/published-models/fixtures/names.golden.json")
UNET_LAYERS = 2  # residual blocks per level
VAE_LEVELS = 4


def our_unet_path(name: str) -> str:
    step = UNET_LAYERS + 1

    def kind(word: str) -> str:
        return "res" if word == "resnets" else "transformer"

    rules = [
        (r"^conv_in\.", "inputBlocks.0.conv."),
        (r"^conv_norm_out\.", "out.norm."),
        (r"^conv_out\.", "out.conv."),
        (r"^time_embedding\.linear_1\.", "timeEmbed.in."),
        (r"^time_embedding\.linear_2\.", "timeEmbed.out."),
        (r"^down_blocks\.(\d+)\.downsamplers\.0\.conv\.", lambda m: f"inputBlocks.{(int(m[1]) + 1) * step}.down."),
        (r"^up_blocks\.(\d+)\.upsamplers\.0\.conv\.", lambda m: f"outputBlocks.{(int(m[1]) + 1) * step - 1}.up."),
        (r"^down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", lambda m: f"inputBlocks.{1 + int(m[1]) * step + int(m[3])}.{kind(m[2])}."),
        (r"^up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", lambda m: f"outputBlocks.{int(m[1]) * step + int(m[3])}.{kind(m[2])}."),
        (r"^mid_block\.resnets\.0\.", "middleBlock.res1."),
        (r"^mid_block\.resnets\.1\.", "middleBlock.res2."),
        (r"^mid_block\.attentions\.0\.", "middleBlock.transformer."),
        (r"\.time_emb_proj\.", ".time."),
        (r"\.conv_shortcut\.", ".skip."),
        (r"\.transformer_blocks\.", ".blocks."),
        (r"\.ff\.net\.0\.proj\.", ".geglu.proj."),
        (r"\.ff\.net\.2\.", ".ffOut."),
        (r"\.to_([qkv])\.", r".\1."),
        (r"\.to_out\.0\.", ".out."),
        (r"\.proj_in\.", ".projIn."),
        (r"\.proj_out\.", ".projOut."),
    ]
    return rewrite(name, rules)


def our_vae_path(name: str) -> str:
    rules = [
        (r"^encoder\.down_blocks\.(\d+)\.", r"encoder.down.\1."),
        (r"^decoder\.up_blocks\.(\d+)\.", lambda m: f"decoder.up.{VAE_LEVELS - 1 - int(m[1])}."),
        (r"\.mid_block\.resnets\.0\.", ".mid.block1."),
        (r"\.mid_block\.resnets\.1\.", ".mid.block2."),
        (r"\.mid_block\.attentions\.0\.", ".mid.attn1."),
        (r"\.resnets\.", ".block."),
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
    return rewrite(name, rules)


def rewrite(name: str, rules: list) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def numbered(names: list, prefix: str) -> dict:
    """A tensor for every name that holds the name's number, in whatever shape the converter hands it on."""
    return {f"{prefix}{name}": torch.full((1, 1, 1, 1) if "attn" in name or "mid" in name else (1,), float(i)) for i, name in enumerate(names)}


def traced(names: list, converted: dict, our_path) -> dict:
    return {our_path(theirs): names[int(tensor.flatten()[0])] for theirs, tensor in converted.items()}


def unet_names() -> dict:
    names = [name for name in unet(SIZES["full"]) if not name.startswith("context_local_mlp")]
    config = {"layers_per_block": UNET_LAYERS, "class_embed_type": None, "addition_embed_type": None}
    converted = convert_ldm_unet_checkpoint(numbered(names, "model.diffusion_model."), config)
    found = traced(names, converted, our_unet_path)
    assert len(found) == len(names) == 626, (len(found), len(names))
    return found


def vae_names() -> dict:
    # diffusers' reader knows attention in the middle only, and no codebook.
    names = [n for n in autoencoder(SIZES["full"]) if not re.search(r"\.attn\.\d|^quantize", n)]
    config = {"down_block_types": [""] * VAE_LEVELS, "up_block_types": [""] * VAE_LEVELS}
    converted = convert_ldm_vae_checkpoint(numbered(names, "first_stage_model."), config)
    found = traced(names, converted, our_vae_path)
    assert len(found) == len(names), (len(found), len(names))
    return found


recipe = {"command": "python tools/golden/published_names.py", "library": f"diffusers {diffusers.__version__}"}
OUT.write_text(json.dumps({"recipe": recipe, "unet": unet_names(), "autoencoder": vae_names()}, indent=0) + "\n")
