"""Golden values for packages/metrics: Fréchet distance, feature statistics, singular values, Inception Score, focal loss.

Run from the repository root:
    python tools/golden/metrics.py
Needs numpy, scipy, torch, mpmath. All in float64; exact values with 60 digits.
"""
import json
import pathlib
import platform

import mpmath
import numpy as np
import scipy
import scipy.linalg
import scipy.stats
import torch

SEED = 20221113
OUT = pathlib.Path("packages/metrics/fixtures")


def pack(x) -> dict:
    x = np.asarray(x, dtype=np.float64)
    return {"shape": list(x.shape), "data": [float(v) for v in x.reshape(-1)]}


def header(what: str, library: str) -> dict:
    return {"what": what, "library": library, "seed": SEED, "command": "python tools/golden/metrics.py"}


def write(name: str, value: dict) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value) + "\n")


def frechet(mu_a, sigma_a, mu_b, sigma_b) -> float:
    """As pytorch-fid computes it: scipy's general square root of the product."""
    root = scipy.linalg.sqrtm(sigma_a @ sigma_b)
    return float(np.sum((mu_a - mu_b) ** 2) + np.trace(sigma_a) + np.trace(sigma_b) - 2 * np.trace(root.real))


def exact_frechet(mu_a, sigma_a, mu_b, sigma_b) -> float:
    """The same with 60 digits: tr((A B)^(1/2)) from the eigenvalues of A^(1/2) B A^(1/2)."""
    mpmath.mp.dps = 60
    a, b = mpmath.matrix(sigma_a.tolist()), mpmath.matrix(sigma_b.tolist())
    values, vectors = mpmath.eigsy(a)
    root = vectors * mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values]) * vectors.T
    product = root * b * root
    fidelity = sum(mpmath.sqrt(max(v, 0)) for v in mpmath.eigsy((product + product.T) / 2, eigvals_only=True))
    means = sum((mpmath.mpf(p) - mpmath.mpf(q)) ** 2 for p, q in zip(mu_a.tolist(), mu_b.tolist()))
    return float(means + sum(a[i, i] + b[i, i] for i in range(a.rows)) - 2 * fidelity)


def short(x):
    return np.round(x, 5)  # few digits, so that both worlds read the same numbers


def frechet_goldens(rng) -> None:
    cases = []
    for name, width, count_a, count_b, spread in [
        ("two features", 2, 9, 12, 1.0),
        ("more pictures than features", 12, 40, 33, 1.0),
        ("features of very different size", 6, 30, 30, None),
    ]:
        scales = np.logspace(-2, 2, width) if spread is None else np.full(width, spread)
        mix = rng.normal(size=(width, width))
        a = short(rng.normal(size=(count_a, width)) @ mix * scales)
        b = short((rng.normal(size=(count_b, width)) + 0.3) @ (mix + 0.5 * rng.normal(size=(width, width))) * scales)
        mu_a, mu_b, sigma_a, sigma_b = a.mean(0), b.mean(0), np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        cases.append({
            "name": name, "a": pack(a), "b": pack(b), "distance": exact_frechet(mu_a, sigma_a, mu_b, sigma_b),
            "scipy": frechet(mu_a, sigma_a, mu_b, sigma_b),
            "mean": pack(mu_a), "covariance": pack(sigma_a),
        })
    # Singular covariances, where scipy's root of the product has no digits left. tr((A B)^(1/2)) is the sum of the
    # singular values of Ra Rb^T for any factors with R^T R = sigma: the centred features are such factors.
    a = short(rng.normal(size=(5, 12)))
    b = short(rng.normal(size=(7, 12)) + 0.2)
    centred = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    fidelity = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    distance = np.sum((a.mean(0) - b.mean(0)) ** 2) + sum((x ** 2).sum() for x in centred) - 2 * fidelity
    cases.append({
        "name": "fewer pictures than features", "a": pack(a), "b": pack(b), "distance": float(distance), "scipy": None,
        "mean": pack(a.mean(0)), "covariance": pack(np.cov(a, rowvar=False)),
    })
    write("frechet.golden.json", {**header("Fréchet distance with 60 digits (last case: numpy svd of the factors) and by scipy.linalg.sqrtm; mean and np.cov of a", f"mpmath {mpmath.__version__}, scipy {scipy.__version__}, numpy {np.__version__}, python {platform.python_version()}"), "cases": cases})


def linear_algebra_goldens(rng) -> None:
    tall, wide = short(rng.normal(size=(7, 5))), short(rng.normal(size=(4, 6)))
    rank2 = short(rng.normal(size=(6, 2))) @ short(rng.normal(size=(2, 5)))
    d, e = short(rng.normal(size=9)), short(rng.normal(size=8))
    e[3] = 0
    write("linear-algebra.golden.json", {
        **header("singular values by scipy.linalg.svdvals; eigenvalues by scipy.linalg.eigvalsh_tridiagonal", f"scipy {scipy.__version__}"),
        "matrices": [{"matrix": pack(m), "singularValues": pack(scipy.linalg.svdvals(m))} for m in (tall, wide, rank2)],
        "tridiagonal": {"diagonal": pack(d), "offDiagonal": pack(e), "eigenvalues": pack(scipy.linalg.eigvalsh_tridiagonal(d, e))},
    })


def inception_goldens(rng) -> None:
    p = rng.dirichlet(np.full(7, 0.3), size=31)
    p[3] = np.eye(7)[2]  # a certain row: 0 log 0
    cases = []
    for splits in (1, 4):
        scores = []
        for i in range(splits):  # Salimans et al., improved-gan/inception_score/model.py: the same bounds
            part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
            scores.append(np.exp(np.mean([scipy.stats.entropy(row, part.mean(0)) for row in part])))
        cases.append({"splits": splits, "scores": pack(scores), "mean": float(np.mean(scores)), "standardDeviation": float(np.std(scores))})
    write("inception-score.golden.json", {**header("Inception Score, scipy.stats.entropy per row", f"scipy {scipy.__version__}, numpy {np.__version__}"), "probabilities": pack(p), "cases": cases})


def focal_goldens(rng) -> None:
    logits = np.concatenate([short(rng.normal(size=20) * 3), [-30.0, 30.0, -30.0, 30.0, 0.0, 0.0]])
    targets = np.concatenate([np.where(rng.random(20) < 0.3, 1.0, short(rng.random(20) * 0.95)), [1.0, 1.0, 0.0, 0.0, 1.0, 0.5]])
    x = torch.tensor(logits, requires_grad=True)
    y = torch.tensor(targets)
    log_p, log_q = torch.nn.functional.logsigmoid(x), torch.nn.functional.logsigmoid(-x)
    p, q = log_p.exp(), log_q.exp()
    centre = (y == 1).double()
    loss = -(centre * q**2 * log_p + (1 - centre) * (1 - y) ** 4 * p**2 * log_q).sum() / 3
    loss.backward()
    write("focal-loss.golden.json", {**header("CenterNet's focal loss, float64, divided by 3, and its gradient by autograd", f"torch {torch.__version__}"), "count": 3, "logits": pack(logits), "targets": pack(targets), "loss": float(loss.detach()), "gradient": pack(x.grad.numpy())})


if __name__ == "__main__":
    generator = np.random.default_rng(SEED)
    frechet_goldens(generator)
    linear_algebra_goldens(generator)
    inception_goldens(generator)
    focal_goldens(generator)
