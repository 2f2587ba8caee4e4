"""The U-Net of @sgdiff/diffusion-unet in plain PyTorch, from the same config."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, width: int, context: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(context, width, bias=False)
        self.v = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (self.q(x), self.k(context), self.v(context))
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, context: int, heads: int, mult: int, self_attention: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(width) if self_attention else None
        self.attn1 = Attention(width, width, heads) if self_attention else None
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, context, heads)
        self.norm3 = nn.LayerNorm(width)
        self.proj = nn.Linear(width, 2 * mult * width)
        self.out = nn.Linear(mult * width, width)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        if self.attn1:
            normed = self.norm1(x)
            x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context, mask)
        value, gate = self.proj(self.norm3(x)).chunk(2, -1)
        return x + self.out(value * F.gelu(gate))


class SpatialTransformer(nn.Module):
    def __init__(self, channels: int, config: dict, self_attention: bool):
        super().__init__()
        heads = channels // config["headChannels"]
        mult = config.get("feedForwardMult", 4)
        self.norm = nn.GroupNorm(config["groups"], channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, config["contextWidth"], heads, mult, self_attention)
            for _ in range(config["transformerDepth"])
        )
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        _, _, height, width = x.shape
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)  # [B, N, C]
        for block in self.blocks:
            h = block(h, context, mask)
        return x + self.proj_out(h.transpose(1, 2).unflatten(2, (height, width)))


class Block(nn.Module):
    """One entry on the way down or up: what it holds is run in this order."""

    def __init__(self, conv=None, res=None, transformer=None, up=None):
        super().__init__()
        self.conv, self.res, self.transformer, self.up = conv, res, transformer, up

    def forward(self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        if self.conv:
            x = self.conv(x)
        if self.res:
            x = self.res(x, time)
        if self.transformer:
            x = self.transformer(x, context, mask)
        if self.up:
            x = self.up(F.interpolate(x, scale_factor=2, mode="nearest"))
        return x


class Unet(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        base, groups = config["modelChannels"], config["groups"]
        time = 4 * base
        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))

        context, graph = config["contextWidth"], config["globalWidth"]
        self.local = nn.Linear(config["localWidth"], context)
        self.graph = nn.Identity() if graph == context else nn.Linear(graph, context)
        self.graph_time = nn.Linear(graph, time) if config["globalInTime"] else None
        self.norm = nn.LayerNorm(context) if config.get("contextNorm") else nn.Identity()
        self.null_token = nn.Parameter(torch.randn(context)) if config.get("nullToken") else None

        def transformer(channels: int, factor: int, always: bool = False) -> SpatialTransformer | None:
            if not always and factor not in config["attentionFactors"]:
                return None
            return SpatialTransformer(channels, config, factor not in config.get("crossOnlyFactors", []))

        mults, depth = config["channelMults"], config["numResBlocks"]
        channels = base
        skips = [base]
        self.input = nn.ModuleList([Block(conv=nn.Conv2d(config["inChannels"], base, 3, padding=1))])
        for level, mult in enumerate(mults):
            for _ in range(depth):
                res = ResBlock(channels, base * mult, time, groups)
                channels = base * mult
                self.input.append(Block(res=res, transformer=transformer(channels, 2**level)))
                skips.append(channels)
            if level < len(mults) - 1:
                self.input.append(Block(conv=nn.Conv2d(channels, channels, 3, stride=2, padding=1)))
                skips.append(channels)

        self.middle1 = Block(
            res=ResBlock(channels, channels, time, groups),
            transformer=transformer(channels, 2 ** (len(mults) - 1), always=True),
        )
        self.middle2 = ResBlock(channels, channels, time, groups)

        self.output = nn.ModuleList()
        for level in reversed(range(len(mults))):
            for i in range(depth + 1):
                res = ResBlock(channels + skips.pop(), base * mults[level], time, groups)
                channels = base * mults[level]
                up = nn.Conv2d(channels, channels, 3, padding=1) if level > 0 and i == depth else None
                self.output.append(Block(res=res, transformer=transformer(channels, 2**level), up=up))
        self.out_norm = nn.GroupNorm(groups, base)
        self.out_conv = nn.Conv2d(base, config["outChannels"], 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, local: Tensor, mask: Tensor, graph: Tensor, keep: Tensor) -> Tensor:
        """x [B, C, h, w], t [B], local [B, T, L], mask [B, T] (bool), graph [B, G], keep [B]: 0 drops the condition."""
        graph = graph * keep[:, None]
        tokens = self.norm(torch.cat([self.local(local), self.graph(graph)[:, None]], 1))
        if self.null_token is not None:
            on = keep[:, None, None]
            tokens = tokens * on + (1 - on) * self.null_token
        mask = F.pad(mask, (0, 1), value=True)[:, None, None] if self.config["maskPadding"] else None
        time = self.time_embed(timestep_embedding(t, self.config["modelChannels"]))
        if self.graph_time:
            time = time + self.graph_time(graph)

        skips = []
        for block in self.input:
            x = block(x, time, tokens, mask)
            skips.append(x)
        x = self.middle2(self.middle1(x, time, tokens, mask), time)
        for block in self.output:
            x = block(torch.cat([x, skips.pop()], 1), time, tokens, mask)
        return self.out_conv(F.silu(self.out_norm(x)))


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    angles = t[:, None] * torch.exp(-math.log(10_000) / (width // 2) * torch.arange(width // 2))
    return torch.cat([angles.cos(), angles.sin()], 1)
