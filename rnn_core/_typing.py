"""Types that annotations share."""

from __future__ import annotations

from typing import Any

import numpy as np

# NumPy's arrays of any axes and dtype: spelled out, for its older stubs have no defaults.
Array = np.ndarray[Any, np.dtype[Any]]
