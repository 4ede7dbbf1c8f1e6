"""rnn_core: trained recurrent networks on CPUs.

The recurrent API that Keras users know, on NumPy and SciPy alone. `load` opens a model file,
`from_torch` takes PyTorch's weights; `Sequential` and `Model` are made of the layers below and run
them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnn_core import backend, layers
from rnn_core._model import Model
from rnn_core._nest import TensorShape
from rnn_core._sequential import Sequential
from rnn_core._threads import get_num_threads, set_num_threads
from rnn_core._version import __version__ as __version__
from rnn_core.layers import *  # noqa: F403


def load(path: Any, custom_objects: dict[str, Any] | None = None, weights: Any = None) -> Any:
    """Return what a file holds: a model, or weights alone as arrays by name.

    Args:
        path: of a model that Keras saved, ``.keras``, ``.h5`` of Keras 1 to 3, or the JSON text of
            `to_json`; of an ``.onnx`` file, which gives an `OnnxModel`; of a file of torch.save,
            zip or older; or of a ``.safetensors`` file.
        custom_objects: your own layers, cells and functions by the names they have in the file:
            ``"Name"``, or ``"package>Name"`` of registered ones.
        weights: of a file of weights for the model; see `Model.load_weights`.

    A file of torch.save gives the dicts, lists, numbers and text that were saved, its tensors as
    arrays (bfloat16 as float32), which `from_torch` makes a model of. These may be views of the
    file, mapped into memory, as are all weights from ``.safetensors``: they cannot be written to,
    and the file must not be written over while they are in use.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is corrupt, or of a kind or with a layer that is not known. A Lambda
            is never known, for it is code; nor is a PyTorch module that was saved whole, or as
            TorchScript: save its `state_dict()`.

    >>> load("missing.keras")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.keras'
    """
    from rnn_core.importers import load

    return load(Path(path), custom_objects, weights and Path(weights))


def from_keras(model: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return what a model, layer or cell of Keras is here, with its weights.

    Args:
        model: of Keras 2, tf_keras or Keras 3, built; neither is imported.
        custom_objects: your own layers, cells and functions by name, as for `load`.

    Raises:
        ValueError: a layer that is not known, or not built.

    >>> class Dense:
    ...     __module__ = "keras.layers"
    ...     def get_config(self):
    ...         return {"units": 1}
    ...     def get_build_config(self):
    ...         return {"input_shape": (None, 2)}
    ...     def get_weights(self):
    ...         return [[[2.0], [3.0]], [1.0]]
    >>> from_keras(Dense())([[1.0, 1.0]])
    array([[6.]], dtype=float32)
    """
    from rnn_core.importers.keras import from_live

    return from_live(model, custom_objects)


def from_torch(
    source: Any,
    modules: str | Sequence[str] | None = None,
    batch_first: bool = False,
    nonlinearity: str = "tanh",
) -> Any:
    """Return what PyTorch modules compute, from the modules or their state dict; without torch.

    Args:
        source: a torch.nn.Module; or a state dict, of tensors or arrays by name, also within a
            checkpoint under ``"state_dict"``, ``"model_state_dict"`` or ``"model"``. `load` reads
            one from a file.
        modules: names of the modules to apply, in order, such as ``["embedding", "gru", "fc"]``,
            as they are in the state dict (with ``module.`` if that is there); between them
            ``"relu"``, ``"tanh"``, ``"sigmoid"``, ``"softmax"``, ``"log_softmax"``, and ``"last"``
            for the last step. One name: that module alone. Not needed for a torch.nn.Sequential, or
            if there is one module.
        batch_first, nonlinearity: of the recurrent modules of a state dict, which does not say.

    Returns one of

    - for an LSTM, GRU or RNN an object to be called as the module is:
      ``output, (h_n, c_n) = lstm(x, (h_0, c_0))``, ``output, h_n = gru(x, h_0)``, the states zeros
      if not given; x is ``(timesteps, batch, features)``, with `batch_first`
      ``(batch, timesteps, features)``, without batch ``(timesteps, features)``. With
      ``lengths=``, whole numbers ``(batch,)``, the result is that of a packed sequence: zeros after
      each end, last states of each, the backward direction from its end;
    - for a cell the like: ``h, c = cell(x, (h, c))``, ``h = cell(x, h)``;
    - otherwise a `Sequential`, batch first whatever `batch_first` says, of which recurrent modules
      pass on their outputs. By names, the features are the last axis for convolutions too; in a
      torch.nn.Sequential they are where they are in torch.

    Known are LSTM, GRU, RNN and their cells, Embedding, Linear, LayerNorm, BatchNorm1d, Conv1d; of
    modules also ReLU, Tanh, Sigmoid, Softmax, LogSoftmax, Flatten, Dropout, Identity. What a state
    dict does not say is torch's default: an eps of 1e-5, a stride of 1, no padding. A weight of two
    axes without a bias is an embedding if it comes first and its columns fit what follows, else a
    linear module.

    Weights of float64 compute in float64, all others in float32.

    Raises:
        ValueError: several modules and no `modules`, with a list of them; an unknown name; weights
            that do not fit; an option that is not supported.
        TypeError: `source` is something else.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> state_dict = {
    ...     "gru.weight_ih_l0": rng.standard_normal((12, 3)),
    ...     "gru.weight_hh_l0": rng.standard_normal((12, 4)),
    ...     "fc.weight": rng.standard_normal((2, 4)),
    ...     "fc.bias": np.zeros(2),
    ... }
    >>> from_torch(state_dict, ["gru", "last", "fc", "softmax"]).predict(np.ones((5, 7, 3))).shape
    (5, 2)
    >>> gru = from_torch(state_dict, "gru")
    >>> output, h_n = gru(np.ones((7, 5, 3)), lengths=[7, 7, 4, 2, 1])
    >>> output.shape, h_n.shape, output[1:, 4].any().item()
    ((7, 5, 4), (1, 5, 4), False)
    """
    from rnn_core.importers.torch import from_torch

    return from_torch(source, modules, batch_first, nonlinearity)


def __getattr__(name: str) -> Any:
    # What costs time to import is imported when it is asked for.
    if name == "OnnxModel":
        from rnn_core._onnx.model import OnnxModel

        return OnnxModel
    if name == "Scorer":
        from rnn_core._scoring.scorer import Scorer

        return Scorer
    if name == "score_table":
        from rnn_core._scoring.tables import score_table

        return score_table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_include() -> str:
    """Return the directory of rnn_core.h, the C header.

    >>> (Path(get_include()) / "rnn_core.h").is_file()
    True
    """
    here = Path(__file__).parent
    packaged = here / "include"
    return str(packaged if packaged.is_dir() else here.parent / "include")


__all__ = [
    "Model",
    "OnnxModel",  # noqa: F405 - by __getattr__
    "Scorer",  # noqa: F405 - by __getattr__
    "Sequential",
    "TensorShape",
    "backend",
    "from_keras",
    "from_torch",
    "get_include",
    "get_num_threads",
    "layers",
    "load",
    "score_table",  # noqa: F405 - by __getattr__
    "set_num_threads",
]
__all__ += layers.__all__
