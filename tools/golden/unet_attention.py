"""Shares of cross-attention for @sgdiff/diffusion-unet from diffusers' UNet2DConditionModel with seeded random weights.

    python tools/golden/unet_attention.py        (torch, diffusers, numpy)

Writes fixtures/attention.golden.json: for each transformer block, in the order they run, the softmax of its cross-attention
as diffusers computes it (Attention.get_attention_scores), as a mean over the heads; and the output of the network. Weights of
tokens are added as logarithms to the scores, as the bias that diffusers' attention takes.
"""

import json

import diffusers
import numpy as np
import torch

from unet import FOLDER, SMALL, build, in_our_order, seeded_input, short

CASES = {
    "padding attended, two blocks in a row": {
        "config": {**SMALL, "numResBlocks": 1, "channelMults": [1, 2], "attentionFactors": [2, 1], "transformerDepth": 2},
        "size": [2, 4, 6], "triples": 3, "t": [996, 3],
    },
    "padding masked": {
        "config": {**SMALL, "numResBlocks": 1, "attentionFactors": [4, 1], "maskPadding": True},
        "size": [2, 4, 8], "triples": 3, "t": [17, 803], "shares": [[1, 1, 0], [1, 1, 1]],
    },
    "tokens weighted": {
        "config": {**SMALL, "numResBlocks": 1, "attentionFactors": [4, 1]},
        "size": [2, 4, 8], "triples": 3, "t": [17, 803], "shares": [[0.5, 3, 0], [1, 1, 20]],
    },
}


class Looking:
    """diffusers' attention, keeping the shares. `bias` is added to the scores of each head, [B, M]."""

    def __init__(self, bias: torch.Tensor | None, seen: list):
        self.bias, self.seen = bias, seen

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        assert attention_mask is None
        batch = hidden_states.shape[0]
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        bias = None if self.bias is None else self.bias.repeat_interleave(attn.heads, 0)[:, None]
        shares = attn.get_attention_scores(query, key, bias)  # [B h, N, M]
        self.seen.append(shares.reshape(batch, attn.heads, *shares.shape[1:]).mean(1))
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(torch.bmm(shares, value))))


def look(case: dict) -> dict:
    config, (batch, height, width) = case["config"], case["size"]
    model, local_mlp = build(config)
    bias = None
    if "shares" in case:
        shares = torch.tensor(case["shares"], dtype=torch.float32)
        bias = torch.cat([shares, torch.ones(batch, 1)], 1).log()
    seen = []
    for name, module in model.named_modules():
        if name.endswith("attn2"):
            module.set_processor(Looking(bias, seen))
    with torch.no_grad():
        local = seeded_input("local", batch, case["triples"], config["localWidth"])
        graph = seeded_input("global", batch, config["globalWidth"])
        tokens = torch.cat([local_mlp(local), graph[:, None]], 1)
        x = seeded_input("x", *case["size"], config["inChannels"])
        y = model(x, torch.tensor(case["t"]), encoder_hidden_states=tokens).sample
    maps = []
    for shares in seen:
        factor = round((height * width / shares.shape[1]) ** 0.5)
        maps.append({"factor": factor, "shares": short(shares)})
    spread = max(float(shares.std()) for shares in seen)
    print(f"{len(maps)} maps, largest standard deviation {spread:.3f}")
    return {**case, "maps": maps, "output": short(in_our_order(y))}


if __name__ == "__main__":
    golden = {
        "recipe": {
            "command": "python tools/golden/unet_attention.py",
            "libraries": {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__},
            "weights": "tools/golden/seeded.py, by our paths",
            "inputs": "seeded_uniform('x' | 'local' | 'global', bound sqrt(3))",
        },
        "cases": {name: look(case) for name, case in CASES.items()},
    }
    (FOLDER / "attention.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
