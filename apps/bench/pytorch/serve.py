"""Times PyTorch on the CPU for the benchmark.

    python serve.py THREADS

Says {"torch": version} once it is ready, then answers each line of standard input with a line:
{"make": function, "args": {...}} prepares a run, {"run": repeats} gives {"ms": mean time of a run}.
"""

import json
import signal
import sys
import time

import torch

import operations
import steps

signal.signal(signal.SIGINT, signal.SIG_DFL)
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
makers = {**vars(operations), **vars(steps)}


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


say({"torch": torch.__version__})
run = None
for line in sys.stdin:
    request = json.loads(line)
    if "make" in request:
        run = makers[request["make"]](**request["args"])
        say({"made": request["make"]})
    else:
        begun = time.perf_counter()
        for _ in range(request["run"]):
            run()
        say({"ms": (time.perf_counter() - begun) / request["run"] * 1000})
