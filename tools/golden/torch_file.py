"""Small PyTorch files of every form for packages/torch-file, and the values that PyTorch reads from them.

    python tools/golden/torch_file.py        (torch)

Writes packages/torch-file/fixtures: the files, and golden.json with type, shape and bytes of every tensor. Nothing is loaded
back that is not from here; malicious.pt is written, never loaded.
"""

import argparse
import base64
import collections
import json
import os
import pathlib
import pickle
import zipfile

import torch
from torch import nn

SEED = 20221111
OUT = pathlib.Path("packages/torch-file/fixtures")
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}
golden = {}


class ModelCheckpoint:
    """Stands for a callback of Lightning: its class is a key of the checkpoint, and unknown to every reader."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.BatchNorm1d(2))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x):
        return self.layers(x) * self.scale


class Visual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 2, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(4))
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x):
        x = self.conv1(x).flatten(2).mean(2) + self.class_embedding
        for block in self.blocks:
            x = block(x)
        return x


class ClipLike(nn.Module):
    """The outline of OpenAI's CLIP archive: half precision, nested modules, numbers kept as buffers."""

    def __init__(self):
        super().__init__()
        self.visual = Visual()
        self.token_embedding = nn.Embedding(5, 4)
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.register_buffer("context_length", torch.tensor(77))

    def forward(self, x, ids):
        return self.logit_scale * (self.visual(x) @ self.token_embedding(ids).t())


def value_of(tensor):
    tensor = tensor.detach().contiguous()
    raw = bytes(tensor.reshape(-1).view(torch.uint8).tolist()) if tensor.numel() else b""
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "bytes": base64.b64encode(raw).decode()}


def record(name, form, tensors, **more):
    golden[name] = {"form": form, "tensors": {key: value_of(tensor) for key, tensor in tensors.items()}, **more}


def zoo():
    """Every element type and every way in which a tensor may lie in its storage."""
    base = torch.randn(6, 5)
    cube = torch.randn(2, 3, 4)
    special = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-42, 65504.0])
    wide = torch.randn(3, 4, dtype=torch.float64)
    tensors = collections.OrderedDict(
        f64=torch.randn(3, 2, dtype=torch.float64), f32=special.clone(), f16=special.half(), bf16=special.bfloat16(),
        i64=torch.tensor([-(2**63), 2**63 - 1, 0, -1]), i32=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        i16=torch.tensor([-32768, 32767], dtype=torch.int16), i8=torch.tensor([-128, 127], dtype=torch.int8),
        u8=torch.tensor([0, 255], dtype=torch.uint8), bool=torch.tensor([True, False, True]),
        scalar=torch.tensor(3.25), empty=torch.zeros(0, 3), half_scalar=torch.tensor(7, dtype=torch.int16),
        shared_whole=base, shared_rows=base[2:4], shared_columns=base[:, 1:3], shared_transposed=base.t(),
        shared_steps=base[::2, ::3], shared_one=base[3, 3],
        permuted=cube.permute(2, 0, 1), permuted_f16=cube.half().permute(1, 2, 0), transposed_f64=wide.t(),
        transposed_bool=(cube > 0)[0].t(), channels_last=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        expanded=torch.randn(1, 3).expand(4, 3), windows=torch.arange(8).unfold(0, 3, 1), parameter=nn.Parameter(torch.randn(2)),
        frozen=nn.Parameter(torch.randn(2, 2).t(), requires_grad=False),
    )
    tagged = nn.Parameter(torch.randn(3))
    tagged.note = "an attribute"
    tensors["tagged"] = tagged
    return tensors


def lightning(net):
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3, "global_step": 2**40, "pytorch-lightning_version": "1.4.2", "state_dict": net.state_dict(),
        "callbacks": {ModelCheckpoint: {"best_model_score": torch.tensor(0.25), "monitor": None}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [],
        "hyper_parameters": argparse.Namespace(lr=1e-4, big=2**70, names={"a", "b"}, raw=b"\x00\xff", deep=[(1, (2, [3]))]),
    }


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/torch-file-was-here",)


def main():
    torch.manual_seed(SEED)
    OUT.mkdir(parents=True, exist_ok=True)

    tensors = zoo()
    for name, options, form in [
        ("zoo.pt", {}, "zip"), ("zoo-protocol5.pt", {"pickle_protocol": 5}, "zip"),
        ("zoo-legacy.pt", {"_use_new_zipfile_serialization": False}, "legacy"),
        ("zoo-legacy-protocol1.pt", {"_use_new_zipfile_serialization": False, "pickle_protocol": 1}, "legacy"),
        ("zoo-legacy-protocol4.pt", {"_use_new_zipfile_serialization": False, "pickle_protocol": 4}, "legacy"),
    ]:
        torch.save(tensors, OUT / name, **options)
        record(name, form, tensors, root=[])

    net = Net()
    checkpoint = lightning(net)
    torch.save(checkpoint, OUT / "lightning.ckpt")
    record("lightning.ckpt", "zip", checkpoint["state_dict"], root=["state_dict"])
    torch.save(checkpoint, OUT / "lightning-legacy.ckpt", _use_new_zipfile_serialization=False)
    record("lightning-legacy.ckpt", "legacy", checkpoint["state_dict"], root=["state_dict"])

    with zipfile.ZipFile(OUT / "lightning.ckpt") as old, zipfile.ZipFile(OUT / "deflated.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name.replace("lightning/", "another name/")), old.read(name), zipfile.ZIP_DEFLATED)
    record("deflated.ckpt", "zip", checkpoint["state_dict"], root=["state_dict"])

    torch.save(net, OUT / "module.pt")
    record("module.pt", "zip", net.state_dict(), root=[])
    torch.save([torch.arange(3), {"x": torch.ones(2)}], OUT / "list.pt")
    record("list.pt", "zip", {"0": torch.arange(3)}, root=[])
    torch.save(torch.arange(6).reshape(2, 3), OUT / "tensor.pt")
    record("tensor.pt", "zip", {"tensor": torch.arange(6).reshape(2, 3)}, root=[])

    torch.jit.save(torch.jit.script(Net()), OUT / "script.pt")
    record("script.pt", "torchscript", torch.jit.load(OUT / "script.pt").state_dict(), root=[])
    clip = ClipLike().half().eval()
    example = (torch.randn(1, 3, 4, 4).half(), torch.tensor([1, 2]))
    torch.jit.save(torch.jit.trace(clip, example), OUT / "clip-like.pt")
    record("clip-like.pt", "torchscript", torch.jit.load(OUT / "clip-like.pt").state_dict(), root=[])

    good = torch.randn(2)
    odd = {
        "good": good, "sparse": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr(), "complex": torch.zeros(2, dtype=torch.complex64),
        "conjugated": torch.zeros(2, dtype=torch.complex64).conj(), "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "float8": torch.ones(3).to(torch.float8_e4m3fn), "meta": torch.empty(3, device="meta"),
    }
    torch.save(odd, OUT / "unsupported.pt")
    record("unsupported.pt", "zip", {"good": good}, root=[], unsupported=[name for name in odd if name != "good"])

    hostile = {"__proto__": good, "constructor": good, "hasOwnProperty": Evil(), "toString": Evil()}
    for name, options, form in [("malicious.pt", {}, "zip"), ("malicious-legacy.pt", {"_use_new_zipfile_serialization": False}, "legacy")]:
        torch.save(hostile, OUT / name, **options)
        record(name, form, {"__proto__": good, "constructor": good}, root=[])

    with open(OUT / "plain.pkl", "wb") as file:
        pickle.dump({"weights": [1.0, 2.0]}, file, protocol=4)

    deep = [1, 2**31, -(2**31) - 1, 2**63, -(2**100), 0.1, float("inf"), -0.0, "text \n 'ü\u20ac\U0001f600", True, False, None, b"\x00\xff"]
    deep += [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"a": [1, {2: "b"}]}, {"x", 1}, frozenset([3]), bytearray(b"ab"), ModelCheckpoint]
    deep += [collections.OrderedDict(a=1), collections.defaultdict(list, a=1), torch.Size([2, 3]), argparse.Namespace(a=1)]
    deep.append(deep[15])  # the same value once more
    pickles = [base64.b64encode(pickle.dumps(deep, protocol=protocol)).decode() for protocol in range(6)]
    recipe = {"command": "python tools/golden/torch_file.py", "torch": torch.__version__, "seed": SEED}
    (OUT / "golden.json").write_text(json.dumps({"recipe": recipe, "pickles": pickles, "files": golden}, indent=1) + "\n")


main()
