"""Golden values for packages/sg-encoder: one graph-triple-convolution layer, the whole encoder small and full-size.

Run from the repository root:
    python tools/golden/encoder.py
Needs torch. Written from the published description (arXiv:2211.11138; arXiv:1804.01622), in sparse form: rows for all
nodes and triples of the batch, pooling by index_add. Weights are stored in this project's layout: linear [in, out].
"""
import json
import pathlib

import torch
from torch import nn

from seeded import seeded_weight

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

    def named_linears(self) -> dict:
        return {"triple.up": self.net1[0], "triple.down": self.net1[2], "node.up": self.net2[0], "node.down": self.net2[2]}


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
        "weights": {k: v for path, part in layer.named_linears().items() for k, v in linear_weights(path, part).items()},
        "edges": edges.tolist(),
        "nodes": pack(nodes), "predicates": pack(predicates),
        "newNodes": pack(new_nodes), "newPredicates": pack(new_predicates),
        "probeNodes": pack(probe_n), "probePredicates": pack(probe_p),
        "gradNodes": pack(grad_n), "gradPredicates": pack(grad_p),
    })


class Encoder(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, self.max_triples = config["width"], config["maxTriples"]
        self.objects = nn.Embedding(config["objectCount"] + 1, width, dtype=torch.float64)
        self.predicates = nn.Embedding(config["predicateCount"], width, dtype=torch.float64)
        self.layers = nn.ModuleList([GraphLayer(width, config["hiddenWidth"]) for _ in range(config["layers"])])
        self.projection = linear(2 * width, config["globalWidth"])

    def forward(self, graphs: list):
        rows, node_image, triples, triple_image = [], [], [], []
        for b, g in enumerate(graphs):
            offset = len(rows)
            rows += g["objects"]
            node_image += [b] * len(g["objects"])
            triples += [[s + offset, p, o + offset] for s, p, o in g["triples"]]
            triple_image += [b] * len(g["triples"])
        triples = torch.tensor(triples)
        nodes, predicates, edges = self.objects(torch.tensor(rows)), self.predicates(triples[:, 1]), triples[:, [0, 2]]
        for layer in self.layers:
            nodes, predicates = layer(nodes, predicates, edges)
        node_image, triple_image = torch.tensor(node_image), torch.tensor(triple_image)
        local = torch.zeros(len(graphs), self.max_triples, 3 * nodes.shape[1], dtype=torch.float64)
        globals_ = []
        for b in range(len(graphs)):
            mine = triple_image == b
            tokens = torch.cat([nodes[edges[mine, 0]], predicates[mine], nodes[edges[mine, 1]]], dim=1)
            local[b, : min(len(tokens), self.max_triples)] = tokens[: self.max_triples]
            globals_.append(torch.cat([nodes[node_image == b].mean(0), predicates[mine].mean(0)]))
        return local, self.projection(torch.stack(globals_))

    def named_linears(self) -> dict:
        named = {"projection": self.projection}
        for i, layer in enumerate(self.layers):
            named |= {f"layers.{i}.{path}": part for path, part in layer.named_linears().items()}
        return named


def encoder_golden() -> None:
    torch.manual_seed(SEED + 1)
    config = {"objectCount": 5, "predicateCount": 3, "width": 6, "layers": 3, "hiddenWidth": 5, "globalWidth": 4,
              "maxTriples": 4, "overflow": "first"}
    encoder = Encoder(config)
    round_weights(encoder)
    # Word 0 is __image__ / __in_image__. Graph 0: 3 nodes, 3 triples. Graph 1: 4 nodes, 5 triples, one too many.
    graphs = [
        {"objects": [1, 3, 0], "triples": [[0, 2, 1], [0, 0, 2], [1, 0, 2]]},
        {"objects": [2, 4, 2, 0], "triples": [[0, 1, 1], [1, 2, 2], [0, 0, 3], [1, 0, 3], [2, 0, 3]]},
    ]
    local, global_ = encoder(graphs)
    weights = {"objectEmbedding.weight": pack(encoder.objects.weight), "predicateEmbedding.weight": pack(encoder.predicates.weight)}
    for path, part in encoder.named_linears().items():
        weights.update(linear_weights(path, part))
    write("encoder.golden.json", {
        **header("the published encoder (no norm, no residual, first 4 triples as local tokens), float64"),
        "config": config,
        "weights": weights,
        "graphs": graphs,
        "local": pack(local),
        "global": pack(global_),
    })


def seed_weights(encoder: Encoder) -> None:
    """Weights from their names (seeded.py), which the test makes too. Half the fan-in, since a ReLU halves the power."""
    def fill(parameter: torch.Tensor, path: str, fan_in: int | None = None) -> None:
        values = torch.from_numpy(seeded_weight(path, parameter.T.shape if fan_in else parameter.shape, fan_in))
        parameter.copy_((values.T if fan_in else values).double())

    with torch.no_grad():
        fill(encoder.objects.weight, "objectEmbedding.weight")
        fill(encoder.predicates.weight, "predicateEmbedding.weight")
        for path, part in encoder.named_linears().items():
            fill(part.weight, f"{path}.weight", part.in_features // 2)
            fill(part.bias, f"{path}.bias")


def full_size_golden() -> None:
    """The published sizes for Visual Genome, on graphs at the edges of what the encoder is fed."""
    config = {"objectCount": 179, "predicateCount": 46, "width": 512, "layers": 6, "hiddenWidth": 512,
              "globalWidth": 512, "maxTriples": 15, "overflow": "first"}
    encoder = Encoder(config)
    seed_weights(encoder)
    random = torch.Generator().manual_seed(SEED + 2)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=random))

    def graph(objects: int, relations: int, in_image: int | None = None) -> dict:
        words = [draw(1, 179) for _ in range(objects)]
        edges = [[draw(0, objects), draw(1, 46), draw(0, objects)] for _ in range(relations)]
        return {"objects": [*words, 0],
                "triples": [*edges, *[[i, 0, objects] for i in range(objects if in_image is None else in_image)]]}

    graphs = {
        "a row of relations longer than the tokens": graph(10, 20),
        "no relations": graph(3, 0),
        "as many objects as there are, cut within __in_image__": graph(9, 14),
        "a node that no triple touches": {**graph(2, 0), "objects": [17, 178, 4, 0], "triples": [[0, 45, 1], [0, 0, 3], [1, 0, 3]]},
        "a relation of a node with itself, and one told twice": {"objects": [8, 8, 0], "triples": [[0, 3, 0], [0, 5, 1], [0, 5, 1], [0, 0, 2], [1, 0, 2]]},
    }
    local, global_ = encoder(list(graphs.values()))
    step = 17  # divides neither the width of a token nor the number of tokens
    write("full.golden.json", {
        **header("the published encoder for Visual Genome with weights from tools/golden/seeded.py, float64"),
        "config": config,
        "graphs": graphs,
        "localStep": step,
        "local": short(local.reshape(-1)[::step]),
        "localLargest": float(local.abs().max()),
        "global": short(global_),
    })
    print(f"local: largest {local.abs().max():.3g}, standard deviation {local[0].std():.3g}, "
          f"between graphs {(local[0] - local[2]).std():.3g}; global: {global_.abs().max():.3g}, {global_.std(0).mean():.3g}")


def short(x: torch.Tensor) -> list:
    return [float(f"{v:.7g}") for v in x.detach().reshape(-1).tolist()]


if __name__ == "__main__":
    graph_layer_golden()
    encoder_golden()
    full_size_golden()
