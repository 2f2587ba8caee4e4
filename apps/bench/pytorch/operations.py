"""The operations of the benchmark. Each function prepares its inputs and gives a function that runs once."""

import torch
from torch import Tensor
from torch.nn import functional as F


def with_gradients(apply, inputs: list[Tensor], dy: Tensor):
    for tensor in inputs:
        tensor.requires_grad_()
    return lambda: torch.autograd.grad(apply(*inputs), inputs, dy)


def images(batch: int, channels: int, side: int) -> Tensor:
    return torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)


def conv2d(batch: int, side: int, channels: int, stride: int, gradients: bool):
    x = images(batch, channels, side)
    weight = torch.randn(channels, channels, 3, 3).to(memory_format=torch.channels_last)

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=stride, padding=1)

    if gradients:
        return with_gradients(apply, [x, weight], images(batch, channels, -(-side // stride)))

    def forward():
        with torch.no_grad():
            apply(x, weight)

    return forward


def linear(rows: int, inWidth: int, outWidth: int):
    inputs = [torch.randn(rows, inWidth), torch.randn(outWidth, inWidth), torch.randn(outWidth)]
    return with_gradients(F.linear, inputs, torch.randn(rows, outWidth))


def group_norm_silu(batch: int, side: int, channels: int, groups: int):
    inputs = [images(batch, channels, side), torch.randn(channels), torch.randn(channels)]
    return with_gradients(
        lambda x, weight, bias: F.silu(F.group_norm(x, groups, weight, bias)), inputs, images(batch, channels, side)
    )


def layer_norm(rows: int, width: int):
    inputs = [torch.randn(rows, width), torch.randn(width), torch.randn(width)]
    return with_gradients(
        lambda x, weight, bias: F.layer_norm(x, (width,), weight, bias), inputs, torch.randn(rows, width)
    )


def attention(batch: int, queries: int, tokens: int, width: int, heads: int, masked: bool):
    def split(x: Tensor) -> Tensor:
        return x.view(batch, -1, heads, width // heads).transpose(1, 2)

    mask = None
    if masked:
        counts = torch.tensor([tokens - i % tokens for i in range(batch)])
        mask = (torch.arange(tokens)[None] < counts[:, None])[:, None, None]  # [B, 1, 1, M]

    def apply(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        return y.transpose(1, 2).reshape(batch, queries, width)

    inputs = [torch.randn(batch, queries, width), torch.randn(batch, tokens, width), torch.randn(batch, tokens, width)]
    return with_gradients(apply, inputs, torch.randn(batch, queries, width))


def geglu(rows: int, inWidth: int, hiddenWidth: int):
    def apply(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        value, gate = F.linear(x, weight, bias).chunk(2, -1)
        return value * F.gelu(gate)

    inputs = [torch.randn(rows, inWidth), torch.randn(2 * hiddenWidth, inWidth), torch.randn(2 * hiddenWidth)]
    return with_gradients(apply, inputs, torch.randn(rows, hiddenWidth))


def upsample(batch: int, side: int, channels: int):
    return with_gradients(
        lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        [images(batch, channels, side)],
        images(batch, channels, 2 * side),
    )


def spread_ids(length: int, count: int) -> Tensor:
    return torch.arange(length) * 7919 % count


def gather_rows(rows: int, count: int, width: int):
    ids = spread_ids(count, rows)
    return with_gradients(lambda x: x.index_select(0, ids), [torch.randn(rows, width)], torch.randn(count, width))


def segment_mean(rows: int, count: int, width: int):
    ids = spread_ids(rows, count)

    def apply(x: Tensor) -> Tensor:
        sizes = torch.bincount(ids, minlength=count).clamp(min=1)
        return torch.zeros(count, width).index_add(0, ids, x) / sizes[:, None]

    return with_gradients(apply, [torch.randn(rows, width)], torch.randn(count, width))
