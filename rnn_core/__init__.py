"""rnn_core: trained recurrent networks on CPUs.

The recurrent API that Keras users know, on NumPy and SciPy alone. `load` opens a model file;
`Sequential` and `Model` are made of the layers below and run them.
"""

from pathlib import Path
from typing import Any

from rnn_core import backend, layers
from rnn_core._model import Model
from rnn_core._nest import TensorShape
from rnn_core._sequential import Sequential
from rnn_core._threads import get_num_threads, set_num_threads
from rnn_core.layers import *  # noqa: F403

__version__ = "0.1.0"


def load(path: Any, custom_objects: dict[str, Any] | None = None, weights: Any = None) -> Any:
    """Return the model that a file holds: a `Sequential` or a `Model`.

    Args:
        path: of a ``.keras`` file (Keras 3 and late Keras 2), an ``.h5`` file (Keras 1 to 3), both
            of which need the extra ``[keras]``; or of a JSON text, as Keras's `to_json` gives it.
        custom_objects: your own layers, cells and functions by the names they have in the file:
            ``"Name"``, or ``"package>Name"`` of registered ones.
        weights: of a file of weights for the model; see `Model.load_weights`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is corrupt, or of a kind or with a layer that is not known. A Lambda
            is never known, for it is code.
        ImportError: the extra is not installed.

    >>> load("missing.keras")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.keras'
    """
    from rnn_core.importers import load_model

    return load_model(Path(path), custom_objects, weights and Path(weights))


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
    "Sequential",
    "TensorShape",
    "backend",
    "from_keras",
    "get_include",
    "get_num_threads",
    "layers",
    "load",
    "set_num_threads",
]
__all__ += layers.__all__
