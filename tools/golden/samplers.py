"""Reference values for packages/samplers, made with the schedulers of diffusers.

Run from the repository root:  python tools/golden/samplers.py
(any Python with torch and diffusers will do; the versions used are written into the file).

diffusers keeps its schedules in float32. For the trajectories the same schedule is put in as float64, so that what is
compared is the method, not the rounding of a cumulative product. Step counts are divisors of 1000: for others diffusers
steps to `t - 1000 // steps`, which is not the next timestep of its own list.
"""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.schedulers import scheduling_ddpm

SEED = 20240117
SHAPE = (2, 3)
T = 1000
SGDIFF = dict(num_train_timesteps=T, beta_start=0.0015, beta_end=0.0195)
HOME = Path(__file__).resolve().parents[2] / 'packages/samplers/fixtures'
COMMAND = 'python tools/golden/samplers.py'
PREDICTION = {'eps': 'epsilon', 'v': 'v_prediction', 'x0': 'sample'}

generator = torch.Generator().manual_seed(SEED)


def header():
    return {
        'library': 'diffusers',
        'version': diffusers.__version__,
        'torch': torch.__version__,
        'numpy': np.__version__,
        'seed': SEED,
        'command': COMMAND,
    }


def numbers(values, digits=9):
    return [float(f'{v:.{digits}g}') for v in np.asarray(values, dtype=np.float64).ravel()]


def alphas_cumprod():
    betas = np.linspace(SGDIFF['beta_start'] ** 0.5, SGDIFF['beta_end'] ** 0.5, T, dtype=np.float64) ** 2
    return torch.from_numpy(np.cumprod(1 - betas))


def in_float64(scheduler):
    scheduler.alphas_cumprod = alphas_cumprod()
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    if hasattr(scheduler, 'final_alpha_cumprod'):
        scheduler.final_alpha_cumprod = scheduler.one
    return scheduler


def draw():
    # Values that float32 holds exactly, so that both sides start from the same numbers.
    return torch.randn(SHAPE, generator=generator, dtype=torch.float32).double()


def trajectory(name, scheduler, options, spacing, steps, prediction, step):
    scheduler.set_timesteps(steps)
    timesteps = [int(t) for t in scheduler.timesteps]
    assert len(timesteps) == steps, (name, steps, timesteps)
    x_t = draw()
    x, outputs, noises, states = x_t, [], [], []
    for t in timesteps:
        output, noise = draw(), draw()
        x = step(scheduler, output, t, x, noise).double()
        outputs.append(numbers(output))
        noises.append(numbers(noise))
        states.append(numbers(x))
    return {
        'sampler': name,
        'options': options,
        'spacing': spacing,
        'steps': steps,
        'prediction': prediction,
        'timesteps': timesteps,
        'xT': numbers(x_t),
        'outputs': outputs,
        'noises': noises,
        'states': states,
    }


def ddim(eta, spacing, steps, prediction, offset=0):
    scheduler = in_float64(
        DDIMScheduler(
            **SGDIFF,
            beta_schedule='scaled_linear',
            clip_sample=False,
            set_alpha_to_one=True,
            steps_offset=offset,
            timestep_spacing=spacing,
            prediction_type=PREDICTION[prediction],
        )
    )

    def step(s, output, t, x, noise):
        return s.step(output, t, x, eta=eta, variance_noise=noise if eta > 0 else None).prev_sample

    made = trajectory('ddim', scheduler, {'eta': eta}, spacing, steps, prediction, step)
    return {**made, 'offset': offset}


def ddpm(variance, spacing, steps, prediction):
    scheduler = in_float64(
        DDPMScheduler(
            **SGDIFF,
            beta_schedule='scaled_linear',
            clip_sample=False,
            variance_type={'posterior': 'fixed_small', 'beta': 'fixed_large'}[variance],
            timestep_spacing=spacing,
            prediction_type=PREDICTION[prediction],
        )
    )

    def step(s, output, t, x, noise):
        scheduling_ddpm.randn_tensor = lambda *_, **__: noise
        return s.step(output, t, x).prev_sample

    return trajectory('ddpm', scheduler, {'variance': variance}, spacing, steps, prediction, step)


def dpm_solver_pp_2m(order, spacing, steps, prediction):
    scheduler = in_float64(
        DPMSolverMultistepScheduler(
            **SGDIFF,
            beta_schedule='scaled_linear',
            solver_order=order,
            algorithm_type='dpmsolver++',
            solver_type='midpoint',
            final_sigmas_type='zero',
            timestep_spacing=spacing,
            prediction_type=PREDICTION[prediction],
        )
    )

    def step(s, output, t, x, noise):
        return s.step(output, t, x).prev_sample

    return trajectory('dpm-solver-pp-2m', scheduler, {'order': order}, spacing, steps, prediction, step)


def schedules():
    at = [0, 1, 2, 100, 499, 500, 750, 998, 999]
    out = []
    for kind, name in [('linear', 'linear'), ('sqrt-linear', 'scaled_linear'), ('cosine', 'squaredcos_cap_v2')]:
        scheduler = DDIMScheduler(**SGDIFF, beta_schedule=name)
        out.append(
            {
                'kind': kind,
                'timesteps': T,
                'betaStart': SGDIFF['beta_start'],
                'betaEnd': SGDIFF['beta_end'],
                'at': at,
                'betas': numbers(scheduler.betas[at]),
                'alphasCumprod': numbers(scheduler.alphas_cumprod[at]),
            }
        )
    return out


def spacings():
    lists, wrong, checksums = [], [], {}
    for spacing in ['leading', 'trailing', 'linspace']:
        checksum = 0  # over every list from 2 steps on, cut to the length asked for
        for steps in range(1, T + 1):
            scheduler = DDIMScheduler(**SGDIFF, beta_schedule='scaled_linear', timestep_spacing=spacing)
            scheduler.set_timesteps(steps)
            timesteps = [int(t) for t in scheduler.timesteps]
            for t in timesteps[:steps] if steps > 1 else []:
                checksum = (checksum * 31 + t) % 2**32
            if len(timesteps) != steps:
                wrong.append({'spacing': spacing, 'steps': steps, 'taken': len(timesteps)})
            if steps in (1, 2, 3, 4, 7, 9, 10, 15, 27, 30, 37, 60):
                lists.append({'spacing': spacing, 'steps': steps, 'timesteps': timesteps})
        checksums[spacing] = checksum
    return {'lists': lists, 'wrongCount': wrong, 'checksums': checksums}


def sgdiff_ddim():
    """Constants of the published DDIM table (S = 200, eta = 1), float64, from the formulas."""
    a = alphas_cumprod().numpy()
    t = np.arange(0, T, T // 200) + 1
    prev = np.concatenate([a[:1], a[t[:-1]]])
    sigma = np.sqrt((1 - prev) / (1 - a[t]) * (1 - a[t] / prev))
    rows = [0, 1, 100, 199]
    return {
        'steps': 200,
        'offset': 1,
        'rows': [
            {
                'index': i,
                't': int(t[i]),
                'alphaCumprod': float(a[t[i]]),
                'alphaCumprodNext': float(prev[i]),
                'sigma': float(sigma[i]),
            }
            for i in rows
        ],
    }


def write(name, data):
    path = HOME / name
    path.write_text(json.dumps({**header(), **data}, separators=(',', ':')) + '\n')
    print(path, path.stat().st_size, 'bytes')


if __name__ == '__main__':
    HOME.mkdir(parents=True, exist_ok=True)
    write('schedules.golden.json', {'schedules': schedules(), **spacings(), 'ddim': sgdiff_ddim()})
    write(
        'trajectories.golden.json',
        {
            'shape': SHAPE,
            'schedule': {'kind': 'sqrt-linear', 'timesteps': T, 'betaStart': 0.0015, 'betaEnd': 0.0195},
            'trajectories': [
                ddim(0.0, 'leading', 10, 'eps'),
                ddim(0.0, 'trailing', 20, 'v'),
                ddim(0.5, 'leading', 10, 'x0', offset=1),
                ddim(1.0, 'trailing', 10, 'eps'),
                ddim(1.0, 'trailing', 1, 'v'),
                ddpm('posterior', 'trailing', 20, 'v'),
                ddpm('posterior', 'leading', 10, 'eps'),
                # Leading, to end at t = 0: elsewhere their fixed_large adds noise in the last step, to the result itself.
                ddpm('beta', 'leading', 10, 'x0'),
                dpm_solver_pp_2m(2, 'trailing', 20, 'eps'),
                dpm_solver_pp_2m(2, 'trailing', 10, 'v'),
                dpm_solver_pp_2m(2, 'leading', 7, 'x0'),
                dpm_solver_pp_2m(1, 'linspace', 5, 'v'),
                dpm_solver_pp_2m(2, 'trailing', 1, 'v'),
                dpm_solver_pp_2m(2, 'trailing', 2, 'eps'),
            ],
        },
    )
