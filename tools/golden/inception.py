"""Golden values for packages/metrics/src/inception: the Inception network of torch-fidelity with seeded weights.

Run from the repository root:
    python tools/golden/inception.py
Needs numpy, torch, torch-fidelity. Weights and inputs are those of tools/golden/seeded.py, so only outputs are written.
Features and logits are computed in float64 as well, to say how far float32 itself is from them.
"""
import json
import pathlib
import re
import tempfile

import numpy as np
import torch
import torch_fidelity
from seeded import seeded_uniform, seeded_weight, to_torch_layout
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

OUT = pathlib.Path("packages/metrics/fixtures/inception.golden.json")
FEATURES = ["64", "192", "768", "2048", "logits_unbiased", "logits"]
# Name of the input and its shape (NHWC). The second picture's pixels are 8 x 8 large, so that the two look different.
IMAGES = {"fine": (1, 24, 40, 3), "coarse": (1, 3, 5, 3)}
# Sides that neither divide 299 nor each other, and one that shrinks.
RESIZES = {"grow": (2, 32, 45, 3), "shrink": (1, 331, 512, 3), "one pixel": (1, 1, 1, 3), "as it is": (1, 299, 299, 3)}
BLOCKS = {
    "mixed5b": (2, 5, 4, 192),  # A
    "mixed6a": (1, 8, 7, 288),  # B, with an even side
    "mixed6b": (1, 4, 9, 768),  # C, kernels of 7 over the edge on both sides
    "mixed7a": (1, 5, 7, 768),  # D
    "mixed7b": (1, 3, 4, 1280),  # E with the average
    "mixed7c": (1, 4, 3, 2048),  # E with the maximum
}
EVERY = 29  # of a block's output this much is kept: it shares no factor with the channels, so all of them are met
STEM = {"1a": "1a_3x3", "2a": "2a_3x3", "2b": "2b_3x3", "3b": "3b_1x1", "4a": "4a_3x3"}
PARTS = {
    "conv.weight": "conv.weight",
    "bn.weight": "norm.weight",
    "bn.bias": "norm.bias",
    "bn.running_mean": "norm.mean",
    "bn.running_var": "norm.variance",
}


def our_path(name: str) -> str:
    """Path in our tree of a tensor of theirs."""
    if name.startswith("fc."):
        return name.replace("fc", "logits")
    head, part = re.fullmatch(r"(.*)\.((?:conv|bn)\.\w+)", name).groups()
    if head.startswith("Conv2d_"):
        return f"stem.conv{head[7:9]}.{PARTS[part]}"
    block, branch, number, end = re.fullmatch(r"Mixed_(\w+)\.(branch(?:\dx\d(?:x3|dbl)?|_pool))(?:_(\d)(\w)?)?", head).groups()
    place = int(number or 1) - 1 + (end == "b")
    return f"blocks.mixed{block}.{branch.replace('_pool', 'Pool')}.{place}.{PARTS[part]}"


def seeded_state(shapes: dict) -> dict:
    """Weights by their names, made in our layout. Convolutions with half the fan-in, since ReLUs halve the variance."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        ours = tuple(shape)
        fan_in = None
        if len(shape) == 4:
            ours = (shape[2], shape[3], shape[1], shape[0])
            fan_in = np.prod(ours[:3]) / 2
        elif len(shape) == 2:
            ours = (shape[1], shape[0])
        state[name] = torch.from_numpy(to_torch_layout(seeded_weight(our_path(name), ours, fan_in)))
    return state


class Unloaded(FeatureExtractorInceptionV3):
    """Only to ask for names and shapes: takes no weights."""

    def load_state_dict(self, *_args, **_kwargs):
        return None


def their_shapes() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "empty.pth"
        torch.save({}, path)
        return {name: list(value.shape) for name, value in Unloaded("shapes", FEATURES, str(path)).state_dict().items()}


def make_network(dtype: torch.dtype) -> FeatureExtractorInceptionV3:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "seeded.pth"
        torch.save(seeded_state(their_shapes()), path)
        network = FeatureExtractorInceptionV3("seeded", FEATURES, str(path))
    network.feature_extractor_internal_dtype = dtype
    return network.to(dtype)


def inputs(name: str, shape) -> torch.Tensor:
    """Uniform in [-1, 1], NHWC -> NCHW."""
    values = seeded_uniform(f"inception {name}", int(np.prod(shape)), 1.0).reshape(shape)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def pixels(name: str, shape) -> torch.Tensor:
    """Bytes: floor((u + 1) * 127.999)."""
    return torch.floor((inputs(name, shape).double() + 1) * 127.999).to(torch.uint8)


def short(values) -> list:
    return [float(f"{v:.7g}") for v in np.asarray(values, np.float64).reshape(-1)]


def largest(x: torch.Tensor) -> float:
    return float(x.abs().max())


def whole_network() -> dict:
    fine, coarse = (pixels(name, shape) for name, shape in IMAGES.items())
    images = torch.cat([fine, coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)])
    with torch.no_grad():
        single, double = (dict(zip(FEATURES, make_network(d)(images))) for d in (torch.float32, torch.float64))
    apart = {k: float((single[k].double() - double[k].double()).abs().max() / double[k].abs().max()) for k in FEATURES}
    print("float32 against float64:", apart)
    kept = {}
    for name in FEATURES:
        every = 7 if double[name].shape[1] > 1000 else 3
        flat = double[name].reshape(-1)
        kept[name] = {"every": every, "largest": largest(flat), "values": short(flat[::every])}
    between = float((double["2048"][0] - double["2048"][1]).abs().max() / double["2048"].abs().max())
    print("two pictures apart by", between)
    return {"images": IMAGES, "features": kept}


def blocks() -> dict:
    network = make_network(torch.float64)
    out = {}
    for name, shape in BLOCKS.items():
        with torch.no_grad():
            y = getattr(network, name.replace("mixed", "Mixed_"))(inputs(name, shape).double()).permute(0, 2, 3, 1)
        out[name] = {
            "input": list(shape),
            "output": list(y.shape),
            "every": EVERY,
            "largest": largest(y),
            "values": short(y.reshape(-1)[::EVERY]),
        }
    return out


def resizes() -> dict:
    out = {}
    for name, shape in RESIZES.items():
        x = pixels(name, shape).float()
        y = interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)
        y = y.permute(0, 2, 3, 1)
        every = 1009 * shape[0]
        out[name] = {"input": list(shape), "every": every, "values": short(y.reshape(-1)[::every])}
    return out


def main() -> None:
    golden = {
        "recipe": {
            "command": "python tools/golden/inception.py",
            "libraries": {"torch": torch.__version__, "torch_fidelity": torch_fidelity.__version__},
            "values": "of each output, flattened as NHWC, every n-th value",
        },
        "published": their_shapes(),
        "network": whole_network(),
        "blocks": blocks(),
        "resizes": resizes(),
    }
    OUT.write_text(json.dumps(golden) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
