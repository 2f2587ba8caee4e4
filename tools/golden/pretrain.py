"""Golden values for packages/masked-contrastive-pretrain: the contrastive loss and the reconstruction block.

Run from the repository root:
    python tools/golden/pretrain.py
Needs torch. Weights are stored in this project's layout: linear [in, out].
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

SEED = 20221112
OUT = pathlib.Path("packages/masked-contrastive-pretrain/fixtures")


def pack(x: torch.Tensor) -> dict:
    return {"shape": list(x.shape), "data": [float(f"{v:.9g}") for v in x.detach().reshape(-1).tolist()]}


def header(what: str) -> dict:
    return {"what": what, "library": f"torch {torch.__version__}", "seed": SEED, "command": "python tools/golden/pretrain.py"}


def write(name: str, value: dict) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def contrastive_golden() -> None:
    torch.manual_seed(SEED)
    graphs = torch.randn(5, 4).double().requires_grad_()
    images = torch.randn(5, 4).double().requires_grad_()
    hard = torch.randn(5, 4).double().requires_grad_()
    scale = torch.tensor(math.log(1 / 0.07), dtype=torch.float64, requires_grad=True)
    target = torch.arange(5)

    def loss_of(with_hard: bool):
        g, i, h = (F.normalize(x, dim=1) for x in (graphs, images, hard))
        candidates = torch.cat([g, h]) if with_hard else g
        s = scale.exp()
        return 0.5 * (F.cross_entropy(s * i @ candidates.T, target) + F.cross_entropy(s * g @ i.T, target))

    plain, harder = loss_of(False), loss_of(True)
    grads = torch.autograd.grad(plain, [graphs, images, scale])
    hard_grads = torch.autograd.grad(harder, [graphs, images, scale, hard])
    names = ["graphs", "images", "logitScale", "hardGraphs"]
    write("contrastive.golden.json", {
        **header("symmetric contrastive loss, float64; hard graphs are extra columns of the image-to-graph direction"),
        "graphs": pack(graphs), "images": pack(images), "hardGraphs": pack(hard), "logitScale": scale.item(),
        "loss": plain.item(), "grads": {n: pack(g) for n, g in zip(names, grads)},
        "hardLoss": harder.item(), "hardGrads": {n: pack(g) for n, g in zip(names, hard_grads)},
    })


def block_golden() -> None:
    torch.manual_seed(SEED + 1)
    width, context_width, heads, inner, hidden = 6, 9, 2, 8, 10
    double = {"dtype": torch.float64}

    class Attention(nn.Module):
        def __init__(self, context: int):
            super().__init__()
            self.q = nn.Linear(width, inner, bias=False, **double)
            self.k = nn.Linear(context, inner, bias=False, **double)
            self.v = nn.Linear(context, inner, bias=False, **double)
            self.out = nn.Linear(inner, width, **double)

        def forward(self, x, context, mask=None):
            def split(t):
                return t.unflatten(2, (heads, inner // heads)).transpose(1, 2)
            allowed = None if mask is None else mask[:, None, None, :].bool()
            y = F.scaled_dot_product_attention(split(self.q(x)), split(self.k(context)), split(self.v(context)), attn_mask=allowed)
            return self.out(y.transpose(1, 2).flatten(2))

    norms = {name: nn.LayerNorm(width, **double) for name in ("selfNorm", "crossNorm", "feedNorm")}
    self_attention, cross_attention = Attention(width), Attention(context_width)
    gate, down = nn.Linear(width, 2 * hidden, **double), nn.Linear(hidden, width, **double)
    modules = [*norms.values(), self_attention, cross_attention, gate, down]
    with torch.no_grad():
        for m in modules:
            for p in m.parameters():
                p.copy_((p + 0.3 * torch.randn(p.shape)).float().double())

    x = torch.randn(2, 5, width).double().requires_grad_()
    context = torch.randn(2, 3, context_width).double().requires_grad_()
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    a = norms["selfNorm"](x)
    h = x + self_attention(a, a)
    h = h + cross_attention(norms["crossNorm"](h), context, mask)
    value, gating = gate(norms["feedNorm"](h)).chunk(2, dim=-1)
    y = h + down(value * F.gelu(gating))
    probe = torch.randn(y.shape).double()
    grad_x, grad_context = torch.autograd.grad((y * probe).sum(), [x, context])

    weights = {}
    def add(path, layer):
        if isinstance(layer, nn.LayerNorm):
            weights[f"{path}.weight"] = pack(layer.weight)
            weights[f"{path}.bias"] = pack(layer.bias)
            return
        weights[f"{path}.weight"] = pack(layer.weight.T)
        if layer.bias is not None:
            weights[f"{path}.bias"] = pack(layer.bias)
    for name, norm in norms.items():
        add(name, norm)
    for name, attention in (("selfAttention", self_attention), ("crossAttention", cross_attention)):
        for part in ("q", "k", "v", "out"):
            add(f"{name}.{part}", getattr(attention, part))
    add("feed.gate.proj", gate)
    add("feed.down", down)
    write("transformer-block.golden.json", {
        **header("the reconstruction block: self-attention, masked cross-attention, GEGLU with exact GELU; float64"),
        "sizes": {"width": width, "contextWidth": context_width, "innerWidth": inner, "hiddenWidth": hidden},
        "heads": heads, "weights": weights,
        "x": pack(x), "context": pack(context), "mask": pack(mask),
        "y": pack(y), "probe": pack(probe), "gradX": pack(grad_x), "gradContext": pack(grad_context),
    })


if __name__ == "__main__":
    contrastive_golden()
    block_golden()
