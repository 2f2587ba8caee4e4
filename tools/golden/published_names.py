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

import autoencoder as autoencoder_golden
import unet as unet_golden
from published_checkpoint import SIZES, autoencoder, unet

OUT = Path("packages/published-models/fixtures/names.golden.json")
UNET_LAYERS = 2  # residual blocks per level
VAE_LEVELS = 4


def numbered(names: list, prefix: str) -> dict:
    """A tensor for every name that holds the name's number, in whatever shape the converter hands it on."""
    return {f"{prefix}{name}": torch.full((1, 1, 1, 1) if "attn" in name or "mid" in name else (1,), float(i)) for i, name in enumerate(names)}


def traced(names: list, converted: dict, our_path) -> dict:
    return {our_path(theirs): names[int(tensor.flatten()[0])] for theirs, tensor in converted.items()}


def unet_names() -> dict:
    names = [name for name in unet(SIZES["full"]) if not name.startswith("context_local_mlp")]
    config = {"layers_per_block": UNET_LAYERS, "class_embed_type": None, "addition_embed_type": None}
    converted = convert_ldm_unet_checkpoint(numbered(names, "model.diffusion_model."), config)
    found = traced(names, converted, lambda name: unet_golden.our_path(name, UNET_LAYERS))
    assert len(found) == len(names) == 626, (len(found), len(names))
    return found


def vae_names() -> dict:
    # diffusers' reader knows attention in the middle only, and no codebook.
    names = [n for n in autoencoder(SIZES["full"]) if not re.search(r"\.attn\.\d|^quantize", n)]
    config = {"down_block_types": [""] * VAE_LEVELS, "up_block_types": [""] * VAE_LEVELS}
    converted = convert_ldm_vae_checkpoint(numbered(names, "first_stage_model."), config)
    found = traced(names, converted, lambda name: autoencoder_golden.our_path(name, VAE_LEVELS))
    assert len(found) == len(names), (len(found), len(names))
    return found


recipe = {"command": "python tools/golden/published_names.py", "library": f"diffusers {diffusers.__version__}"}
OUT.write_text(json.dumps({"recipe": recipe, "unet": unet_names(), "autoencoder": vae_names()}, indent=0) + "\n")
