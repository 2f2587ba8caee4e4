"""Reference values for packages/samplers, made with the schedulers of diffusers.

Run from the repository root:  python tools/golden/samplers.py [file …]
(any Python with torch and diffusers will do; the versions used are written into the file; without a name, every file is made).

diffusers keeps its schedules in float32. For the trajectories the same schedule is put in as float64, so that what is
compared is the method, not the rounding of a cumulative product. Step counts are divisors of 1000: for others diffusers
steps to `t - 1000 // steps`, which is not the next timestep of its own list.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.schedulers import scheduling_ddpm
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

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


def sigmoid_schedule():
    scheduler = DDPMScheduler(**SGDIFF, beta_schedule='sigmoid')
    at = [0, 1, 2, 100, 499, 500, 750, 998, 999]
    return {
        'kind': 'sigmoid',
        'timesteps': T,
        'betaStart': SGDIFF['beta_start'],
        'betaEnd': SGDIFF['beta_end'],
        'at': at,
        'betas': numbers(scheduler.betas[at]),
        'alphasCumprod': numbers(scheduler.alphas_cumprod[at]),
    }


def zero_terminal_snr():
    """Their rescale of float64 betas; and the sigmas of their Euler on it, where 2^-24 stands for the last alpha-bar."""
    at = [0, 1, 2, 100, 499, 500, 750, 998, 999]
    out = []
    for kind in ['linear', 'sqrt-linear']:
        power = 2 if kind == 'sqrt-linear' else 1
        ends = [SGDIFF[end] ** (1 / power) for end in ('beta_start', 'beta_end')]
        betas = torch.from_numpy(np.linspace(*ends, T, dtype=np.float64) ** power)
        rescaled = rescale_zero_terminal_snr(betas)
        euler = EulerDiscreteScheduler(
            **SGDIFF,
            beta_schedule={'linear': 'linear', 'sqrt-linear': 'scaled_linear'}[kind],
            rescale_betas_zero_snr=True,
            timestep_spacing='trailing',
        )
        euler.set_timesteps(T)
        out.append(
            {
                'kind': kind,
                'at': at,
                'betas': numbers(rescaled[at], 15),
                'alphasCumprod': numbers(torch.cumprod(1 - rescaled, 0)[at], 15),
                'firstTwoSigmasOfEuler': numbers(euler.sigmas[:2]),
            }
        )
    return out


def poly_exponential(n, sigma_min, sigma_max, rho):
    """The formula of k-diffusion's get_sigmas_polyexponential, in float64."""
    ramp = np.linspace(1, 0, n) ** rho
    return np.exp(ramp * (np.log(sigma_max) - np.log(sigma_min)) + np.log(sigma_min))


def sigma_lists():
    scheduler = EulerDiscreteScheduler(**SGDIFF, beta_schedule='scaled_linear')
    out = []
    for sigma_min, sigma_max in [(0.0387, 83.8), (0.1, 10.0)]:
        ends = torch.tensor([sigma_max, sigma_min], dtype=torch.float64)
        for n in [1, 2, 3, 10, 31]:
            lists = {
                'karras': scheduler._convert_to_karras(ends, n),
                'exponential': scheduler._convert_to_exponential(ends, n),
                'polyexponential': poly_exponential(n, sigma_min, sigma_max, 1.6),
                'beta': scheduler._convert_to_beta(ends, n),
                'beta-skewed': scheduler._convert_to_beta(ends, n, alpha=1.7, beta=0.4),
            }
            out += [
                {'list': name, 'sigmaMin': sigma_min, 'sigmaMax': sigma_max, 'steps': n, 'sigmas': numbers(values, 15)}
                for name, values in lists.items()
            ]
    return out


def faults_of_lists():
    """How many different timesteps their DPM-Solver++ visits, and how many of its steps have length 0, with Karras sigmas."""
    out = []
    for name in ['scaled_linear', 'squaredcos_cap_v2']:
        for steps in [20, 100]:
            scheduler = DPMSolverMultistepScheduler(**SGDIFF, beta_schedule=name, use_karras_sigmas=True)
            scheduler.set_timesteps(steps)
            different = len(set(int(t) for t in scheduler.timesteps))
            out.append({'schedule': name, 'steps': steps, 'differentTimesteps': different})
    return out


def guidance():
    generator = torch.Generator().manual_seed(SEED)
    shape = (2, 2, 3, 2)
    text, uncond = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    text, uncond = text.float().double(), uncond.float().double()
    guided = uncond + 7.5 * (text - uncond)
    rescaled = [
        {'rescale': r, 'values': numbers(rescale_noise_cfg(guided, text, guidance_rescale=r))} for r in (0.0, 0.7, 1.0)
    ]
    thresholded = []
    for ratio, top in [(0.995, 1e9), (0.8, 1e9), (0.8, 1.5), (1.0, 1e9)]:
        scheduler = DDIMScheduler(thresholding=True, dynamic_thresholding_ratio=ratio, sample_max_value=top)
        values = numbers(scheduler._threshold_sample(2.5 * text))
        thresholded.append({'percentile': ratio, 'max': top, 'values': values})
    return {
        'shape': shape,
        'guidanceScale': 7.5,
        'conditional': numbers(text),
        'unconditional': numbers(uncond),
        'rescaled': rescaled,
        'scaledBy': 2.5,
        'thresholded': thresholded,
    }


WANTED = sys.argv[1:]


def write(name, make):
    if WANTED and name not in WANTED:
        return
    path = HOME / name
    path.write_text(json.dumps({**header(), **make()}, separators=(',', ':')) + '\n')
    print(path, path.stat().st_size, 'bytes')


if __name__ == '__main__':
    HOME.mkdir(parents=True, exist_ok=True)
    write('schedules.golden.json', lambda: {'schedules': schedules(), **spacings(), 'ddim': sgdiff_ddim()})
    write(
        'schedules-and-lists.golden.json',
        lambda: {
            'sigmoid': sigmoid_schedule(),
            'zeroTerminalSnr': zero_terminal_snr(),
            'lists': sigma_lists(),
            'faults': faults_of_lists(),
        },
    )
    write('guidance.golden.json', guidance)
    write(
        'trajectories.golden.json',
        lambda: {
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
