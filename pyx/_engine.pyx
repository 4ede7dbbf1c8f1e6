"""The time loop of the recurrent layers; knows arrays and cells, no layer and no file format.

A `Plan` holds one cell's weights. `Plan.run` takes a batch through all its time steps without the
GIL: rows in blocks, steps in chunks whose input projection stays in cache, then for each step one
product with the recurrent kernel, and the gates. The packed backend has that in C, for float32, in
kernels/; the one over BLAS is here, in _loop.pxi.
"""

import os

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.limits cimport INT_MAX
from libc.stdint cimport int32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from _blas cimport Blas
from _kernels cimport (
    RNN_BLOCK_ROWS,
    RNN_FLOAT32,
    RNN_FLOAT64,
    RNN_GRU_AFTER,
    RNN_GRU_BEFORE,
    RNN_LSTM,
    RNN_SIMPLE_RNN,
    rnn_activation,
    rnn_activation_find,
    rnn_allocate,
    rnn_batch,
    rnn_cell,
    rnn_emit,
    rnn_emit_last,
    rnn_forget,
    rnn_gates,
    rnn_keep_threads,
    rnn_kernels,
    rnn_kernels_at,
    rnn_kernels_best,
    rnn_kernels_find,
    rnn_nodes,
    rnn_order,
    rnn_pack,
    rnn_packed,
    rnn_packed_bytes,
    rnn_project,
    rnn_release,
    rnn_row_function,
    rnn_run,
    rnn_sequences,
    rnn_stay_alone,
    rnn_step,
    rnn_step_nodes,
    rnn_weights,
    rnn_word,
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

cdef enum:
    MOST_JOBS = 16
    # Multiplications that take less time than to let go of the GIL and to get it back matters.
    SMALL_WORK = 500_000

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


# Threads

cdef int threads_set = 0  # 0: not asked yet
_default_threads = None


def use_threads(int threads):
    """Run on up to `threads` threads; 0 asks the function of `ask_threads` at the next call."""
    global threads_set
    threads_set = threads
    if threads > 0:
        rnn_keep_threads(threads)


def ask_threads(default):
    """Have `default()` say how many threads to use where `use_threads` does not."""
    global _default_threads
    _default_threads = default


def stay_alone():
    """Keep what the calling thread runs to that thread."""
    rnn_stay_alone()


cdef int current_threads() except -1:
    global threads_set
    if threads_set == 0:
        use_threads(1 if _default_threads is None else _default_threads())
    return threads_set


# The backends


cdef int connect_blas() except -1:
    global blas
    if blas != NULL:
        return 0
    from rnn_core import _blas
    blas = <const Blas *> PyCapsule_GetPointer(_blas.table, "rnn_core._blas.table")
    return 0


include "_loop.pxi"
include "_plan.pxi"
include "_nodes.pxi"
include "_product.pxi"
include "_quick.pxi"
include "_rows.pxi"
