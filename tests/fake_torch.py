"""Stand-ins for PyTorch's modules and tensors, with the methods that an importer calls."""

import numpy as np


class Tensor:
    """A tensor; NumPy has no bfloat16, so that `numpy` of one fails as it does in PyTorch."""

    def __init__(self, array, dtype=None):
        self._array, self.dtype = array, dtype or f"torch.{array.dtype}"

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self._array.astype(np.float32))

    def numpy(self):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._array


class Module:
    """A torch.nn.Module with weights and attributes, or with children by name."""

    def __init__(self, arrays=None, children=None, **attributes):
        self._tensors = {key: Tensor(array) for key, array in (arrays or {}).items()}
        self._children = children or {}
        vars(self).update(attributes)

    def children(self):
        return self._children.values()

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, child in self._children.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def state_dict(self):
        below = {
            f"{name}.{key}": value
            for name, child in self._children.items()
            for key, value in child.state_dict().items()
        }
        return {**self._tensors, **below}


def module(kind, arrays=None, children=None, **attributes):
    """Return a stand-in for a module of a class of torch.nn."""
    cls = type(kind, (Module,), {"__module__": "torch.nn.modules.stand_in"})
    return cls(arrays, children, **attributes)


def from_spec(spec):
    """Return a stand-in for what golden/make_torch.py has described."""
    children = {str(index): from_spec(child) for index, child in enumerate(spec["children"])}
    return module(spec["kind"], spec["state_dict"], children, **spec["attributes"])
