# ruff: noqa: UP031
"""Makes tests/golden/torch/old_*.pt: a checkpoint as an older torch writes it.

Run with each of torch 1.0.0 (Python 2.7), 1.4.0 (Python 3.7) and 1.6.0 (Python 3.8), and NumPy:

    python tests/golden/make_torch_old.py
"""

import collections
import os
import sys

import numpy as np
import torch
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch")
VERSION = torch.__version__.split("+")[0]


def save(value, suffix="", **options):
    name = "old_%s_python%d%s.pt" % (VERSION, sys.version_info[0], suffix)
    torch.save(value, os.path.join(HERE, name), **options)


def main():
    torch.manual_seed(12)
    module = nn.LSTM(3, 4, bidirectional=True)
    x = torch.randn(5, 3, 3)
    with torch.no_grad():
        output, (h, c) = module(x)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(x)[0].sum().backward()
    state = collections.OrderedDict((k, v.clone()) for k, v in module.state_dict().items())
    optimizer.step()
    whole = torch.arange(10).float()
    checkpoint = {
        "state_dict": state,
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "large": 2**40,
        "best": np.float32(0.5),
        "array": np.arange(3.0),
        "views": [whole[2:4], whole[6:].view(2, 2).t(), nn.Parameter(whole[:3])],
        "x": x,
        "output": output,
        "h": h,
        "c": c,
    }
    save(checkpoint)
    if VERSION.startswith("1.6"):
        save(checkpoint, "_legacy", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
