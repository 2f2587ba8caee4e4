"""Golden values for packages/sg-encoder: one graph-triple-convolution layer and the whole published encoder.

Run from the repository root:
    python tools/golden/encoder.py
Needs torch. Written from the published description (arXiv:2211.11138; arXiv:1804.01622), in sparse form: rows for all
nodes and triples of the batch, pooling by index_add. Weights are stored in this project's layout: linear [in, out].
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

SEED = 20221111
OUT = pathlib.Path("packages/sg-encoder/fixtures")


def linear(inner: int, outer: int) -> nn.Linear:
    return nn.Linear(inner, outer, dtype=torch.float64)


class GraphLayer(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.width = width
        self.net1 = nn.Sequential(linear(3 * width, hidden), nn.ReLU(), linear(hidden, 3 * width), nn.ReLU())
        self.net2 = nn.Sequential(linear(width, hidden), nn.ReLU(), linear(hidden, width), nn.ReLU())

    def forward(self, nodes, predicates, edges):
        subject, obj = edges[:, 0], edges[:, 1]
        new = self.net1(torch.cat([nodes[subject], predicates, nodes[obj]], dim=1))
        new_s, new_p, new_o = new.split(self.width, dim=1)
        pooled = torch.zeros_like(nodes).index_add(0, subject, new_s).index_add(0, obj, new_o)
        count = torch.zeros(len(nodes), dtype=nodes.dtype)
        count = count.index_add(0, subject, torch.ones(len(edges), dtype=nodes.dtype))
        count = count.index_add(0, obj, torch.ones(len(edges), dtype=nodes.dtype))
        return self.net2(pooled / count.clamp(min=1)[:, None]), new_p

    def weights(self, prefix: str) -> dict:
        named = {"triple.up": self.net1[0], "triple.down": self.net1[2], "node.up": self.net2[0], "node.down": self.net2[2]}
        return {k: v for name, layer in named.items() for k, v in linear_weights(prefix + name, layer).items()}


def linear_weights(path: str, layer: nn.Linear) -> dict:
    return {f"{path}.weight": pack(layer.weight.T), f"{path}.bias": pack(layer.bias)}


def pack(x: torch.Tensor) -> dict:
    return {"shape": list(x.shape), "data": [float(f"{v:.9g}") for v in x.detach().reshape(-1).tolist()]}


def round_weights(module: nn.Module) -> None:
    """float32 weights scaled up, so that outputs are far from 0 and exact in both worlds."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_((p * 1.5).float().double())


def header(what: str) -> dict:
    return {
        "what": what,
        "library": f"torch {torch.__version__}",
        "seed": SEED,
        "command": "python tools/golden/encoder.py",
    }


def write(name: str, value: dict) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def graph_layer_golden() -> None:
    torch.manual_seed(SEED)
    layer = GraphLayer(4, 6)
    round_weights(layer)
    # Node 3 is in no triple; node 0 is subject twice and object once.
    nodes = torch.randn(4, 4).double().requires_grad_()
    predicates = torch.randn(4, 4).double().requires_grad_()
    edges = torch.tensor([[0, 1], [0, 2], [1, 0], [2, 1]])
    new_nodes, new_predicates = layer(nodes, predicates, edges)
    probe_n, probe_p = torch.randn(4, 4).double(), torch.randn(4, 4).double()
    loss = (new_nodes * probe_n).sum() + (new_predicates * probe_p).sum()
    grad_n, grad_p = torch.autograd.grad(loss, [nodes, predicates])
    write("graph-layer.golden.json", {
        **header("one graph-triple-convolution layer, float64"),
        "config": {"width": 4, "hiddenWidth": 6},
        "weights": layer.weights(""),
        "edges": edges.tolist(),
        "nodes": pack(nodes), "predicates": pack(predicates),
        "newNodes": pack(new_nodes), "newPredicates": pack(new_predicates),
        "probeNodes": pack(probe_n), "probePredicates": pack(probe_p),
        "gradNodes": pack(grad_n), "gradPredicates": pack(grad_p),
    })


def encoder_golden() -> None:
    torch.manual_seed(SEED + 1)
    width, hidden, layers, out, objects, predicate_words, max_triples = 6, 5, 3, 4, 5, 3, 4
    obj_embed = nn.Embedding(objects + 1, width, dtype=torch.float64)
    pred_embed = nn.Embedding(predicate_words, width, dtype=torch.float64)
    net = nn.ModuleList([GraphLayer(width, hidden) for _ in range(layers)])
    projection = linear(2 * width, out)
    for m in (obj_embed, pred_embed, net, projection):
        round_weights(m)
    # Word 0 is __image__ / __in_image__. Graph 0: 3 nodes, 3 triples. Graph 1: 4 nodes, 5 triples, one too many.
    graphs = [
        {"objects": [1, 3, 0], "triples": [[0, 2, 1], [0, 0, 2], [1, 0, 2]]},
        {"objects": [2, 4, 2, 0], "triples": [[0, 1, 1], [1, 2, 2], [0, 0, 3], [1, 0, 3], [2, 0, 3]]},
    ]
    rows, node_image, triples, triple_image = [], [], [], []
    for b, g in enumerate(graphs):
        offset = len(rows)
        rows += g["objects"]
        node_image += [b] * len(g["objects"])
        triples += [[s + offset, p, o + offset] for s, p, o in g["triples"]]
        triple_image += [b] * len(g["triples"])
    triples_t = torch.tensor(triples)
    nodes = obj_embed(torch.tensor(rows))
    predicates = pred_embed(triples_t[:, 1])
    edges = triples_t[:, [0, 2]]
    for layer in net:
        nodes, predicates = layer(nodes, predicates, edges)
    node_image, triple_image = torch.tensor(node_image), torch.tensor(triple_image)
    local = torch.zeros(len(graphs), max_triples, 3 * width, dtype=torch.float64)
    globals_ = []
    for b in range(len(graphs)):
        mine = triple_image == b
        tokens = torch.cat([nodes[edges[mine, 0]], predicates[mine], nodes[edges[mine, 1]]], dim=1)[:max_triples]
        local[b, : len(tokens)] = tokens
        globals_.append(torch.cat([nodes[node_image == b].mean(0), predicates[mine].mean(0)]))
    weights = {"objectEmbedding.weight": pack(obj_embed.weight), "predicateEmbedding.weight": pack(pred_embed.weight)}
    for i, layer in enumerate(net):
        weights.update(layer.weights(f"layers.{i}."))
    weights.update(linear_weights("projection", projection))
    write("encoder.golden.json", {
        **header("the published encoder (no norm, no residual, first 4 triples as local tokens), float64"),
        "config": {"objectCount": objects, "predicateCount": predicate_words, "width": width, "layers": layers,
                   "hiddenWidth": hidden, "globalWidth": out, "maxTriples": max_triples, "overflow": "first"},
        "weights": weights,
        "graphs": graphs,
        "local": pack(local),
        "global": pack(projection(torch.stack(globals_))),
    })


if __name__ == "__main__":
    graph_layer_golden()
    encoder_golden()
