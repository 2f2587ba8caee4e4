"""Golden values for CLIP's vision transformer in packages/masked-contrastive-pretrain.

Run from the repository root:
    python tools/golden/clip.py        (torch, transformers, safetensors, numpy)

Writes into packages/masked-contrastive-pretrain/fixtures:
    clip-tiny.transformers.safetensors   a whole tiny CLIP of random weights, named as transformers saves it
    clip-tiny.openai.safetensors         the same weights, named and stacked as in OpenAI's archives
    clip.golden.json                     what transformers' model makes of seeded images: of these weights, and, at the
                                         size of ViT-B/32, of the weights of tools/golden/seeded.py
"""
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from seeded import seeded_uniform, seeded_weight, to_torch_layout

SEED = 224
FOLDER = Path(__file__).resolve().parents[2] / "packages" / "masked-contrastive-pretrain" / "fixtures"
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073], dtype=torch.float64)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711], dtype=torch.float64)

TINY = {"image_size": 28, "patch_size": 7, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 40, "projection_dim": 10, "hidden_act": "quick_gelu"}
VIT_B32 = {"image_size": 224, "patch_size": 32, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
           "intermediate_size": 3072, "projection_dim": 512, "hidden_act": "quick_gelu"}


def our_config(sizes: dict) -> dict:
    return {
        "imageSize": sizes["image_size"], "patchSize": sizes["patch_size"], "width": sizes["hidden_size"],
        "layers": sizes["num_hidden_layers"], "heads": sizes["num_attention_heads"], "mlpWidth": sizes["intermediate_size"],
        "outputWidth": sizes["projection_dim"], "activation": sizes["hidden_act"].replace("_", "-"),
    }


def pack(x: torch.Tensor) -> dict:
    return {"shape": list(x.shape), "data": [float(f"{v:.8g}") for v in x.detach().reshape(-1).tolist()]}


def sample(x: torch.Tensor, step: int) -> dict:
    """Every step-th value."""
    return {"shape": list(x.shape), "step": step, "data": pack(x.detach().reshape(-1)[::step])["data"]}


def run(vision, projection, images) -> dict:
    """images [B, S, S, 3] in [-1, 1] through transformers' vision model."""
    seen = {}
    hook = vision.encoder.layers[-1].mlp.fc2.register_forward_hook(lambda _, __, out: seen.__setitem__("mlp", out))
    normalised = ((images + 1) / 2 - MEAN) / STD
    with torch.no_grad():
        out = vision(pixel_values=normalised.permute(0, 3, 1, 2).to(projection.weight.dtype))
        patches = vision.post_layernorm(out.last_hidden_state[:, 1:])
        embedding = projection(out.pooler_output)
    hook.remove()
    return {"mlp": seen["mlp"], "patches": patches, "global": embedding}


def seeded_images(name: str, batch: int, size: int) -> torch.Tensor:
    values = seeded_uniform(name, batch * size * size * 3, 1)
    return torch.from_numpy(values.reshape(batch, size, size, 3)).double()


def tiny() -> dict:
    torch.manual_seed(SEED)
    config = CLIPConfig(
        text_config={"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "vocab_size": 12, "max_position_embeddings": 6, "projection_dim": TINY["projection_dim"]},
        vision_config=TINY, projection_dim=TINY["projection_dim"],
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * noise)  # norms
            elif parameter.ndim <= 1:
                parameter.copy_(0.3 * noise)
            elif "embedding" in name and parameter.ndim == 2:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)
    weights = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    # Files of earlier versions of transformers hold the position numbers as well.
    weights["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    weights["text_model.embeddings.position_ids"] = torch.arange(6)[None]
    save_file(weights, FOLDER / "clip-tiny.transformers.safetensors", metadata={"format": "pt"})
    save_file(openai_names(weights), FOLDER / "clip-tiny.openai.safetensors", metadata={"format": "pt"})

    images = seeded_images("clip tiny images", 2, TINY["image_size"])
    outputs = {}
    for activation in ("quick_gelu", "gelu"):
        config = CLIPVisionConfig(**{**TINY, "hidden_act": activation})
        vision = CLIPVisionModelWithProjection(config).double().eval()
        own = {k: v.double() for k, v in weights.items() if k.startswith(("vision_model.", "visual_projection.")) and "_ids" not in k}
        vision.load_state_dict(own)
        outputs[activation.replace("_", "-")] = {key: pack(value) for key, value in run(vision.vision_model, vision.visual_projection, images).items()}
    return {"config": our_config(TINY), "images": "seededUniform('clip tiny images', …, 1)", "outputs": outputs}


def openai_names(weights: dict) -> dict:
    """The layout of OpenAI's archives, from its public model definition: q, k and v stacked, projections not transposed."""
    towers = {"vision_model": "visual.transformer", "text_model": "transformer"}
    modules = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}
    single = {
        "logit_scale": "logit_scale",
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
    }
    out = {ours: weights[theirs] for theirs, ours in single.items()}
    for theirs, ours in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
        for kind in ("weight", "bias"):
            out[f"visual.{ours}.{kind}"] = weights[f"vision_model.{theirs}.{kind}"]
    for kind in ("weight", "bias"):
        out[f"ln_final.{kind}"] = weights[f"text_model.final_layer_norm.{kind}"]
    out["visual.proj"] = weights["visual_projection.weight"].t()
    out["text_projection"] = weights["text_projection.weight"].t()
    for tower, transformer in towers.items():
        layers = {name.split(".")[3] for name in weights if name.startswith(f"{tower}.encoder.layers.")}
        for layer in sorted(layers, key=int):
            theirs, ours = f"{tower}.encoder.layers.{layer}", f"{transformer}.resblocks.{layer}"
            for kind in ("weight", "bias"):
                out[f"{ours}.attn.in_proj_{kind}"] = torch.cat([weights[f"{theirs}.self_attn.{part}_proj.{kind}"] for part in "qkv"])
                for module, name in modules.items():
                    out[f"{ours}.{name}.{kind}"] = weights[f"{theirs}.{module}.{kind}"]
    for name, value in (("input_resolution", 28), ("context_length", 6), ("vocab_size", 12)):
        out[name] = torch.tensor(value)
    return {name: value.clone().contiguous() for name, value in out.items()}


def full() -> dict:
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT_B32)).eval()
    width, hidden = VIT_B32["hidden_size"], VIT_B32["intermediate_size"]
    layers = range(VIT_B32["num_hidden_layers"])
    paths = {
        "vision_model.embeddings.class_embedding": ("classEmbedding", [width]),
        "vision_model.embeddings.patch_embedding.weight": ("patch.weight", [32, 32, 3, width]),
        "vision_model.embeddings.position_embedding.weight": ("positionEmbedding.weight", [50, width]),
        "visual_projection.weight": ("projection.weight", [width, 512]),
    }

    def add(theirs: str, ours: str, shape: list[int]) -> None:
        paths[f"{theirs}.weight"] = (f"{ours}.weight", shape)
        paths[f"{theirs}.bias"] = (f"{ours}.bias", shape[-1:])

    add("vision_model.pre_layrnorm", "preNorm", [width])
    add("vision_model.post_layernorm", "postNorm", [width])
    for i in layers:
        theirs, ours = f"vision_model.encoder.layers.{i}", f"layers.{i}"
        add(f"{theirs}.layer_norm1", f"{ours}.norm1", [width])
        add(f"{theirs}.layer_norm2", f"{ours}.norm2", [width])
        for part in ("q", "k", "v", "out"):
            add(f"{theirs}.self_attn.{part}_proj", f"{ours}.attention.{part}", [width, width])
        add(f"{theirs}.mlp.fc1", f"{ours}.mlp.up", [width, hidden])
        add(f"{theirs}.mlp.fc2", f"{ours}.mlp.down", [hidden, width])
    state = {}
    for theirs, (ours, shape) in paths.items():
        values = seeded_weight(ours, shape)
        state[theirs] = torch.from_numpy(values if ours == "positionEmbedding.weight" else to_torch_layout(values))
    model.load_state_dict(state)
    images = seeded_images("clip images", 1, 224)
    outputs = run(model.vision_model, model.visual_projection, images)
    return {
        "config": our_config(VIT_B32),
        "tensors": len(state),
        "parameters": sum(value.numel() for value in state.values()),
        "images": "seededUniform('clip images', …, 1)",
        "outputs": {key: sample(value, 1 if key == "global" else 97) for key, value in outputs.items()},
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    golden = {
        "recipe": {
            "command": "python tools/golden/clip.py",
            "libraries": {"torch": torch.__version__, "transformers": transformers.__version__},
            "seed": SEED,
            "precision": "tiny: float64 on float32 weights; ViT-B/32: float32",
            "outputs": "mlp: second linear layer of the last layer's MLP, by a forward hook; patches: post_layernorm of the "
                       "last hidden state without its first token; global: the image embedding",
        },
        "tiny": tiny(),
        "full": full(),
    }
    (FOLDER / "clip.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
