"""Golden values for @sgdiff/nn, from PyTorch in float64, AdamW in float32.

    python tools/golden/nn.py

Needs torch, numpy and safetensors. Writes packages/nn/fixtures/*.golden.json.
Weights are given in this project's layouts: linear [in, out], convolution HWIO, images NHWC.
"""

import base64
import json
from pathlib import Path

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
from safetensors.numpy import save

SEED = 20240611
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "nn" / "fixtures"
rng = np.random.default_rng(SEED)


def normal(*shape, scale=1.0):
    """Inputs are rounded to float32, so that both sides start from the same numbers."""
    values = (rng.standard_normal(shape) * scale).astype(np.float32).astype(np.float64)
    return torch.tensor(values, requires_grad=True)


def packed(tensor):
    array = tensor.detach().numpy()
    return {"shape": list(array.shape), "data": [float(f"{v:.9g}") for v in array.ravel()]}


def write(name, library, version, body):
    header = {"library": library, "version": version, "seed": SEED, "command": "python tools/golden/nn.py"}
    (FOLDER / f"{name}.golden.json").write_text(json.dumps({**header, **body}, separators=(",", ":")) + "\n")


def case(f, **inputs):
    """Value of f, and gradients of sum(f * projection) for every input that has one."""
    y = f(**inputs)
    projection = torch.tensor(rng.standard_normal(y.shape).astype(np.float32).astype(np.float64))
    (y * projection).sum().backward()
    return {
        "inputs": {name: packed(x) for name, x in inputs.items()},
        "value": packed(y),
        "projection": packed(projection),
        "gradients": {name: packed(x.grad) for name, x in inputs.items() if x.grad is not None},
    }


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv(x, weight, bias=None, stride=1, pad=(0, 0, 0, 0)):
    """pad is left, right, top, bottom, as in torch.nn.functional.pad."""
    return nhwc(F.conv2d(F.pad(nchw(x), pad), weight.permute(3, 2, 0, 1), bias, stride))


def channels_last(f, x):
    """f on [B, C, S] for x [B, S, C]."""
    return f(x.permute(0, 2, 1)).permute(0, 2, 1)


def group_norm(x, weight, bias, eps=1e-5):
    return channels_last(lambda t: F.group_norm(t, 3, weight, bias, eps), x)


def heads_first(x, heads):
    b, n, d = x.shape
    return x.reshape(b, n, heads, d // heads).permute(0, 2, 1, 3)


def attend(q, k, v, heads, mask=None):
    allowed = None if mask is None else mask.bool()[:, None, None, :]
    y = F.scaled_dot_product_attention(heads_first(q, heads), heads_first(k, heads), heads_first(v, heads), allowed)
    return y.permute(0, 2, 1, 3).reshape(q.shape)


def attention_module(x, context, q, k, v, out, outBias):
    return attend(x @ q, context @ k, context @ v, 3) @ out + outBias


def geglu(x, weight, bias):
    value, gate = (x @ weight + bias).chunk(2, -1)
    return value * F.gelu(gate)


def layers():
    x = lambda: normal(2, 6, 5, 3)
    w = lambda: normal(3, 3, 3, 4, scale=0.3)
    mask = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    return {
        "linear": case(lambda x, weight, bias: x @ weight + bias, x=normal(2, 3, 4), weight=normal(4, 5), bias=normal(5)),
        "conv2d": case(lambda **a: conv(**a, pad=(1, 1, 1, 1)), x=x(), weight=w(), bias=normal(4)),
        "conv2dStride2": case(lambda **a: conv(**a, stride=2, pad=(1, 1, 1, 1)), x=x(), weight=w(), bias=normal(4)),
        "conv2dStride2RightBottom": case(lambda **a: conv(**a, stride=2, pad=(0, 1, 0, 1)), x=x(), weight=w(), bias=normal(4)),
        "conv2dValid": case(lambda **a: conv(**a), x=x(), weight=w()),
        "conv2dOneByOne": case(lambda **a: conv(**a), x=x(), weight=normal(1, 1, 3, 4), bias=normal(4)),
        "groupNorm": case(group_norm, x=normal(2, 7, 6, scale=3), weight=normal(6), bias=normal(6)),
        "groupNormSilu": case(
            lambda **a: F.silu(group_norm(**a, eps=1e-6)), x=normal(2, 7, 6, scale=3), weight=normal(6), bias=normal(6)
        ),
        "layerNorm": case(
            lambda x, weight, bias: F.layer_norm(x, (6,), weight, bias, 1e-5),
            x=normal(2, 4, 6, scale=3), weight=normal(6), bias=normal(6),
        ),
        "silu": case(lambda x: F.silu(x), x=normal(40, scale=4)),
        "gelu": case(lambda x: F.gelu(x), x=normal(80, scale=3)),
        "geglu": case(geglu, x=normal(2, 3, 4), weight=normal(4, 10), bias=normal(10)),
        "scaledDotProductAttention": case(
            lambda q, k, v: attend(q, k, v, 2), q=normal(2, 5, 6), k=normal(2, 4, 6), v=normal(2, 4, 6)
        ),
        "scaledDotProductAttentionMasked": case(
            lambda q, k, v, mask: attend(q, k, v, 2, mask), q=normal(2, 5, 6), k=normal(2, 4, 6), v=normal(2, 4, 6), mask=mask
        ),
        "attention": case(
            attention_module, x=normal(2, 5, 4), context=normal(2, 3, 7), q=normal(4, 6), k=normal(7, 6), v=normal(7, 6),
            out=normal(6, 5), outBias=normal(5),
        ),
    }


def adamw():
    """Ten steps of torch.optim.AdamW with a decaying and a free weight, a changing rate, and clipped gradients."""
    torch.manual_seed(SEED)
    kernel = torch.nn.Parameter(torch.tensor(rng.standard_normal((2, 3)).astype(np.float32)))
    bias = torch.nn.Parameter(torch.tensor(rng.standard_normal(3).astype(np.float32)))
    optimiser = torch.optim.AdamW(
        [{"params": [kernel], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}], lr=0.05, betas=(0.8, 0.95), eps=1e-6
    )
    start = {"kernel": packed(kernel), "bias": packed(bias)}
    steps = []
    for i in range(10):
        kernel.grad = torch.tensor(rng.standard_normal((2, 3)).astype(np.float32) * 3)
        bias.grad = torch.tensor(rng.standard_normal(3).astype(np.float32) * 3)
        grads = {"kernel": packed(kernel.grad), "bias": packed(bias.grad)}
        norm = torch.nn.utils.clip_grad_norm_([kernel, bias], 5.0)
        rate = 0.05 / (1 + i)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        steps.append({"grads": grads, "norm": float(norm), "learningRate": rate, "kernel": packed(kernel), "bias": packed(bias)})
    return {"start": start, "steps": steps}


def files():
    arrays = {
        "a.weight": rng.standard_normal((2, 3)).astype(np.float32),
        "half": rng.standard_normal(5).astype(np.float16),
        "ids": np.array([-1, 0, 2147483647], np.int32),
        "scalar": np.array(1.5, np.float32),
    }
    data = save(arrays, metadata={"format": "sgdiff", "note": "Grüße"})
    values = {name: {"shape": list(a.shape), "data": [float(v) for v in a.ravel()]} for name, a in arrays.items()}
    return {"base64": base64.b64encode(data).decode(), "values": values}


def halves():
    single = np.concatenate([
        rng.standard_normal(40).astype(np.float32) * np.float32(10.0) ** rng.integers(-9, 6, 40).astype(np.float32),
        np.array([0.0, -0.0, 1, 65504, 65519.99, 65520, 1e9, -1e9, 6.1e-5, 6.0975e-5, 5.96e-8, 2.98e-8, 2.9802326e-8, 1e-9], np.float32),
        np.array([1 + 2**-11, 1 + 3 * 2**-11, 2049, 2051], np.float32),  # ties
    ])
    with np.errstate(over="ignore"):
        bits = single.astype(np.float16).view(np.uint16)
    return {"single": [float(f"{v:.9g}") for v in single], "bits": [int(b) for b in bits]}


def timesteps():
    t = torch.tensor([0.0, 1.0, 37.5, 999.0], dtype=torch.float64)
    width = 10
    frequencies = torch.exp(-np.log(10000.0) * torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = t[:, None] * frequencies[None]
    return {"t": t.tolist(), "width": width, "value": packed(torch.cat([angles.cos(), angles.sin()], -1))}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write("layers", "torch", torch.__version__, {"cases": layers()})
    write("timestep-embedding", "torch", torch.__version__, timesteps())
    write("adamw", "torch", torch.__version__, adamw())
    write("safetensors", "safetensors", safetensors.__version__, files())
    write("float16", "numpy", np.__version__, halves())
