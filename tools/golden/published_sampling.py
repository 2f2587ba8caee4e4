"""Sampling as published: whole runs of DDIM (eta 1) and PLMS with the schedulers of diffusers, and a run through a network.

Run from the repository root:  python tools/golden/published_sampling.py      (torch, diffusers, numpy)

Writes
- packages/samplers/fixtures/published.golden.json: runs over a model in closed form. States are those of diffusers'
  schedulers with a schedule in float64; `float32` is the end of the same run with the scheduler as it comes.
- packages/pipeline/fixtures/published.golden.json: graph to latents. The graph encoder (of encoder.py), diffusers'
  UNet2DConditionModel (of unet.py) and its DDIMScheduler, in float64, with weights and noise that the test makes from the same names and
  seeds.

Where diffusers is not the published code: for a step count that does not divide 1000 it takes exactly that many steps
(and steps to `t - 1000 // steps`), the published code fills the range with more. For one that does, DDIM with
`leading`, `steps_offset=1` and `set_alpha_to_one=False` is the published sampler, and PNDM with `skip_prk_steps=True`
the published PLMS, its first step included.
"""

import json
import math
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, PNDMScheduler

from encoder import Encoder, seed_weights
from seeded import seeded_uniform
from unet import build

T = 1000
COMMON = dict(
    num_train_timesteps=T, beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear",
    steps_offset=1, timestep_spacing="leading",
)
SCHEDULE = {"kind": "sqrt-linear", "timesteps": T, "betaStart": 0.0015, "betaEnd": 0.0195}
PACKAGES = Path(__file__).resolve().parents[2] / "packages"
HEADER = {
    "command": "python tools/golden/published_sampling.py",
    "libraries": {"diffusers": diffusers.__version__, "torch": torch.__version__, "numpy": np.__version__},
    "seed": "numbers are made from names (tools/golden/seeded.py) and, for the run through a network, from the items' seeds",
}


def numbers(values, digits=9):
    return [float(f"{v:.{digits}g}") for v in np.asarray(values, dtype=np.float64).ravel()]


def write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**HEADER, **data}, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


def in_float64(scheduler, end_at_one=False):
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, T, dtype=np.float64) ** 2
    scheduler.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas))
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64) if end_at_one else scheduler.alphas_cumprod[0]
    return scheduler


# --- over a model in closed form ---------------------------------------------------------------------------------

SHAPE = (1, 2, 2, 4)  # the order of the axes does not matter here


def seeded(name, dtype):
    """Unit variance; exact in float32."""
    values = seeded_uniform(name, math.prod(SHAPE), math.sqrt(3))
    return torch.from_numpy(values.astype(np.float64)).reshape(SHAPE).to(dtype)


def closed_form(x, t):
    a, b, c = 1 - math.exp(-t / 250), 0.02 * math.cos(t / 100), 0.01 * math.sin(t / 50)
    return a * x + b * x / (1 + x * x) + c


def run(scheduler, steps, dtype, **options):
    scheduler.set_timesteps(steps)
    x, states = seeded("xT", dtype), []
    timesteps = [int(t) for t in scheduler.timesteps]
    for i, t in enumerate(timesteps):
        noise = {"variance_noise": seeded(f"noise.{i}", dtype)} if options else {}
        x = scheduler.step(closed_form(x, t), t, x, **options, **noise).prev_sample
        states.append(x)
    return timesteps, states


def closed_form_runs():
    def made(sampler, options, steps, end_at_one=False):
        def scheduler():
            if sampler == "ddim":
                return DDIMScheduler(**COMMON, clip_sample=False, set_alpha_to_one=end_at_one)
            return PNDMScheduler(**COMMON, skip_prk_steps=True, set_alpha_to_one=end_at_one)

        timesteps, states = run(in_float64(scheduler(), end_at_one), steps, torch.float64, **options)
        _, plain = run(scheduler(), steps, torch.float32, **options)
        if sampler == "plms":
            states = states[1:]  # their first two calls are one step of ours
        return {
            "sampler": sampler, "options": options, "steps": steps, "endsAtZero": end_at_one,
            "calledAt": timesteps, "states": [numbers(x) for x in states], "float32": numbers(plain[-1]),
        }

    write(PACKAGES / "samplers" / "fixtures" / "published.golden.json", {
        "shape": SHAPE,
        "schedule": SCHEDULE,
        "runs": [
            made("ddim", {"eta": 1.0}, 200),
            made("plms", {}, 50),
            made("plms", {}, 20, end_at_one=True),
        ],
    })


# --- through a network -------------------------------------------------------------------------------------------

LATENT = (8, 8, 4)
STEPS = 10
SEEDS = [3, 2**40 + 5]
MAX_TRIPLES = 15
ENCODER = {"objectCount": 5, "predicateCount": 3, "width": 4, "layers": 2, "hiddenWidth": 6, "globalWidth": 6,
           "maxTriples": MAX_TRIPLES, "norm": "none", "residual": False, "overflow": "first"}
UNET = {"inChannels": 4, "outChannels": 4, "modelChannels": 8, "channelMults": [1, 2], "numResBlocks": 1,
        "attentionFactors": [2, 1], "headChannels": 4, "transformerDepth": 1, "contextWidth": 6, "localWidth": 12,
        "globalWidth": 6, "globalInTime": False, "maskPadding": False, "groups": 4}
OBJECTS = ["sky", "grass", "sheep", "tree"]  # words 1 to 4, after __image__
PREDICATES = ["above", "behind"]  # words 1 and 2, after __in_image__
# The second has 11 relations and 7 objects: 18 triples, of which 3 get no token.
GRAPHS = [
    {"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]},
    {
        "objects": ["sky", "grass", "sheep", "tree", "tree", "sheep", "grass"],
        "relationships": [[0, "above", 1], [2, "above", 1], [3, "behind", 2], [4, "behind", 3], [5, "above", 6],
                          [0, "above", 6], [0, "above", 3], [5, "behind", 2], [4, "above", 6], [2, "above", 6], [0, "above", 1]],
    },
]


def philox(counter, key):
    """Philox 4x32-10 of Salmon et al. (SC 2011)."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k0, q & 0xFFFFFFFF, (p >> 32) ^ d ^ k1, p & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def normal(seed, step, count):
    """What perItemNoise draws for one item: Philox words, two by two through Box-Muller, rounded to float32."""
    out = []
    for block in range((count + 3) // 4):
        words = philox((block, step & 0xFFFFFFFF, 0, 0x73616D70), (seed & 0xFFFFFFFF, seed >> 32))
        for a, b in (words[:2], words[2:]):
            radius, angle = math.sqrt(-2 * math.log((a + 0.5) / 2**32)), 2 * math.pi * (b + 0.5) / 2**32
            out += [radius * math.cos(angle), radius * math.sin(angle)]
    return np.array(out[:count], np.float32).astype(np.float64)


def noise(step):
    items = [normal(seed, step, math.prod(LATENT)).reshape(LATENT) for seed in SEEDS]
    return torch.from_numpy(np.stack(items)).permute(0, 3, 1, 2)  # NHWC -> NCHW


def with_words(graph):
    """The graph as the encoder reads it: words as indices, __image__ last, one __in_image__ triple for each object."""
    image = len(graph["objects"])
    relations = [[s, 1 + PREDICATES.index(p), o] for s, p, o in graph["relationships"]]
    return {
        "objects": [1 + OBJECTS.index(word) for word in graph["objects"]] + [0],
        "triples": [*relations, *([i, 0, image] for i in range(image))],
    }


@torch.no_grad()
def network_run():
    encoder = Encoder(ENCODER)
    seed_weights(encoder)
    model, local_mlp = build(UNET)
    model, local_mlp = model.double(), local_mlp.double()
    local, graph = encoder([with_words(graph) for graph in GRAPHS])
    tokens = torch.cat([local_mlp(local), graph[:, None]], 1)  # [2, 16, 6]: triples, padding and all, then the graph
    scheduler = in_float64(DDIMScheduler(**COMMON, clip_sample=False, set_alpha_to_one=False))
    scheduler.set_timesteps(STEPS)
    x, states = noise(-1), []
    for i, t in enumerate(scheduler.timesteps):
        eps = model(x, t, encoder_hidden_states=tokens).sample
        x = scheduler.step(eps, t, x, eta=1.0, variance_noise=noise(i)).prev_sample
        states.append(numbers(x.permute(0, 2, 3, 1), 7))
    write(PACKAGES / "pipeline" / "fixtures" / "published.golden.json", {
        "schedule": SCHEDULE, "encoder": ENCODER, "unet": UNET, "objects": OBJECTS, "predicates": PREDICATES,
        "graphs": GRAPHS, "seeds": SEEDS, "steps": STEPS, "latentShape": LATENT, "states": states,
    })


if __name__ == "__main__":
    closed_form_runs()
    network_run()
