"""Reference values for @sgdiff/diffusion-unet from diffusers' UNet2DConditionModel with seeded random weights.

    python tools/golden/unet.py [tiny|odd|full …]        (torch, diffusers, safetensors, numpy)

tiny: fixtures/tiny.safetensors (weights in our paths and layout) and fixtures/tiny.golden.json.
odd: fixtures/odd.golden.json, other forms and sides, with weights from seeded.py.
full: fixtures/full.golden.json, the published net in full size (395,771,140 weights), with weights from seeded.py.
The net of latent diffusion and diffusers' are the same under other names; SGDiff's linear layer for local features
and its order of tokens (triples, then the graph) are put around it here.
"""

import json
import re
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

from seeded import seeded_uniform, seeded_weight

SEED = 11
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "diffusion-unet" / "fixtures"


def our_path(name: str, layers: int) -> str:
    """diffusers' name in our tree; `layers` residual blocks per level."""

    def down(m: re.Match) -> str:
        return f"inputBlocks.{1 + int(m[1]) * (layers + 1) + int(m[3])}.{'res' if m[2] == 'resnets' else 'transformer'}."

    def up(m: re.Match) -> str:
        return f"outputBlocks.{int(m[1]) * (layers + 1) + int(m[3])}.{'res' if m[2] == 'resnets' else 'transformer'}."

    rules = [
        (r"^conv_in\.", "inputBlocks.0.conv."),
        (r"^conv_norm_out\.", "out.norm."),
        (r"^conv_out\.", "out.conv."),
        (r"^time_embedding\.linear_1\.", "timeEmbed.in."),
        (r"^time_embedding\.linear_2\.", "timeEmbed.out."),
        (r"^down_blocks\.(\d+)\.downsamplers\.0\.conv\.", lambda m: f"inputBlocks.{(int(m[1]) + 1) * (layers + 1)}.down."),
        (r"^up_blocks\.(\d+)\.upsamplers\.0\.conv\.", lambda m: f"outputBlocks.{(int(m[1]) + 1) * (layers + 1) - 1}.up."),
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


def tiny_golden() -> None:
    torch.manual_seed(SEED)
    model = UNet2DConditionModel(
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
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
        weights[our_path(name, 1)] = our_layout(parameter.detach())
        if name in ("conv_in.weight", "time_embedding.linear_1.bias", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"):
            gradients[our_path(name, 1)] = plain(our_layout(parameter.grad))
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


def build(config: dict) -> tuple[UNet2DConditionModel, torch.nn.Linear]:
    """The network of one of our configs, with seeded weights."""
    widths = [config["modelChannels"] * mult for mult in config["channelMults"]]
    attended = [2**level in config["attentionFactors"] for level in range(len(widths))]
    layers = config["numResBlocks"]
    with torch.device("meta"):  # no initial values: all are replaced
        model = UNet2DConditionModel(
            in_channels=config["inChannels"],
            out_channels=config["outChannels"],
            block_out_channels=widths,
            layers_per_block=layers,
            down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attended],
            up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)],
            mid_block_type="UNetMidBlock2DCrossAttn",
            transformer_layers_per_block=config["transformerDepth"],
            cross_attention_dim=config["contextWidth"],
            attention_head_dim=[width // config["headChannels"] for width in widths],  # read as the number of heads
            norm_num_groups=config["groups"],
            flip_sin_to_cos=True,
            freq_shift=0,
        )
        local_mlp = torch.nn.Linear(config["localWidth"], config["contextWidth"])
    for module, prefix in ((model, ""), (local_mlp, "condition.local.")):
        module.to_empty(device="cpu")
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                path = prefix + name if prefix else our_path(name, layers)
                shape = our_layout(parameter).shape
                parameter.copy_(in_torch_layout(torch.from_numpy(seeded_weight(path, shape))))
        assert not list(module.buffers())
    return model.eval(), local_mlp


def in_torch_layout(value: torch.Tensor) -> torch.Tensor:
    return value.permute(3, 2, 0, 1) if value.ndim == 4 else value.t() if value.ndim == 2 else value


def seeded_input(name: str, *shape: int, bound: float = 3**0.5) -> torch.Tensor:
    """Uniform, unless told otherwise of unit variance. Latents in our layout (NHWC) become NCHW."""
    values = torch.from_numpy(seeded_uniform(name, int(np.prod(shape)), bound)).reshape(shape)
    return values.permute(0, 3, 1, 2).contiguous() if len(shape) == 4 else values


def predict(config: dict, case: dict, watched=None) -> torch.Tensor:
    model, local_mlp = build(config)
    batch, triples = case["size"][0], case["triples"]
    if watched:
        watched(model)
    with torch.no_grad():
        local = seeded_input("local", batch, triples, config["localWidth"])
        graph = seeded_input("global", batch, config["globalWidth"])
        tokens = torch.cat([local_mlp(local), graph[:, None]], 1)
        mask = None
        if config["maskPadding"]:
            mask = torch.arange(triples + 1)[None] < torch.tensor(case["realTriples"])[:, None]
            mask[:, -1] = True  # the graph's own token
        x = seeded_input("x", *case["size"], config["inChannels"])
        return model(x, torch.tensor(case["t"]), encoder_hidden_states=tokens, encoder_attention_mask=mask).sample


def recipe(command: str) -> dict:
    return {
        "command": f"python tools/golden/unet.py {command}",
        "libraries": {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__},
        "weights": "tools/golden/seeded.py, by our paths",
        "inputs": "seeded_uniform('x' | 'local' | 'global' | 'tokens' | 'time', bound sqrt(3))",
    }


SMALL = {
    "inChannels": 4, "outChannels": 4, "modelChannels": 8, "channelMults": [1, 2, 4], "numResBlocks": 2,
    "attentionFactors": [4, 2, 1], "headChannels": 4, "transformerDepth": 1, "contextWidth": 6, "localWidth": 9,
    "globalWidth": 6, "globalInTime": False, "maskPadding": False, "groups": 4,
}
PUBLISHED = {
    **SMALL, "modelChannels": 256, "headChannels": 32, "contextWidth": 512, "localWidth": 1536, "globalWidth": 512, "groups": 32,
}
ODD = {
    "published form, 8x12": {"config": SMALL, "size": [1, 8, 12], "triples": 15, "t": [996]},
    "three at a time, sides that end odd": {"config": SMALL, "size": [3, 12, 20], "triples": 15, "t": [0, 501, 999]},
    "one position left at the coarsest level": {"config": SMALL, "size": [2, 4, 4], "triples": 15, "t": [1, 6]},
    "one token beside the graph's": {"config": SMALL, "size": [1, 4, 8], "triples": 1, "t": [7]},
    "two transformer blocks, coarse levels only, other channels out": {
        "config": {**SMALL, "numResBlocks": 1, "channelMults": [1, 2, 3], "attentionFactors": [4], "transformerDepth": 2,
                   "outChannels": 3, "inChannels": 5, "headChannels": 8},
        "size": [3, 12, 4], "triples": 15, "t": [17, 333, 803],
    },
    "padding masked": {
        "config": {**SMALL, "maskPadding": True}, "size": [3, 4, 12], "triples": 15, "t": [10, 20, 30],
        "realTriples": [3, 15, 0],
    },
}


def short(value: torch.Tensor) -> list:
    return [float(f"{x:.6g}") for x in value.detach().flatten().tolist()]


def in_our_order(value: torch.Tensor) -> torch.Tensor:
    return value.permute(0, 2, 3, 1) if value.ndim == 4 else value


def odd_golden() -> None:
    cases = {}
    for name, case in ODD.items():
        y = in_our_order(predict(case["config"], case))
        assert 0.1 < y.std() < 10, f"{name}: {y.std()}"
        cases[name] = {**case, "output": short(y)}
    golden = {"recipe": recipe("odd"), "cases": cases, "faint": faint()}
    (FOLDER / "odd.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def faint() -> dict:
    """Blocks on inputs so small that the epsilons of their norms decide: inputBlocks.4 of the small network."""
    model, _ = build(SMALL)
    level = model.down_blocks[1]
    bound = 2e-3
    res = seeded_input("x", 2, 4, 6, 8, bound=bound)
    x = seeded_input("x", 2, 4, 6, 16, bound=bound)
    tokens = seeded_input("tokens", 2, 16, 6)
    with torch.no_grad():
        transformer = level.attentions[0]
        return {
            "bound": bound,
            "resBlock": short(in_our_order(level.resnets[0](res, seeded_input("time", 2, 32)))),
            "spatialTransformer": short(in_our_order(transformer(x, encoder_hidden_states=tokens).sample)),
            "transformerBlock": short(
                transformer.transformer_blocks[0](x.permute(0, 2, 3, 1).reshape(2, 24, 16), encoder_hidden_states=tokens)
            ),
        }


def full_golden() -> None:
    """The whole output, and a few values of what each residual block and transformer gives, in the order they run."""
    taps = []

    def watch(model: torch.nn.Module) -> None:
        def hook(module, _, out):
            y = in_our_order(out[0] if isinstance(out, tuple) else out)
            step = y.numel() // 11
            kind = "resBlock" if "Resnet" in type(module).__name__ else "spatialTransformer"
            taps.append({"kind": kind, "size": y.numel(), "step": step, "largest": float(y.abs().max()),
                         "values": short(y.flatten()[::step])})

        for module in model.modules():
            if type(module).__name__ in ("ResnetBlock2D", "Transformer2DModel"):
                module.register_forward_hook(hook)

    case = {"config": PUBLISHED, "size": [1, 32, 32], "triples": 15, "t": [996]}
    y = in_our_order(predict(PUBLISHED, case, watch))
    golden = {"recipe": recipe("full"), **case, "output": short(y), "taps": taps}
    (FOLDER / "full.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"output: standard deviation {y.std():.3g}, largest {y.abs().max():.3g}; {len(taps)} taps, the largest value "
          f"{max(tap['largest'] for tap in taps):.3g}")


if __name__ == "__main__":
    makers = {"tiny": tiny_golden, "odd": odd_golden, "full": full_golden}
    for chosen in sys.argv[1:] or makers:
        makers[chosen]()
