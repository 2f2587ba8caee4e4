"""Reference trajectories for the deterministic samplers of packages/samplers, made with the schedulers of diffusers.

Run from the repository root:  python tools/golden/ode_solvers.py
(any Python with torch, scipy and diffusers will do; the versions used are written into the file).

The network's answers are random numbers, multiples of 1/64, so that float32 holds them exactly. diffusers keeps sigmas in
float32 and makes its own lists of them: here every scheduler is given the list to be compared, in float64, so that what is compared
is the method. Euler rounds its states to float32 nevertheless.
"""

import json
import math
from pathlib import Path

import diffusers
import numpy as np
import scipy
import torch
from diffusers import (
    DEISMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import scheduling_euler_discrete

SEED = 20240518
SHAPE = (1, 3)
SCALE = 64
OUT = Path(__file__).resolve().parents[2] / 'packages/samplers/fixtures/ode-solvers.golden.json'
COMMAND = 'python tools/golden/ode_solvers.py'
PREDICTION = {'eps': 'epsilon', 'v': 'v_prediction', 'x0': 'sample'}

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(SEED)


def numbers(values, digits=8):
    """A NaN is None."""
    return [None if np.isnan(v) else float(f'{v:.{digits}g}') for v in np.asarray(values, dtype=np.float64).ravel()]


def draw():
    """Whole numbers: SCALE times about standard normal ones."""
    return (torch.randn(SHAPE, generator=generator) * SCALE).round()


def karras(steps, low=0.05, high=14.0, rho=7.0):
    ramp = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    levels = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return [*numbers(levels, 7), 0.0]


def spaced_in_t(steps):
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2
    a = np.cumprod(1 - betas)
    t = np.round(np.arange(1000, 0, -1000 / steps)).astype(int) - 1
    return [*numbers(np.sqrt((1 - a[t]) / a[t]), 7), 0.0]


class Timesteps:
    """Sets a scheduler's own lists to `sigmas`, and starts it at the first of them."""

    @staticmethod
    def plain(scheduler, sigmas):
        scheduler.sigmas = torch.tensor(sigmas)

    @staticmethod
    def heun(scheduler, sigmas):
        s = torch.tensor(sigmas)
        scheduler.sigmas = torch.cat([s[:1], s[1:-1].repeat_interleave(2), s[-1:]])

    @staticmethod
    def dpm2(scheduler, sigmas):
        s = torch.tensor(sigmas)
        middle = torch.cat([s[:1], torch.sqrt(s[1:] * s[:-1])])
        scheduler.sigmas = torch.cat([s[:1], s[1:].repeat_interleave(2), s[-1:]])
        scheduler.sigmas_interpol = torch.cat([middle[:1], middle[1:].repeat_interleave(2), middle[-1:]])


def trajectory(sampler, scheduler, sigmas, prediction, options=None, preserving=False, calls=1, place=Timesteps.plain, **step):
    """`preserving`: the scheduler's states are variance-preserving. `calls`: network calls per step to a sigma above 0."""
    steps = len(sigmas) - 1
    scheduler.set_timesteps(steps)
    place(scheduler, sigmas)
    scheduler.set_begin_index(0)
    scheduler.is_scale_input_called = True
    x_t = draw()
    x = x_t / SCALE * (1 if preserving else sigmas[0])
    levels = [level for i in range(steps) for level in [sigmas[i + 1]] * (calls if sigmas[i + 1] > 0 else 1)]
    outputs, noises, states = [], [], []
    for call, level in enumerate(levels):
        output, noise = draw(), draw()
        scheduling_euler_discrete.randn_tensor = lambda *_, **__: noise / SCALE
        x = scheduler.step(output / SCALE, scheduler.timesteps[call], x, **step).prev_sample.double()
        outputs.append([int(v) for v in output.ravel()])
        noises.append([int(v) for v in noise.ravel()])
        states.append(numbers(x * (math.sqrt(1 + level**2) if preserving else 1)))
    return {
        'sampler': sampler,
        'options': options or {},
        'sigmas': sigmas,
        'prediction': prediction,
        'xT': [int(v) for v in x_t.ravel()],
        'preserving': preserving,
        'outputs': outputs,
        **({'noises': noises} if 's_churn' in step else {}),
        'states': states,
    }


def euler(sigmas, prediction, churn=None):
    step = {f's_{key[1:].lower()}': value for key, value in (churn or {}).items()}
    made = EulerDiscreteScheduler(prediction_type=PREDICTION[prediction])
    return trajectory('euler', made, sigmas, prediction, churn, **step)


def heun(sigmas, prediction):
    made = HeunDiscreteScheduler(prediction_type=PREDICTION[prediction])
    return trajectory('heun', made, sigmas, prediction, calls=2, place=Timesteps.heun)


def dpm2(sigmas, prediction):
    made = KDPM2DiscreteScheduler(prediction_type=PREDICTION[prediction])
    return trajectory('dpm2', made, sigmas, prediction, calls=2, place=Timesteps.dpm2)


def lms(order, sigmas, prediction):
    made = LMSDiscreteScheduler(prediction_type=PREDICTION[prediction])
    return trajectory('lms', made, sigmas, prediction, {'order': order}, order=order)


def deis(order, sigmas, prediction):
    # lower_order_final lowers the second last step, too, and only below 15 steps. Ours has no such rule; the step to 0, which
    # diffusers never takes (its list ends at the schedule's lowest level), is left out.
    made = DEISMultistepScheduler(prediction_type=PREDICTION[prediction], solver_order=order, lower_order_final=False)
    return trajectory('deis', made, sigmas[:-1], prediction, {'order': order}, preserving=True)


def unipc(order, variant, sigmas, prediction, corrector=True):
    steps = len(sigmas) - 1
    made = UniPCMultistepScheduler(
        prediction_type=PREDICTION[prediction],
        solver_order=order,
        solver_type=variant,
        lower_order_final=sigmas[-1] == 0,
        disable_corrector=[] if corrector else list(range(steps)),
    )
    options = {'order': order, 'variant': variant, 'corrector': corrector}
    return trajectory('unipc', made, sigmas, prediction, options, preserving=True)


def deis_lists():
    """The levels diffusers' DEIS ends on, by its own lists."""
    rows = []
    for karras_sigmas in (False, True):
        made = DEISMultistepScheduler(timestep_spacing='trailing', use_karras_sigmas=karras_sigmas)
        made.set_timesteps(10)
        rows.append({'karras': karras_sigmas, 'last': numbers(made.sigmas[-2:])})
    return rows


def main():
    data = {
        'library': 'diffusers',
        'version': diffusers.__version__,
        'torch': torch.__version__,
        'scipy': scipy.__version__,
        'numpy': np.__version__,
        'seed': SEED,
        'command': COMMAND,
        'shape': SHAPE,
        'scale': SCALE,
        'deisEnds': deis_lists(),
        'trajectories': [
            euler(karras(8), 'eps'),
            euler(spaced_in_t(10), 'v'),
            euler(karras(1), 'x0'),
            # The first step is left without churn: there we do not go above the level that the run starts from.
            euler(karras(8), 'eps', {'sChurn': 2.0, 'sTmin': 0.1, 'sTmax': 10.0, 'sNoise': 1.007}),
            euler(spaced_in_t(6), 'eps', {'sChurn': 1.2, 'sTmin': 0.0, 'sTmax': 5.0, 'sNoise': 1.0}),
            heun(karras(8), 'eps'),
            heun(spaced_in_t(6), 'v'),
            heun(karras(3), 'x0'),
            heun(karras(1), 'v'),
            dpm2(karras(8), 'eps'),
            dpm2(spaced_in_t(6), 'v'),
            dpm2(karras(1), 'v'),
            *[lms(order, karras(8), 'eps') for order in (1, 2, 3, 4)],
            lms(4, spaced_in_t(12), 'v'),
            lms(4, karras(2), 'x0'),
            lms(4, karras(1), 'v'),
            *[deis(order, karras(8), 'eps') for order in (1, 2, 3)],
            deis(3, spaced_in_t(16), 'v'),
            deis(2, karras(2), 'x0'),
            *[unipc(order, variant, karras(8), 'eps') for order in (1, 2, 3) for variant in ('bh1', 'bh2')],
            unipc(2, 'bh2', spaced_in_t(16), 'v'),
            unipc(3, 'bh2', spaced_in_t(12), 'x0'),
            unipc(3, 'bh1', karras(8), 'v', corrector=False),
            unipc(3, 'bh2', karras(8)[:-1], 'v'),
            unipc(3, 'bh2', karras(2), 'v'),
            unipc(3, 'bh2', karras(3), 'eps'),
            unipc(2, 'bh2', karras(1), 'v'),
        ],
    }
    OUT.write_text(json.dumps(data, separators=(',', ':')) + '\n')
    print(OUT, OUT.stat().st_size, 'bytes')


if __name__ == '__main__':
    main()
