"""A checkpoint in the layout of the published SGDiff, with seeded random weights, to test the importer.

Run from the repository root:
    python tools/golden/published_checkpoint.py --size full /tmp/full.ckpt     (1,622 tensors, 3.5 GB)
    python tools/golden/published_checkpoint.py --size tiny                    (packages/published-models/fixtures/tiny.ckpt.gz)
    python tools/golden/published_checkpoint.py --names                        (packages/published-models/fixtures/full.golden.json)
Needs torch, numpy.

The names and shapes are written out here from the description of the published modules, on their own: nothing is taken from
the TypeScript sources, so that an import that succeeds shows that both know the same names. As in a checkpoint of
pytorch-lightning 1.4 the map of callbacks has classes for keys, and optimiser state lies beside the weights.

Every number is known from the name of its tensor (seeded.py), so a test can tell what an import must give: uniform in
±bound, where the bound is 1 for embeddings, 0.1 for biases, sqrt(3 / inputs) for matrices and kernels; 1 ± 0.3 for the weights of
norms. The moving average has the numbers of its own dotless names.
"""
import argparse
import gzip
import io
import json
import pathlib
import sys
import types
from dataclasses import dataclass

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from seeded import seeded_uniform  # noqa: E402

NAMES = pathlib.Path("packages/published-models/fixtures/full.golden.json")
TINY = pathlib.Path("packages/published-models/fixtures/tiny.ckpt.gz")


@dataclass
class Size:
    objects: int  # with __image__; the table has one row more
    predicates: int
    width: int  # of the graph encoder
    hidden: int
    layers: int
    unet: int  # channels of the finest level
    unet_mults: tuple
    unet_blocks: int
    context: int
    vq: int
    vq_mults: tuple
    vq_blocks: int
    codes: int
    timesteps: int = 1000


SIZES = {
    "full": Size(179, 46, 512, 512, 6, 256, (1, 2, 4), 2, 512, 128, (1, 2, 2, 4), 2, 16384),
    "tiny": Size(5, 3, 4, 6, 3, 4, (1, 2), 1, 4, 4, (1, 2), 1, 12),
}


def affine(name: str, *weight: int) -> dict:
    return {f"{name}.weight": weight, f"{name}.bias": (weight[0],)}


def conv(name: str, i: int, o: int, kernel: int = 3) -> dict:
    return affine(name, o, i, kernel, kernel)


def encoder(s: Size) -> dict:
    names = {
        "logit_scale": (),
        "obj_embeddings.weight": (s.objects + 1, s.width),
        "pred_embeddings.weight": (s.predicates, s.width),
    }
    for layer in ["graph_conv"] + [f"graph_net.gconvs.{i}" for i in range(s.layers - 1)]:
        names |= affine(f"{layer}.net1.0", s.hidden, 3 * s.width)
        names |= affine(f"{layer}.net1.2", 3 * s.width, s.hidden)
        names |= affine(f"{layer}.net2.0", s.hidden, s.width)
        names |= affine(f"{layer}.net2.2", s.width, s.hidden)
    return names | affine("graph_projection", s.context, 2 * s.width)


def autoencoder(s: Size) -> dict:
    def res(name: str, i: int, o: int) -> dict:
        names = affine(f"{name}.norm1", i) | conv(f"{name}.conv1", i, o)
        names |= affine(f"{name}.norm2", o) | conv(f"{name}.conv2", o, o)
        return names | (conv(f"{name}.nin_shortcut", i, o, 1) if i != o else {})

    def attn(name: str, c: int) -> dict:
        names = affine(f"{name}.norm", c)
        for part in ("q", "k", "v", "proj_out"):
            names |= conv(f"{name}.{part}", c, c, 1)
        return names

    def middle(name: str, c: int) -> dict:
        return res(f"{name}.block_1", c, c) | attn(f"{name}.attn_1", c) | res(f"{name}.block_2", c, c)

    widths = [s.vq * m for m in s.vq_mults]
    last = len(widths) - 1
    names = conv("encoder.conv_in", 3, s.vq)
    channels = s.vq
    for level, width in enumerate(widths):
        for block in range(s.vq_blocks):
            names |= res(f"encoder.down.{level}.block.{block}", channels, width)
            channels = width
            if level == last:
                names |= attn(f"encoder.down.{level}.attn.{block}", width)
        if level < last:
            names |= conv(f"encoder.down.{level}.downsample.conv", width, width)
    names |= middle("encoder.mid", channels) | affine("encoder.norm_out", channels) | conv("encoder.conv_out", channels, 4)
    names |= conv("decoder.conv_in", 4, channels) | middle("decoder.mid", channels)
    for level in reversed(range(len(widths))):
        for block in range(s.vq_blocks + 1):
            names |= res(f"decoder.up.{level}.block.{block}", channels, widths[level])
            channels = widths[level]
            if level == last:
                names |= attn(f"decoder.up.{level}.attn.{block}", channels)
        if level > 0:
            names |= conv(f"decoder.up.{level}.upsample.conv", channels, channels)
    names |= affine("decoder.norm_out", channels) | conv("decoder.conv_out", channels, 3)
    names |= {"quantize.embedding.weight": (s.codes, 4)}
    return names | conv("quant_conv", 4, 4, 1) | conv("post_quant_conv", 4, 4, 1)


def unet(s: Size) -> dict:
    time = 4 * s.unet

    def res(name: str, i: int, o: int) -> dict:
        names = affine(f"{name}.in_layers.0", i) | conv(f"{name}.in_layers.2", i, o)
        names |= affine(f"{name}.emb_layers.1", o, time)
        names |= affine(f"{name}.out_layers.0", o) | conv(f"{name}.out_layers.3", o, o)
        return names | (conv(f"{name}.skip_connection", i, o, 1) if i != o else {})

    def transformer(name: str, c: int) -> dict:
        block = f"{name}.transformer_blocks.0"
        names = affine(f"{name}.norm", c) | conv(f"{name}.proj_in", c, c, 1)
        for attention, width in (("attn1", c), ("attn2", s.context)):
            names |= {f"{block}.{attention}.to_q.weight": (c, c)}
            names |= {f"{block}.{attention}.to_{kv}.weight": (c, width) for kv in "kv"}
            names |= affine(f"{block}.{attention}.to_out.0", c, c)
        names |= affine(f"{block}.ff.net.0.proj", 8 * c, c) | affine(f"{block}.ff.net.2", c, 4 * c)
        for i in (1, 2, 3):
            names |= affine(f"{block}.norm{i}", c)
        return names | conv(f"{name}.proj_out", c, c, 1)

    names = affine("time_embed.0", time, s.unet) | affine("time_embed.2", time, time)
    names |= affine("context_local_mlp.0", s.context, 3 * s.width)
    names |= conv("input_blocks.0.0", 4, s.unet)
    skips = [s.unet]
    channels = s.unet
    index = 1
    for level, mult in enumerate(s.unet_mults):
        for _ in range(s.unet_blocks):
            names |= res(f"input_blocks.{index}.0", channels, mult * s.unet)
            channels = mult * s.unet
            names |= transformer(f"input_blocks.{index}.1", channels)
            skips.append(channels)
            index += 1
        if level < len(s.unet_mults) - 1:
            names |= conv(f"input_blocks.{index}.0.op", channels, channels)
            skips.append(channels)
            index += 1
    names |= res("middle_block.0", channels, channels) | transformer("middle_block.1", channels)
    names |= res("middle_block.2", channels, channels)
    index = 0
    for level, mult in reversed(list(enumerate(s.unet_mults))):
        for block in range(s.unet_blocks + 1):
            names |= res(f"output_blocks.{index}.0", channels + skips.pop(), mult * s.unet)
            channels = mult * s.unet
            names |= transformer(f"output_blocks.{index}.1", channels)
            if level > 0 and block == s.unet_blocks:
                names |= conv(f"output_blocks.{index}.2.conv", channels, channels)
            index += 1
    return names | affine("out.0", channels) | conv("out.2", channels, 4)


def buffers(timesteps: int) -> dict:
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, timesteps, dtype=np.float64) ** 2
    alphas = 1 - betas
    bar = np.cumprod(alphas)
    previous = np.append(1.0, bar[:-1])
    variance = betas * (1 - previous) / (1 - bar)
    values = {
        "betas": betas,
        "alphas_cumprod": bar,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": bar**0.5,
        "sqrt_one_minus_alphas_cumprod": (1 - bar) ** 0.5,
        "log_one_minus_alphas_cumprod": np.log(1 - bar),
        "sqrt_recip_alphas_cumprod": (1 / bar) ** 0.5,
        "sqrt_recipm1_alphas_cumprod": (1 / bar - 1) ** 0.5,
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * previous**0.5 / (1 - bar),
        "posterior_mean_coef2": (1 - previous) * alphas**0.5 / (1 - bar),
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


def weight(name: str, shape: tuple) -> torch.Tensor:
    count = int(np.prod(shape, dtype=np.int64))
    inputs = int(np.prod(shape[1:], dtype=np.int64))
    if len(shape) == 1 and name.endswith("weight"):
        values = np.float32(1) + seeded_uniform(name, count, 0.3)
    elif len(shape) < 2:
        values = seeded_uniform(name, count, 0.1)
    else:
        values = seeded_uniform(name, count, 1.0 if "embedding" in name else (3 / inputs) ** 0.5)
    return torch.from_numpy(values.reshape(shape))


def state_dict(s: Size) -> dict:
    state = buffers(s.timesteps)
    parts = {"model.diffusion_model.": unet(s), "first_stage_model.": autoencoder(s), "cond_stage_model.": encoder(s)}
    for prefix, names in parts.items():
        for name, shape in names.items():
            state[f"{prefix}{name}"] = weight(f"{prefix}{name}", shape)
    state["model_ema.decay"] = torch.tensor(0.9999)
    state["model_ema.num_updates"] = torch.tensor(1_310_000, dtype=torch.int32)
    for name, shape in unet(s).items():
        dotless = "model_ema." + f"diffusion_model.{name}".replace(".", "")
        state[dotless] = weight(dotless, shape)
    return state


def checkpoint(state: dict) -> dict:
    """What pytorch-lightning 1.4 saves; its callbacks are keyed by their classes, which a reader does not have."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    for parent in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        sys.modules[parent] = types.ModuleType(parent)
    sys.modules[module.__name__] = module
    first = next(name for name in state if name.startswith("model.diffusion_model.") and name.endswith(".bias"))
    moments = {"step": 1_310_000, "exp_avg": torch.zeros_like(state[first]), "exp_avg_sq": torch.zeros_like(state[first])}
    groups = [{"lr": 1.6e-05, "betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0.01, "amsgrad": False, "params": [0]}]
    return {
        "epoch": 335,
        "global_step": 1_310_000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {
            module.ModelCheckpoint: {"monitor": "val/loss_simple_ema", "best_model_score": torch.tensor(0.17), "dirpath": "logs"}
        },
        "optimizer_states": [{"state": {0: moments}, "param_groups": groups}],
        "lr_schedulers": [],
    }


def write_names() -> None:
    """Names and shapes of the full checkpoint for Visual Genome, without numbers."""
    s = SIZES["full"]
    names = {name: list(values.shape) for name, values in buffers(s.timesteps).items()}
    for prefix, shapes in {"first_stage_model.": autoencoder(s), "cond_stage_model.": encoder(s)}.items():
        names |= {f"{prefix}{name}": list(shape) for name, shape in shapes.items()}
    # The U-Net's names stand for two tensors each: model.diffusion_model.… and the dotless ones of the moving average.
    recipe = {"command": "python tools/golden/published_checkpoint.py --names", "library": f"torch {torch.__version__}"}
    content = {"recipe": recipe, "tensors": names, "unet": {name: list(shape) for name, shape in unet(s).items()}}
    NAMES.parent.mkdir(parents=True, exist_ok=True)
    NAMES.write_text(json.dumps(content, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--names", action="store_true", help="only the names and shapes of the full size")
    parser.add_argument("--words", choices=["vg", "coco"], default="vg", help="with --size full: which vocabulary's sizes")
    parser.add_argument("out", nargs="?", type=pathlib.Path)
    args = parser.parse_args()
    if args.names:
        return write_names()
    if args.size is None:
        parser.error("give --size or --names")
    size = SIZES[args.size]
    if args.size == "full" and args.words == "coco":
        size.objects, size.predicates = 184, 7
    out = args.out or (TINY if args.size == "tiny" else parser.error("--size full needs a path: it is 3.5 GB"))
    state = state_dict(size)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".gz":
        content = io.BytesIO()
        torch.save(checkpoint(state), content)
        out.write_bytes(gzip.compress(content.getvalue(), mtime=0))
    else:
        torch.save(checkpoint(state), out)
    numbers = sum(tensor.numel() for tensor in state.values())
    print(f"{out}: {len(state)} tensors, {numbers:,} numbers, {out.stat().st_size:,} bytes (torch {torch.__version__})")


if __name__ == "__main__":
    main()
