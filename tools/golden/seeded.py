"""Random weights that Python and TypeScript both make from a name: the twin of packages/test-kit/src/seeded-weights.ts.

Run from the repository root to write the values that both are held to:
    python tools/golden/seeded.py        (numpy)
"""
import json
import re
from pathlib import Path

import numpy as np

CHUNK = 1 << 24


def fnv1a(name: str) -> int:
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def seeded_uniform(name: str, count: int, bound: float) -> np.ndarray:
    """float32 uniform in ±bound, the same numbers as `seededUniform`."""
    values = np.empty(count, np.float32)
    seed = np.uint32(fnv1a(name))
    for start in range(0, count, CHUNK):
        stop = min(count, start + CHUNK)
        x = np.arange(start, stop, dtype=np.uint32) * np.uint32(0x9E3779B9) + seed  # wraps at 2^32
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
        values[start:stop] = (x / 2.0**31 - 1) * bound  # float64, rounded once
    return values


def seeded_weight(path: str, shape, fan_in: int | None = None) -> np.ndarray:
    """A weight by the rules of `seededWeights`: path and shape in our layout (convolutions HWIO, linear [in, out])."""
    shape = tuple(shape)
    count = int(np.prod(shape, dtype=np.int64))
    if len(shape) == 1 and (re.search(r"norm.*\.weight$", path, re.I) or path.endswith(".variance")):
        values = np.float32(1) + seeded_uniform(path, count, 0.3)
    elif len(shape) <= 1:
        values = seeded_uniform(path, count, 0.1)
    elif len(shape) == 2 and re.search("embedding", path, re.I):
        values = seeded_uniform(path, count, 1)
    else:
        inputs = fan_in or int(np.prod(shape[:-1], dtype=np.int64))
        values = seeded_uniform(path, count, float(np.sqrt(3 / inputs)))
    return values.reshape(shape)


def to_torch_layout(values: np.ndarray) -> np.ndarray:
    """HWIO -> OIHW, [in, out] -> [out, in]; everything else as it is. Not for tables, which are alike in both."""
    if values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    elif values.ndim == 2:
        values = values.T
    return np.ascontiguousarray(values)


def main() -> None:
    entries = [
        {"path": "inputBlocks.0.conv.weight", "shape": [3, 3, 2, 2]},
        {"path": "out.norm.weight", "shape": [5]},
        {"path": "decoder.normOut.bias", "shape": [5]},
        {"path": "stem.norm.variance", "shape": [4]},
        {"path": "quantize.embedding.weight", "shape": [4, 2]},
        {"path": "projection.weight", "shape": [4, 3]},
        {"path": "patch.embedding.weight", "shape": [2, 2, 3, 2]},
        {"path": "grouped.weight", "shape": [1, 3, 2], "fanIn": 7},
        {"path": "logitScale", "shape": []},
    ]
    golden = {
        "recipe": {"command": "python tools/golden/seeded.py", "libraries": {"numpy": np.__version__}},
        "uniform": {
            # Far elements too: i · 0x9E3779B9 must wrap.
            name: {"bound": bound, "count": count, "at": at, "values": seeded_uniform(name, count, bound)[at].tolist()}
            for name, bound, count, at in [
                ("a", 1.0, 8, list(range(8))),
                ("größe.weight", 0.3, 20_000_000, [0, 1, 4095, 16_777_216, 19_999_999]),
                ("", 1e-3, 3, [0, 1, 2]),
            ]
        },
        "weights": [
            {**entry, "values": seeded_weight(entry["path"], entry["shape"], entry.get("fanIn")).reshape(-1).tolist()}
            for entry in entries
        ],
    }
    folder = Path(__file__).resolve().parents[2] / "packages" / "test-kit" / "fixtures"
    folder.mkdir(exist_ok=True)
    (folder / "seeded.golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
