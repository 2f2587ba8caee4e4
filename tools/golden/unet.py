"""Reference values for @sgdiff/diffusion-unet from diffusers' UNet2DConditionModel with seeded random weights.

    python tools/golden/unet.py        (torch, diffusers, safetensors, numpy)

Writes fixtures/tiny.safetensors (weights in our paths and layout) and fixtures/tiny.golden.json.
The net of latent diffusion and diffusers' are the same under other names; SGDiff's linear layer for local features
and its order of tokens (triples, then the graph) are put around it here.
"""

import json
import re
from pathlib import Path

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

SEED = 11
LAYERS = 1  # residual blocks per level
LEVELS = 3
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "diffusion-unet" / "fixtures"


def our_path(name: str) -> str:
    def down(m: re.Match) -> str:
        return f"inputBlocks.{1 + int(m[1]) * (LAYERS + 1) + int(m[3])}.{'res' if m[2] == 'resnets' else 'transformer'}."

    def up(m: re.Match) -> str:
        return f"outputBlocks.{int(m[1]) * (LAYERS + 1) + int(m[3])}.{'res' if m[2] == 'resnets' else 'transformer'}."

    rules = [
        (r"^conv_in\.", "inputBlocks.0.conv."),
        (r"^conv_norm_out\.", "out.norm."),
        (r"^conv_out\.", "out.conv."),
        (r"^time_embedding\.linear_1\.", "timeEmbed.in."),
        (r"^time_embedding\.linear_2\.", "timeEmbed.out."),
        (r"^down_blocks\.(\d+)\.downsamplers\.0\.conv\.", lambda m: f"inputBlocks.{(int(m[1]) + 1) * (LAYERS + 1)}.down."),
        (r"^up_blocks\.(\d+)\.upsamplers\.0\.conv\.", lambda m: f"outputBlocks.{(int(m[1]) + 1) * (LAYERS + 1) - 1}.up."),
        (r"^down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", down),
        (r"^up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", up),
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
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def our_layout(value: torch.Tensor) -> torch.Tensor:
    if value.ndim == 4:
        value = value.permute(2, 3, 1, 0)  # OIHW -> HWIO
    elif value.ndim == 2:
        value = value.t()  # [out, in] -> [in, out]
    return value.contiguous()


def plain(value: torch.Tensor) -> dict:
    return {"shape": list(value.shape), "data": [float(f"{x:.8g}") for x in value.detach().flatten().tolist()]}


def nhwc(value: torch.Tensor) -> dict:
    return plain(value.detach().permute(0, 2, 3, 1) if value.ndim == 4 else value)


torch.manual_seed(SEED)
model = UNet2DConditionModel(
    in_channels=3,
    out_channels=3,
    block_out_channels=(8, 16, 16),
    layers_per_block=LAYERS,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
    mid_block_type="UNetMidBlock2DCrossAttn",
    cross_attention_dim=6,
    attention_head_dim=(2, 4, 4),  # diffusers reads this as the number of heads: 4 channels each
    norm_num_groups=4,
    flip_sin_to_cos=True,
    freq_shift=0,
)
local_mlp = torch.nn.Linear(9, 6)
with torch.no_grad():
    for name, parameter in [*model.named_parameters(), *local_mlp.named_parameters()]:
        noise = torch.randn_like(parameter)
        if "norm" in name:
            parameter.copy_(0.3 * noise + (1 if name.endswith("weight") else 0))
        elif parameter.ndim > 1:
            parameter.copy_(noise / parameter[0].numel() ** 0.5)
        else:
            parameter.copy_(0.1 * noise)

B, T = 2, 3
latents, noise = torch.randn(B, 3, 8, 8), torch.randn(B, 3, 8, 8)
t = torch.tensor([17, 803])
local, graph = torch.randn(B, T, 9), torch.randn(B, 6)
mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])

scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195)
noisy = scheduler.add_noise(latents, noise, t)
velocity = scheduler.get_velocity(latents, noise, t)
tokens = torch.cat([local_mlp(local), graph[:, None]], 1)

seen = {}


def watch(key: str, module: torch.nn.Module) -> None:
    def hook(_, args, kwargs, out):
        entry = {"input": nhwc(args[0]), "output": nhwc(out[0] if isinstance(out, tuple) else out)}
        if key == "resBlock":
            entry["time"] = plain(args[1] if len(args) > 1 else kwargs["temb"])
        seen[key] = entry

    module.register_forward_hook(hook, with_kwargs=True)


handles = [
    ("resBlock", model.down_blocks[1].resnets[0]),
    ("spatialTransformer", model.down_blocks[2].attentions[0]),
    ("downsample", model.down_blocks[0].downsamplers[0]),
    ("upsample", model.up_blocks[0].upsamplers[0]),
]
for key, module in handles:
    watch(key, module)

predicted = model(noisy, t, encoder_hidden_states=tokens).sample
modules = dict(seen)
eps_errors = ((predicted - noise) ** 2).mean((1, 2, 3))
v_errors = ((predicted - velocity) ** 2).mean((1, 2, 3))
eps_errors.mean().backward()

token_mask = torch.cat([mask, torch.ones(B, 1)], 1)
masked = model(noisy, t, encoder_hidden_states=tokens, encoder_attention_mask=token_mask.bool()).sample

snr = compute_snr(scheduler, t)
limited = torch.minimum(snr, torch.full_like(snr, 5.0))

weights, gradients = {}, {}
for name, parameter in model.named_parameters():
    weights[our_path(name)] = our_layout(parameter.detach())
    if name in ("conv_in.weight", "time_embedding.linear_1.bias", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"):
        gradients[our_path(name)] = plain(our_layout(parameter.grad))
for name, parameter in local_mlp.named_parameters():
    weights[f"condition.local.{name}"] = our_layout(parameter.detach())
    gradients[f"condition.local.{name}"] = plain(our_layout(parameter.grad))

FOLDER.mkdir(exist_ok=True)
save_file(weights, FOLDER / "tiny.safetensors")
golden = {
    "recipe": {
        "command": "python tools/golden/unet.py",
        "libraries": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        "seed": SEED,
    },
    "latents": nhwc(latents),
    "noise": nhwc(noise),
    "t": t.tolist(),
    "local": plain(local),
    "mask": plain(mask),
    "global": plain(graph),
    "tokens": plain(tokens),
    "noisy": nhwc(noisy),
    "predicted": nhwc(predicted),
    "predictedMasked": nhwc(masked),
    "epsErrors": eps_errors.tolist(),
    "vErrors": v_errors.tolist(),
    "minSnr5": {"eps": (limited / snr).tolist(), "v": (limited / (snr + 1)).tolist()},
    "gradients": gradients,
    "modules": modules,
}
(FOLDER / "tiny.golden.json").write_text(json.dumps(golden) + "\n")
print(f"{len(weights)} tensors, {sum(w.numel() for w in weights.values())} values")
