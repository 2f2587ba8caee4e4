"""Whole steps of the U-Net. Each function prepares what it needs and gives a function that runs once."""

import torch
from torch import Tensor

from unet import Unet


def make_unet(config: dict, weights: int) -> Unet:
    model = Unet(config).to(memory_format=torch.channels_last)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == weights, f"the U-Net of PyTorch has {count} weights, ours {weights}"
    return model


def make_batch(config: dict, side: int, triples: int, batch: int) -> list[Tensor]:
    shape = (batch, config["inChannels"], side, side)
    counts = torch.tensor([1 + i % triples for i in range(batch)])
    return [
        torch.randn(shape).to(memory_format=torch.channels_last),
        torch.randint(0, 1000, (batch,)).float(),
        torch.randn(batch, triples, config["localWidth"]),
        torch.arange(triples)[None] < counts[:, None],
        torch.randn(batch, config["globalWidth"]),
    ]


def make_update(model: Unet, learningRate: float, weightDecay: float, clipNorm: float, emaDecay: float):
    """Clipping, AdamW in one kernel, and a moving average."""
    parameters = list(model.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    adam = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": weightDecay}, {"params": vectors, "weight_decay": 0.0}],
        lr=learningRate,
        fused=True,
    )
    averages = [p.detach().clone() for p in parameters]

    def update():
        torch.nn.utils.clip_grad_norm_(parameters, clipNorm)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - emaDecay)

    return update


def adamw_ema(config: dict, weights: int, side: int, triples: int, **optimiser):
    model = make_unet(config, weights)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return make_update(model, **optimiser)


def train_step(config: dict, weights: int, side: int, triples: int, batch: int, **optimiser):
    model = make_unet(config, weights)
    update = make_update(model, **optimiser)
    latents, t, *condition = make_batch(config, side, triples, batch)
    noise = torch.randn_like(latents)
    alpha = torch.rand(batch)[:, None, None, None]
    keep = torch.ones(batch)

    def run() -> float:
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        loss = (model(noisy, t, *condition, keep) - target).square().mean()
        model.zero_grad(set_to_none=True)
        loss.backward()
        update()
        return loss.item()

    return run


def sample_step(config: dict, weights: int, side: int, triples: int, batch: int, guidanceScale: float, **_optimiser):
    model = make_unet(config, weights)
    x, t, *condition = make_batch(config, side, triples, batch)
    keep = (torch.arange(batch) < batch // 2).float()
    x = x[: batch // 2]

    def run():
        with torch.no_grad():
            conditional, unconditional = model(torch.cat([x, x]), t, *condition, keep).chunk(2)
            return x - unconditional - guidanceScale * (conditional - unconditional)

    return run
