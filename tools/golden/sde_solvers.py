"""Reference values for the stochastic samplers of packages/samplers.

Run from the repository root:  python tools/golden/sde_solvers.py
(any Python with torch and diffusers will do; the versions used are written into the file).

Two kinds. `given`: schedulers of diffusers, fed with random network outputs and noises; the schedule is put in as float64, as in
samplers.py. `own`: what diffusers has not, or has wrong, in NumPy's float64 from the published formulas, with the denoiser
tanh(x / (1 + sigma)), so that what a method asks for is seen too.
"""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_lcm

SEED = 20240605
SHAPE = (2, 2)
T = 1000
SGDIFF = dict(num_train_timesteps=T, beta_start=0.0015, beta_end=0.0195, beta_schedule='scaled_linear')
OUT = Path(__file__).resolve().parents[2] / 'packages/samplers/fixtures/sde-solvers.golden.json'
PREDICTION = {'eps': 'epsilon', 'v': 'v_prediction', 'x0': 'sample'}

generator = torch.Generator().manual_seed(SEED)


def numbers(values, digits=9):
    return [float(f'{v:.{digits}g}') for v in np.asarray(values, dtype=np.float64).ravel()]


def draw():
    # Values that float32 holds exactly, so that both sides start from the same numbers.
    return torch.randn(SHAPE, generator=generator, dtype=torch.float32).double()


def alphas_cumprod():
    betas = np.linspace(SGDIFF['beta_start'] ** 0.5, SGDIFF['beta_end'] ** 0.5, T, dtype=np.float64) ** 2
    return torch.from_numpy(np.cumprod(1 - betas))


def schedule_sigmas():
    a = alphas_cumprod().numpy()
    return np.sqrt((1 - a) / a)


# --- schedulers of diffusers


def given(solver, options, scheduler, sigmas, prediction, step, timesteps, first_scale=1.0):
    """A run with random outputs. `sigmas`: of the states; theirs are variance-preserving unless `first_scale` says otherwise."""
    x_t = draw()
    x, outputs, noises, states = x_t * first_scale, [], [], []
    for t in timesteps:
        output, noise = draw(), draw()
        x = step(scheduler, output, t, x, noise).double()
        outputs.append(numbers(output))
        noises.append(numbers(noise))
        states.append(numbers(x))
    return {
        'solver': solver,
        'options': options,
        'prediction': prediction,
        'sigmas': numbers(sigmas, 17),
        'xT': numbers(x_t),
        'outputs': outputs,
        'noises': noises,
        'states': states,
    }


def in_float64(scheduler, steps):
    """Sets the timesteps; diffusers' own, with the sigmas of the float64 schedule, then 0."""
    scheduler.alphas_cumprod = alphas_cumprod()
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    sigmas = np.append(schedule_sigmas()[scheduler.timesteps.numpy().astype(int)], 0)
    if hasattr(scheduler, 'sigmas'):
        scheduler.sigmas = torch.from_numpy(sigmas)
    return sigmas


def euler_ancestral(prediction, steps):
    s = EulerAncestralDiscreteScheduler(
        **SGDIFF, timestep_spacing='trailing', prediction_type=PREDICTION[prediction]
    )
    sigmas = in_float64(s, steps)
    s.is_scale_input_called = True  # it scales the network's input only, and there is no network

    def step(s, output, t, x, noise):
        scheduling_euler_ancestral_discrete.randn_tensor = lambda *_, **__: noise
        return s.step(output, t, x).prev_sample

    scale = float(np.sqrt(1 + sigmas[0] ** 2))
    return given('euler-ancestral', {}, s, sigmas, prediction, step, s.timesteps, scale)


def multistep_sde(solver, options, prediction, steps, **config):
    s = DPMSolverMultistepScheduler(
        **SGDIFF,
        **config,
        algorithm_type='sde-dpmsolver++',
        final_sigmas_type='zero',
        timestep_spacing='trailing',
        prediction_type=PREDICTION[prediction],
    )
    sigmas = in_float64(s, steps)

    def step(s, output, t, x, noise):
        return s.step(output, t, x, variance_noise=noise).prev_sample

    return given(solver, options, s, sigmas, prediction, step, s.timesteps)


def singlestep(steps):
    """DPM-Solver++ 2S: theirs takes two of the listed sigmas per step, so the middles, halfway in lambda, are put into the list."""
    ends = np.append(np.geomspace(20, 0.05, steps), 0)
    middles = np.sqrt(ends[:-2] * ends[1:-1])
    levels = np.append(np.ravel(np.column_stack([ends[:-2], middles])), ends[-2:])
    s = DPMSolverSinglestepScheduler(
        **SGDIFF, algorithm_type='dpmsolver++', solver_order=2, final_sigmas_type='zero', prediction_type='sample'
    )
    s.set_timesteps(len(levels) - 1)
    s.sigmas = torch.from_numpy(levels)
    assert s.order_list == [1, 2] * (steps - 1) + [1], s.order_list

    def step(s, output, t, x, noise):
        return s.step(output, t, x).prev_sample

    made = given('2s-ancestral', {'eta': 0}, s, ends, 'x0', step, s.timesteps)
    # The state that ours has after a step is theirs after two.
    return {**made, 'noises': [], 'states': made['states'][1::2] + made['states'][-1:]}


def lcm(prediction, steps):
    s = LCMScheduler(**SGDIFF, clip_sample=False, prediction_type=PREDICTION[prediction])
    sigmas = in_float64(s, steps)

    def step(s, output, t, x, noise):
        scheduling_lcm.randn_tensor = lambda *_, **__: noise
        return s.step(output, t, x).prev_sample

    return given('lcm', {}, s, sigmas, prediction, step, s.timesteps)


# --- own, float64


def denoiser(x, sigma):
    return np.tanh(x / (1 + sigma))


def ancestral(sigma, after, eta):
    up = eta * np.sqrt(after**2 * (sigma**2 - after**2) / sigma**2)
    return np.sqrt(after**2 - up**2), up


def own_2s_ancestral(x, sigmas, noises, eta, s_noise):
    for i, (sigma, after) in enumerate(zip(sigmas, sigmas[1:])):
        x0 = denoiser(x, sigma)
        if after == 0:
            yield x0
            return
        down, up = ancestral(sigma, after, eta)
        h = np.log(sigma) - np.log(down)  # lambda = -log(sigma)
        s = np.exp(-(-np.log(sigma) + h / 2))
        u = s / sigma * x - np.expm1(-h / 2) * x0
        x = down / sigma * x - np.expm1(-h) * denoiser(u, s) + s_noise * up * noises[i]
        yield x


def weights(hs, h):
    """The integral over a step of the reverse SDE, h = (1 + eta) times its length, of the parabola through x0 at u = 0, -hs[0], ...:
    a weight for each. By Gauss-Legendre quadrature of the interpolation polynomials: nothing of the closed form enters."""
    nodes = -np.concatenate([[0], np.cumsum(hs)])
    z, w = np.polynomial.legendre.leggauss(40)
    u, w = (z + 1) / 2, w / 2
    out = []
    for j in range(len(nodes)):
        basis = np.ones_like(u)
        for m in range(len(nodes)):
            if m != j:
                basis = basis * (u - nodes[m]) / (nodes[j] - nodes[m])
        out.append(np.sum(w * h * np.exp(-(1 - u) * h) * basis))
    return out


def own_multistep_sde(x, sigmas, noises, eta, s_noise, order):
    seen = []
    for i, (sigma, after) in enumerate(zip(sigmas, sigmas[1:])):
        x0 = denoiser(x, sigma)
        if after == 0:
            yield x0
            return
        seen = [x0, *seen][:order]
        lengths = -np.diff(np.log(sigmas[i - len(seen) + 1 : i + 2]))[::-1]  # this step's first
        h = (1 + eta) * lengths[0]
        x = np.exp(-h) * x + sum(c * s for c, s in zip(weights(lengths[1:] / lengths[0], h), seen))
        x = x + s_noise * after * np.sqrt(1 - np.exp(-2 * eta * lengths[0])) * noises[i]
        yield x


def ddim(x, sigma, after):
    return x + (after - sigma) * (x - denoiser(x, sigma)) / sigma


def own_restart(x, sigmas, noises, restarts, step_rule):
    """arXiv:2306.14878, algorithm 1. Noises: one per restart, in turn."""
    fresh = iter(noises)
    for sigma, after in zip(sigmas, sigmas[1:]):
        x = step_rule(x, sigma, after)
        yield x
        for r in restarts:
            if after > 0 and after == min(sigmas[:-1], key=lambda s: abs(np.log(s / r['sigmaMin']))):
                ramp = np.linspace(r['sigmaMax'] ** (1 / 7), after ** (1 / 7), r['steps'] + 1) ** 7
                for _ in range(r['times']):
                    x = x + np.sqrt(r['sigmaMax'] ** 2 - after**2) * next(fresh)
                    for a, b in zip(ramp, ramp[1:]):
                        x = step_rule(x, a, b)
                        yield x


def own(solver, options, rule, sigmas, draws, **kwargs):
    x_t = draw()
    noises = [draw() for _ in range(draws)]
    start = x_t.numpy() * np.sqrt(1 + sigmas[0] ** 2)
    states = rule(start, sigmas, [n.numpy() for n in noises], **kwargs)
    return {
        'solver': solver,
        'options': options,
        'sigmas': numbers(sigmas, 17),
        'xT': numbers(x_t),
        'noises': [numbers(n) for n in noises],
        'states': [numbers(s) for s in states],
    }


def own_runs():
    karras = np.append(np.linspace(12 ** (1 / 7), 0.05 ** (1 / 7), 10) ** 7, 0)
    runs = []
    for eta, s_noise in [(1.0, 1.0), (0.5, 1.1), (0.0, 1.0)]:
        options = {'eta': eta, 'sNoise': s_noise}
        kwargs = dict(eta=eta, s_noise=s_noise)
        runs.append(own('2s-ancestral', options, own_2s_ancestral, karras, 10, **kwargs))
        two = {**options, 'solverType': 'heun'}
        runs.append(own('2m-sde', two, own_multistep_sde, karras, 10, order=2, **kwargs))
        runs.append(own('3m-sde', options, own_multistep_sde, karras, 10, order=3, **kwargs))
    again = [
        dict(sigmaMin=0.4, sigmaMax=1.5, times=2, steps=3),
        dict(sigmaMin=3.0, sigmaMax=9.0, times=1, steps=2),
    ]
    runs.append(own('restart', {'restarts': again}, own_restart, karras, 3, restarts=again, step_rule=ddim))
    return runs


if __name__ == '__main__':
    data = {
        'library': 'diffusers',
        'version': diffusers.__version__,
        'torch': torch.__version__,
        'numpy': np.__version__,
        'seed': SEED,
        'command': 'python tools/golden/sde_solvers.py',
        'shape': SHAPE,
        'schedule': {'kind': 'sqrt-linear', 'timesteps': T, 'betaStart': 0.0015, 'betaEnd': 0.0195},
        'given': [
            euler_ancestral('eps', 10),
            euler_ancestral('v', 20),
            multistep_sde('2m-sde', {'solverType': 'midpoint'}, 'v', 20, solver_order=2, solver_type='midpoint'),
            multistep_sde('2m-sde', {'solverType': 'midpoint'}, 'eps', 7, solver_order=2, solver_type='midpoint'),
            multistep_sde('2m-sde', {'solverType': 'heun'}, 'x0', 10, solver_order=2, solver_type='heun'),
            multistep_sde('2m-sde', {}, 'v', 1, solver_order=2, solver_type='midpoint'),
            singlestep(6),
            lcm('eps', 4),
            lcm('v', 8),
            lcm('x0', 1),
        ],
        # Third order as diffusers has it, which is at fault: the test says how.
        'faulty': multistep_sde(
            '3m-sde', {}, 'x0', 10, solver_order=3, solver_type='heun', lower_order_final=False
        ),
        'own': own_runs(),
    }
    OUT.write_text(json.dumps(data, separators=(',', ':')) + '\n')
    print(OUT, OUT.stat().st_size, 'bytes')
