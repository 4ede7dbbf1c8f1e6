"""The time loop of the recurrent layers; knows arrays and cells, no layer and no file format.

A `Plan` holds one cell's weights. `Plan.run` takes a batch through all its time steps without the
GIL: rows in blocks, steps in chunks whose input projection stays in cache, then for each step one
product with the recurrent kernel and one pass of the gates.
"""

import os

import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.limits cimport INT_MAX
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from _blas cimport Blas
from _kernels cimport (
    RNN_FLOAT32,
    RNN_FLOAT64,
    rnn_activation,
    rnn_activation_find,
    rnn_gates,
    rnn_kernels,
    rnn_kernels_at,
    rnn_kernels_best,
    rnn_kernels_find,
    rnn_row_function,
    rnn_step,
)

cnp.import_array()

ctypedef fused real:
    float
    double

# Rows that share a product: enough to keep BLAS busy, few enough for a step's z to stay in L2.
cdef Py_ssize_t BLOCK_ROWS = 512
# The projected inputs of a chunk of steps, in bytes: a share of L2 beside the recurrent kernel.
cdef Py_ssize_t CHUNK_BYTES = 256 * 1024
cdef Py_ssize_t CACHE_LINE = 64

cdef const rnn_kernels *kernels = NULL
cdef const Blas *blas = NULL


# Instruction sets and activations


def available_isas():
    """Return the names of the instruction sets this CPU runs, best first."""
    names = []
    while rnn_kernels_at(<int> len(names)) != NULL:
        names.append((<bytes> rnn_kernels_at(<int> len(names)).isa).decode())
    return names


def use_isa(name=None):
    """Take the kernels called `name`, or the best; plans made before keep theirs."""
    global kernels
    found = rnn_kernels_best() if name is None else rnn_kernels_find(name.encode())
    if found == NULL:
        have = ", ".join(available_isas())
        raise ValueError(f"this CPU does not run ISA {name!r}; it runs {have}")
    kernels = found


def isa():
    """Return the name of the instruction set in use."""
    return (<bytes> current_kernels().isa).decode()


cdef const rnn_kernels *current_kernels() except NULL:
    """The kernels in use: on first use those that the environment's RNN_CORE_ISA names."""
    if kernels == NULL:
        use_isa(os.environ.get("RNN_CORE_ISA") or None)
    return kernels


def activations():
    """Return the names of the built-in activations."""
    cdef const rnn_activation *row = rnn_kernels_best().activations
    names = []
    while row.name != NULL:
        names.append((<bytes> row.name).decode())
        row += 1
    return names


cdef rnn_row_function *row_function(str name, cnp.dtype dtype) except NULL:
    cdef rnn_row_function *const *found = rnn_activation_find(current_kernels(), name.encode())
    if found == NULL:
        raise ValueError(f"no activation {name!r}; there are {', '.join(activations())}")
    return found[real_of(dtype)]


cdef int real_of(cnp.dtype dtype) except -1:
    if dtype.type_num == cnp.NPY_FLOAT:
        return RNN_FLOAT32
    if dtype.type_num == cnp.NPY_DOUBLE:
        return RNN_FLOAT64
    raise TypeError(f"dtype is {dtype}, expected float32 or float64")


def activate(str name, cnp.ndarray x not None):
    """Apply an activation to `x` in place; softmax goes over its last axis."""
    if x.ndim == 0 or not (cnp.PyArray_IS_C_CONTIGUOUS(x) and cnp.PyArray_ISBEHAVED(x)):
        raise ValueError("activate needs a writable C-contiguous array of at least one axis")
    cdef rnn_row_function *apply = row_function(name, x.dtype)
    cdef Py_ssize_t n = x.shape[x.ndim - 1]
    cdef Py_ssize_t row, rows = x.size // n if n else 0
    cdef char *data = cnp.PyArray_BYTES(x)
    cdef Py_ssize_t row_bytes = n * x.itemsize
    with nogil:
        for row in range(rows):
            apply(data + row * row_bytes, n)


# Plans


cdef enum Cell:
    SIMPLE_RNN
    LSTM
    GRU_AFTER
    GRU_BEFORE

_CELLS = {
    "simple_rnn": (SIMPLE_RNN, 1),
    "lstm": (LSTM, 4),
    "gru_after": (GRU_AFTER, 3),
    "gru_before": (GRU_BEFORE, 3),
}

cdef struct Weights:
    Cell cell
    Py_ssize_t features, units, columns, itemsize
    void *kernel            # (features, columns)
    void *recurrent_kernel  # (units, columns)
    void *bias              # (columns,)
    void *recurrent_bias    # (columns,), GRU_AFTER only
    rnn_row_function *activation
    rnn_row_function *recurrent_activation
    rnn_gates *gates
    rnn_gates *update       # GRU_BEFORE only, after its second product

cdef struct Batch:
    Py_ssize_t rows, timesteps
    void *x        # IN (rows, timesteps, features); strides in values
    Py_ssize_t x_row, x_step
    Py_ssize_t *ids  # IN (rows, timesteps), C-contiguous, instead of x; or NULL
    char *table    # IN (range of the ids, columns): x.W + b for each id
    const unsigned char *mask  # IN (rows, timesteps) or NULL; strides in bytes
    Py_ssize_t mask_row, mask_step
    void *h        # INOUT (rows, units)
    void *c        # INOUT (rows, units) or NULL
    char *out      # OUT (rows, timesteps, units), or (rows, units) if only the last; in bytes
    Py_ssize_t out_row, out_step
    bint sequences, go_backwards, zero_output_for_mask


cdef class Plan:
    """One cell, ready to run.

    Args:
        cell: ``"simple_rnn"``, ``"lstm"``, ``"gru_after"`` or ``"gru_before"``.
        kernel: ``(features, gates * units)``, gates in the order i f g o or z r h.
        recurrent_kernel: ``(units, gates * units)``.
        bias: ``(gates * units,)`` or None.
        recurrent_bias: ``(gates * units,)`` or None; only ``"gru_after"`` has one.
        activation, recurrent_activation: names of built-in activations.

    The arrays are read in place and must stay as they are while the plan is in use.
    """

    cdef Weights w
    cdef cnp.dtype dtype
    cdef tuple arrays

    def __init__(
        self, str cell, kernel, recurrent_kernel, bias, recurrent_bias, str activation,
        str recurrent_activation="linear",
    ):
        self.w.cell, gates = _CELLS[cell]
        units = recurrent_kernel.shape[0]
        columns = gates * units
        self.dtype = kernel.dtype
        cdef int type_ = real_of(self.dtype)
        zeros = np.zeros(columns, self.dtype)
        shapes = (
            (kernel, (kernel.shape[0], columns)),
            (recurrent_kernel, (units, columns)),
            (zeros if bias is None else bias, (columns,)),
            (zeros if recurrent_bias is None else recurrent_bias, (columns,)),
        )
        for array, shape in shapes:
            if array.shape != shape or array.dtype != self.dtype:
                raise ValueError(
                    f"weight is {array.dtype} {array.shape}, expected {self.dtype} {shape}"
                )
        self.arrays = tuple(np.require(array, requirements="CA") for array, _ in shapes)
        self.w.features, self.w.units, self.w.columns = kernel.shape[0], units, columns
        self.w.itemsize = self.dtype.itemsize
        self.w.kernel = cnp.PyArray_DATA(self.arrays[0])
        self.w.recurrent_kernel = cnp.PyArray_DATA(self.arrays[1])
        self.w.bias = cnp.PyArray_DATA(self.arrays[2])
        self.w.recurrent_bias = cnp.PyArray_DATA(self.arrays[3])
        cdef const rnn_kernels *kernels = current_kernels()
        self.w.activation = row_function(activation, self.dtype)
        self.w.recurrent_activation = row_function(recurrent_activation, self.dtype)
        if self.w.cell == SIMPLE_RNN:
            self.w.gates = kernels.simple_rnn[type_]
        elif self.w.cell == LSTM:
            self.w.gates = kernels.lstm[type_]
        elif self.w.cell == GRU_AFTER:
            self.w.gates = kernels.gru_after[type_]
        else:
            self.w.gates = kernels.gru_reset[type_]
            self.w.update = kernels.gru_update[type_]

    def run(
        self, cnp.ndarray x not None, tuple states not None, cnp.ndarray out not None,
        cnp.ndarray mask=None, bint go_backwards=False, bint zero_output_for_mask=False,
        cnp.ndarray table=None, tuple initial=None,
    ):
        """Take a batch through all its steps.

        Args:
            x: ``(batch, timesteps, features)``, read in place if its features are contiguous; or,
                with `table`, integers ``(batch, timesteps)``.
            states: arrays ``(batch, units)``, C-contiguous: h, or h and c. They get the last
                states, and hold the first unless `initial` is given.
            out: ``(batch, timesteps, units)`` for every output in processing order, or
                ``(batch, units)`` for the last; its units are contiguous.
            mask: boolean ``(batch, timesteps)``; False leaves the states of that step alone.
            go_backwards: begin with the last time step.
            zero_output_for_mask: a masked step gives zeros, not the previous output.
            table: what `project` made; its row x stands for the input projection.
            initial: the first states, where `states` are not; they are only read.

        Raises:
            ValueError: an array does not fit; nothing has been changed then.
            MemoryError: no room for the scratch arrays; nothing but `states` has been changed
                then, and not they unless `initial` is given.
        """
        cdef Batch b
        x = self._input(x) if table is None else self._ids(x, table)
        b.rows, b.timesteps = x.shape[0], x.shape[1]
        b.x = cnp.PyArray_DATA(x)
        b.x_row = x.strides[0] // x.itemsize if b.rows > 1 else self.w.features
        b.x_step = x.strides[1] // x.itemsize if b.timesteps > 1 else self.w.features
        b.ids = NULL if table is None else <Py_ssize_t *> cnp.PyArray_DATA(x)
        b.table = NULL if table is None else cnp.PyArray_BYTES(table)
        b.go_backwards = go_backwards
        b.zero_output_for_mask = zero_output_for_mask
        self._bind_states(&b, states)
        self._bind_out(&b, out)
        self._bind_mask(&b, mask)
        if blas == NULL:
            connect_blas()
        if initial is not None:
            self._copy_states(states, initial)
        cdef int failed
        with nogil:
            failed = run(&self.w, &b)
        if failed:
            raise MemoryError("no memory for the engine's scratch arrays")

    def project(self, cnp.ndarray x not None):
        """Return x.W + b for x ``(rows, features)``: a table for `run`."""
        cdef Batch b
        x = self._input(x[:, None])
        b.x = cnp.PyArray_DATA(x)
        b.x_row = b.x_step = self.w.features
        b.ids = NULL
        if x.shape[0] > 1:
            b.x_row = x.strides[0] // x.itemsize
        if blas == NULL:
            connect_blas()
        cdef cnp.ndarray z = np.empty((x.shape[0], self.w.columns), self.dtype)
        cdef Py_ssize_t rows = x.shape[0]
        with nogil:
            if self.w.itemsize == sizeof(float):
                project(&self.w, &b, 0, rows, 0, 1, <float *> cnp.PyArray_DATA(z))
            else:
                project(&self.w, &b, 0, rows, 0, 1, <double *> cnp.PyArray_DATA(z))
        return z

    cdef cnp.ndarray _ids(self, cnp.ndarray ids, cnp.ndarray table):
        """Return a copy of `ids`, C-contiguous intp, checked against the table's rows.

        A copy, for others may write to theirs while the loop runs without the GIL.
        """
        self._check("table", table, (table.shape[0], self.w.columns))
        if not cnp.PyArray_IS_C_CONTIGUOUS(table):
            raise ValueError("table must be C-contiguous")
        if ids.ndim != 2:
            raise ValueError(f"ids have {ids.ndim} axes, expected 2")
        ids = np.array(ids, np.intp, order="C")
        if ids.size and not 0 <= ids.min() <= ids.max() < table.shape[0]:
            raise ValueError(
                f"ids are {ids.min()} to {ids.max()}, expected 0 to {table.shape[0] - 1}"
            )
        return ids

    cdef int _bind_states(self, Batch *b, tuple states) except -1:
        cdef cnp.ndarray state
        cdef int expected = 2 if self.w.cell == LSTM else 1
        if len(states) != expected:
            raise ValueError(f"{len(states)} states, expected {expected}")
        for state in states:
            self._check("state", state, (b.rows, self.w.units))
            if not (cnp.PyArray_IS_C_CONTIGUOUS(state) and cnp.PyArray_ISBEHAVED(state)):
                raise ValueError("a state must be writable and C-contiguous")
        b.h = cnp.PyArray_DATA(states[0])
        b.c = cnp.PyArray_DATA(states[1]) if self.w.cell == LSTM else NULL
        return 0

    cdef int _copy_states(self, tuple states, tuple initial) except -1:
        cdef cnp.ndarray state, first
        if len(initial) != len(states):
            raise ValueError(f"{len(initial)} initial states, expected {len(states)}")
        for state, first in zip(states, initial):
            self._check("initial state", first, (<object> state).shape)
        for state, first in zip(states, initial):
            cnp.PyArray_CopyInto(state, first)
        return 0

    cdef int _bind_out(self, Batch *b, cnp.ndarray out) except -1:
        b.sequences = out.ndim == 3
        steps = (b.timesteps,) if b.sequences else ()
        self._check("out", out, (b.rows, *steps, self.w.units))
        if not cnp.PyArray_ISBEHAVED(out) or (
            out.size and self.w.units > 1 and out.strides[out.ndim - 1] != out.itemsize
        ):
            raise ValueError("out must be writable, with contiguous units")
        b.out = cnp.PyArray_BYTES(out)
        b.out_row = out.strides[0]
        b.out_step = out.strides[1] if b.sequences else 0
        return 0

    cdef int _bind_mask(self, Batch *b, cnp.ndarray mask) except -1:
        b.mask = NULL
        b.mask_row = b.mask_step = 0
        if mask is None:
            return 0
        if mask.dtype != np.bool_ or (<object> mask).shape != (b.rows, b.timesteps):
            raise ValueError(f"mask is {mask.dtype} {(<object> mask).shape}, "
                             f"expected bool {(b.rows, b.timesteps)}")
        b.mask = <const unsigned char *> cnp.PyArray_DATA(mask)
        b.mask_row, b.mask_step = mask.strides[0], mask.strides[1]
        return 0

    cdef int _check(self, str name, cnp.ndarray array, tuple shape) except -1:
        if (<object> array).shape != shape or array.dtype != self.dtype:
            raise ValueError(f"{name} is {array.dtype} {(<object> array).shape}, "
                             f"expected {self.dtype} {shape}")
        return 0

    cdef cnp.ndarray _input(self, cnp.ndarray x):
        """Return `x`, or a copy if BLAS cannot step through it where it lies."""
        cdef Py_ssize_t width = self.w.features * self.dtype.itemsize
        if x.ndim != 3:
            raise ValueError(f"x has {x.ndim} axes, expected 3")
        self._check("x", x, (x.shape[0], x.shape[1], self.w.features))
        if (
            cnp.PyArray_ISALIGNED(x)
            and (self.w.features <= 1 or x.strides[2] == x.itemsize)
            and (x.shape[0] <= 1 or (x.strides[0] >= width and x.strides[0] % x.itemsize == 0))
            and (x.shape[1] <= 1 or (
                width <= x.strides[1] <= INT_MAX and x.strides[1] % x.itemsize == 0
            ))
        ):
            return x
        return np.ascontiguousarray(x)


cdef int connect_blas() except -1:
    global blas
    from rnn_core import _blas
    blas = <const Blas *> PyCapsule_GetPointer(_blas.table, "rnn_core._blas.table")
    return 0


include "_loop.pxi"
include "_rows.pxi"
