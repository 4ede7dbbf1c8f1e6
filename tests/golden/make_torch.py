"""Makes tests/golden/torch/: files of torch.save, with what torch computes from their weights.

Run in an environment of ``torch==2.13.*`` and NumPy; ``make_torch_old.py`` makes ``old_*.pt``:

    python tests/golden/make_torch.py
"""

import collections
import io
import itertools
import os
import zipfile

import numpy as np
import torch
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch")
FEATURES, UNITS, TIMESTEPS, BATCH = 3, 4, 5, 3
LENGTHS = [3, 5, 1]


def save(value, name, **options):
    torch.save(value, os.path.join(HERE, name), **options)


def packed(structure):
    """Return the same with its tensors as views of one storage, which makes a small file."""
    tensors = []

    def collect(item):
        if isinstance(item, torch.Tensor):
            tensors.append(item.detach())
        for inner in item.values() if isinstance(item, dict) else item if is_list(item) else ():
            collect(inner)

    def replaced(item):
        if isinstance(item, torch.Tensor):
            return views.pop(0)
        if isinstance(item, dict):
            return {key: replaced(value) for key, value in item.items()}
        return [replaced(inner) for inner in item] if is_list(item) else item

    collect(structure)
    whole = torch.cat([tensor.reshape(-1) for tensor in tensors])
    sizes = [tensor.numel() for tensor in tensors]
    views = [v.view(t.shape) for v, t in zip(whole.split(sizes), tensors, strict=True)]
    return replaced(structure)


def is_list(item):
    return isinstance(item, (list, tuple))


# Recurrent modules: every option


def recurrent_cases():
    kinds = [
        (nn.LSTM, {}),
        (nn.LSTM, {"proj_size": 2}),
        (nn.GRU, {}),
        (nn.RNN, {"nonlinearity": "tanh"}),
        (nn.RNN, {"nonlinearity": "relu"}),
    ]
    for (kind, extra), layers, both, bias in itertools.product(
        kinds, (1, 2), (False, True), (True, False)
    ):
        torch.manual_seed(7)
        options = dict(extra, num_layers=layers, bidirectional=both, bias=bias)
        module = kind(FEATURES, UNITS, **options)
        calls = [
            call(kind, module, options, first, with_states, lengths)
            for first in (False, True)
            for with_states, lengths in ((False, None), (True, None), (True, LENGTHS))
        ]
        yield {
            "kind": kind.__name__,
            "options": options,
            "state_dict": dict(module.state_dict()),
            "calls": calls,
        }


def call(kind, module, options, batch_first, with_states, lengths):
    twin = kind(FEATURES, UNITS, batch_first=batch_first, **options)
    twin.load_state_dict(module.state_dict())
    lead = (BATCH, TIMESTEPS) if batch_first else (TIMESTEPS, BATCH)
    x, hx = torch.randn((*lead, FEATURES)), None
    if with_states:
        rows = options["num_layers"] * (2 if options["bidirectional"] else 1)
        hx = torch.randn(rows, BATCH, options.get("proj_size") or UNITS)
        hx = (hx, torch.randn(rows, BATCH, UNITS)) if kind is nn.LSTM else hx
    inputs = x
    if lengths:
        pack = nn.utils.rnn.pack_padded_sequence
        inputs = pack(x, lengths, batch_first=batch_first, enforce_sorted=False)
    with torch.no_grad():
        output, last = twin(inputs, hx)
    if lengths:
        unpack = nn.utils.rnn.pad_packed_sequence
        output, _ = unpack(output, batch_first=batch_first, total_length=TIMESTEPS)
    return {
        "batch_first": batch_first,
        "x": x,
        "hx": hx,
        "lengths": lengths,
        "output": output,
        "last": last,
    }


def alone_cases():
    """One sequence without a batch, and cells."""
    for kind, extra in (
        (nn.LSTM, {"proj_size": 2, "bidirectional": True}),
        (nn.GRU, {"num_layers": 2}),
    ):
        torch.manual_seed(8)
        module = kind(FEATURES, UNITS, **extra)
        x = torch.randn(TIMESTEPS, FEATURES)
        hx = torch.randn(2, extra.get("proj_size", UNITS))
        hx = (hx, torch.randn(2, UNITS)) if kind is nn.LSTM else hx
        with torch.no_grad():
            output, last = module(x, hx)
        yield kind.__name__, dict(module.state_dict()), {}, x, hx, [output, last]
    for kind, extra in (
        (nn.LSTMCell, {}),
        (nn.GRUCell, {"bias": False}),
        (nn.RNNCell, {"nonlinearity": "relu"}),
    ):
        for lead in ((), (BATCH,)):
            torch.manual_seed(9)
            module = kind(FEATURES, UNITS, **extra)
            x, hx = torch.randn((*lead, FEATURES)), torch.randn((*lead, UNITS))
            hx = (hx, torch.randn((*lead, UNITS))) if kind is nn.LSTMCell else hx
            with torch.no_grad():
                last = module(x, hx)
            extra.pop("bias", None)
            yield kind.__name__, dict(module.state_dict()), extra, x, hx, last


# Chains


def as_spec(module):
    """Return a module's class, attributes and weights, of which tests make a stand-in."""
    attributes = (
        "batch_first nonlinearity eps normalized_shape stride padding dilation groups padding_mode "
        "dim start_dim end_dim max_norm"
    )
    found = {name: getattr(module, name) for name in attributes.split() if hasattr(module, name)}
    children = [as_spec(child) for child in module.children()]
    return {
        "kind": type(module).__name__,
        "attributes": found,
        "state_dict": {} if children else dict(module.state_dict()),
        "children": children,
    }


def chains():
    torch.manual_seed(10)
    ids = torch.randint(0, 9, (BATCH, TIMESTEPS))
    x = torch.randn(BATCH, FEATURES, 8)
    models = {
        "convolutions": (
            nn.Sequential(
                nn.Conv1d(FEATURES, 4, 3, padding=1),
                nn.BatchNorm1d(4),
                nn.ReLU(),
                nn.Sequential(nn.Conv1d(4, 6, 2, stride=2, dilation=2, groups=2, bias=False)),
                nn.Tanh(),
                nn.Conv1d(6, 4, 3, padding="same"),
                nn.Softmax(dim=1),
                nn.Dropout(),
                nn.Flatten(),
                nn.Linear(12, 5),
                nn.LayerNorm(5, eps=1e-3),
                nn.Sigmoid(),
                nn.Identity(),
                nn.Linear(5, 3, bias=False),
                nn.LogSoftmax(dim=-1),
            ),
            x,
        ),
        "over_steps": (nn.Sequential(nn.Conv1d(FEATURES, 4, 3), nn.Linear(6, 2)), x),
        "two_axes": (nn.Sequential(nn.LayerNorm([FEATURES, 8]), nn.Linear(8, 2)), x),
        "ids": (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2), nn.ReLU()), ids),
        "doubles": (nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2)).double(), x),
    }
    for model, _ in models.values():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        model.eval()
    with torch.no_grad():
        return {
            name: {"module": as_spec(model), "x": inputs, "y": model(inputs.to(first_dtype(model)))}
            for name, (model, inputs) in models.items()
        }


def first_dtype(model):
    return torch.int64 if isinstance(model[0], nn.Embedding) else next(model.parameters()).dtype


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.conv = nn.Conv1d(4, 5, 3)
        self.norm = nn.BatchNorm1d(5)
        self.lstm = nn.LSTM(5, 6, 2, batch_first=True, bidirectional=True, proj_size=3)
        self.gru = nn.GRU(6, 6, batch_first=True)
        self.normal = nn.LayerNorm(6)
        self.project = nn.Linear(6, 4, bias=False)
        self.fc = nn.Linear(4, 3)

    def forward(self, ids):
        x = self.embedding(ids)
        x = torch.relu(self.norm(self.conv(x.transpose(1, 2)))).transpose(1, 2)
        x, _ = self.gru(self.lstm(x)[0])
        every = self.project(self.normal(x))
        return every, torch.log_softmax(self.fc(torch.tanh(every[:, -1])), -1), x[:, -1]


def tagger():
    torch.manual_seed(11)
    model = Tagger().eval()
    model.norm.running_mean.normal_()
    ids = torch.randint(0, 9, (BATCH, 7))
    with torch.no_grad():
        every, classes, last = model(ids)
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    state = {"module." + key: value.clone() for key, value in model.state_dict().items()}
    optimizer.step()
    return {
        "epoch": 3,
        "best": np.float64(0.25),
        "model_state_dict": state,
        "optimizer_state_dict": optimizer.state_dict(),
        "ids": ids,
        "every": every,
        "classes": classes,
        "last": last,
    }


# What a file may hold


def tensors():
    """Return tensors of every form, and what they are as NumPy arrays."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    with_attribute = torch.ones(2)
    with_attribute.note = "kept by torch"
    found = collections.OrderedDict(
        base=base,
        offset=base[2:, 1:4],
        transposed=base.t(),
        strided=base[::2, ::3],
        expanded=torch.tensor([[1.0], [2.0]]).expand(2, 5),
        overlapping=torch.arange(5.0).as_strided((3, 3), (1, 1)),
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 4),
        parameter=nn.Parameter(torch.full((2,), 0.5)),
        buffer=nn.Buffer(torch.tensor([7.0])),
        with_attribute=with_attribute,
        bfloat16=torch.tensor([1.0, -2.5, 3e38, float("inf")], dtype=torch.bfloat16),
        half=torch.tensor([1.0, -2.5, 6e-8], dtype=torch.float16),
        double=torch.tensor([1 / 3], dtype=torch.float64),
        int64=torch.tensor([-(2**62), 5]),
        int32=torch.tensor([-7, 7], dtype=torch.int32),
        int16=torch.tensor([-7, 7], dtype=torch.int16),
        int8=torch.tensor([-7, 7], dtype=torch.int8),
        uint8=torch.tensor([255, 0], dtype=torch.uint8),
        uint16=torch.tensor([65535, 1], dtype=torch.uint16),
        bool=torch.tensor([True, False, True]),
    )
    arrays = {}
    for name, tensor in found.items():
        plain = tensor.detach()
        plain = plain.float() if tensor.dtype == torch.bfloat16 else plain
        arrays[name] = plain.numpy()
    return found, arrays


def plain():
    return {
        "text": "caf\u00e9",
        "bytes": b"\x00\xff",
        "no_bytes": b"",
        "bytearray": bytearray(b"ab"),
        "numbers": [1, -1, 255, 65536, -(2**31), 2**40, -(2**70), 1.5, True, False, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, 2},
        "frozenset": frozenset([3]),
        (1, "key"): {2: 3.0},
        "counter": collections.Counter("aab"),
        "size": torch.Size([2, 3]),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "numpy": [np.float64(0.5), np.int32(-3), np.bool_(True)],
        "array": np.arange(6.0).reshape(2, 3)[:, ::-1],
        "fortran": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    }


# Made so, it has no source text, which torch would put into the file.
Small = type("Small", (nn.Module,), {})


def script():
    content = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), content)
    path = os.path.join(HERE, "script.pt")
    with zipfile.ZipFile(content) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            if not name.endswith(".debug_pkl"):
                archive.writestr(name, whole.read(name))


def main():
    save(packed(list(recurrent_cases())), "recurrent.pt")
    save(packed(list(map(list, alone_cases()))), "alone.pt")
    save(chains(), "chains.pt")
    save(tagger(), "tagger.pt")
    found, arrays = tensors()
    np.savez_compressed(os.path.join(HERE, "tensors.npz"), **arrays)
    for protocol in (2, 5):
        save([found, plain()], f"tensors_p{protocol}.pt", pickle_protocol=protocol)
    save([found, plain()], "tensors_legacy.pt", _use_new_zipfile_serialization=False)
    save(nn.GRU(2, 2), "whole.pt")
    save({"model": Tagger(), "epoch": 1}, "whole_of_users.pt")
    save(Small(), "whole_legacy.pt", _use_new_zipfile_serialization=False)
    script()


if __name__ == "__main__":
    main()
