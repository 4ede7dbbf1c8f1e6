# A cell ready to run, and a batch bound to it; part of _engine.pyx.

_CELLS = {
    "simple_rnn": (RNN_SIMPLE_RNN, 1),
    "lstm": (RNN_LSTM, 4),
    "gru_after": (RNN_GRU_AFTER, 3),
    "gru_before": (RNN_GRU_BEFORE, 3),
}

BACKENDS = ("auto", "packed", "blas")


cpdef str backend_for(str wanted, cnp.dtype dtype, tuple names):
    """Return "packed" or "blas": what is wanted, or the environment's RNN_CORE_BACKEND wants.

    Args:
        wanted: a backend, or None.
        dtype: float32 or float64.
        names: of activations that are applied between products.
    """
    choice = wanted or os.environ.get("RNN_CORE_BACKEND") or "auto"
    if choice not in BACKENDS:
        raise ValueError(f"backend is {choice!r}, expected one of {', '.join(BACKENDS)}")
    packs = real_of(dtype) == RNN_FLOAT32 and "softmax" not in names
    if wanted == "packed" and not packs:
        raise ValueError(
            f"backend 'packed' has no {dtype} cell with activations {', '.join(names)}: "
            "it takes float32, and no softmax"
        )
    return "packed" if packs and choice != "blas" else "blas"


cdef class Packing:
    """Packed weights, and the memory that they take."""

    cdef void *memory
    cdef const rnn_packed *layer

    def __dealloc__(self):
        if self.layer != NULL:
            rnn_forget(self.layer)
        rnn_release(self.memory)


cdef Packing pack(const rnn_weights *weights):
    cdef Packing packing = Packing.__new__(Packing)
    cdef const rnn_kernels *kernels = current_kernels()
    cdef size_t size = rnn_packed_bytes(kernels, weights)
    packing.memory = rnn_allocate(size) if size else NULL
    if packing.memory == NULL:
        raise MemoryError(f"no memory for packed weights of {weights.units} units")
    packing.layer = rnn_pack(kernels, weights, packing.memory)
    return packing


cdef class Plan:
    """One cell, ready to run.

    Args:
        cell: ``"simple_rnn"``, ``"lstm"``, ``"gru_after"`` or ``"gru_before"``.
        kernel: ``(features, gates * units)``, gates in the order i f g o or z r h.
        recurrent_kernel: ``(units, gates * units)``.
        bias: ``(gates * units,)`` or None.
        recurrent_bias: ``(gates * units,)`` or None; only ``"gru_after"`` has one.
        activation, recurrent_activation: names of built-in activations.
        backend: ``"packed"``, ``"blas"``, ``"auto"`` for the faster, or None for what the
            environment's RNN_CORE_BACKEND says.

    The blas backend reads the arrays in place, and they must stay as they are; the packed one has
    copied them.

    Raises:
        ValueError: weights of another shape or dtype; an unknown activation or backend, or one
            that does not have the cell.
        MemoryError: no memory for the packed weights.
    """

    cdef readonly str backend
    cdef Weights w
    cdef Packing packing
    cdef const rnn_packed *packed  # or NULL
    cdef cnp.dtype dtype
    cdef tuple arrays

    def __init__(
        self, str cell, kernel, recurrent_kernel, bias, recurrent_bias, str activation,
        str recurrent_activation="linear", str backend=None,
    ):
        self.w.cell, gates = _CELLS[cell]
        units = recurrent_kernel.shape[0]
        columns = gates * units
        self.dtype = kernel.dtype
        self.backend = backend_for(backend, self.dtype, (activation, recurrent_activation))
        shapes = (
            (kernel, (kernel.shape[0], columns)),
            (recurrent_kernel, (units, columns)),
            (bias, (columns,)),
            (recurrent_bias, (columns,)),
        )
        for array, shape in shapes:
            if array is not None and (array.shape != shape or array.dtype != self.dtype):
                raise ValueError(
                    f"weight is {array.dtype} {array.shape}, expected {self.dtype} {shape}"
                )
        zeros = np.zeros(columns, self.dtype)
        self.arrays = tuple(
            np.require(zeros if array is None else array, requirements="CA") for array, _ in shapes
        )
        self.w.features, self.w.units, self.w.columns = kernel.shape[0], units, columns
        self.w.itemsize = self.dtype.itemsize
        self.w.kernel = cnp.PyArray_DATA(self.arrays[0])
        self.w.recurrent_kernel = cnp.PyArray_DATA(self.arrays[1])
        self.w.bias = cnp.PyArray_DATA(self.arrays[2])
        self.w.recurrent_bias = cnp.PyArray_DATA(self.arrays[3])
        self.w.activation = row_function(activation, self.dtype)
        self.w.recurrent_activation = row_function(recurrent_activation, self.dtype)
        if self.backend == "packed":
            self._pack(activation.encode(), recurrent_activation.encode())
            self.arrays = ()
        else:
            choose_gates(&self.w, current_kernels(), real_of(self.dtype))

    cdef int _pack(self, bytes activation, bytes recurrent_activation) except -1:
        cdef rnn_weights weights
        weights.cell = self.w.cell
        weights.features, weights.units = self.w.features, self.w.units
        weights.kernel = <const float *> self.w.kernel
        weights.product_only = False
        weights.recurrent_kernel = <const float *> self.w.recurrent_kernel
        weights.bias = <const float *> self.w.bias
        weights.recurrent_bias = <const float *> self.w.recurrent_bias
        weights.activation, weights.recurrent_activation = activation, recurrent_activation
        self.packing = pack(&weights)
        self.packed = self.packing.layer
        return 0

    def run(self, *args, **kwargs):
        """Take a batch through all its steps; arguments and errors are those of `bind`.

        Raises:
            MemoryError: no room for the scratch arrays; nothing but `states` has been changed
                then, and not they unless `initial` is given.
        """
        run_together([self.bind(*args, **kwargs)])

    def bind(
        self, cnp.ndarray x not None, tuple states not None, cnp.ndarray out not None,
        cnp.ndarray mask=None, bint go_backwards=False, bint zero_output_for_mask=False,
        cnp.ndarray table=None, tuple initial=None,
    ):
        """Return a job for `run_together`.

        Args:
            x: ``(batch, timesteps, features)``, read in place if its features are contiguous; or,
                with `table`, integers ``(batch, timesteps)``.
            states: arrays ``(batch, units)``, C-contiguous: h, or h and c. They get the last
                states, and hold the first unless `initial` is given.
            out: ``(batch, timesteps, units)`` for every output in processing order, or
                ``(batch, units)`` for the last; its units are contiguous, and it is none of
                the other arrays.
            mask: boolean ``(batch, timesteps)``; False leaves the states of that step alone.
            go_backwards: begin with the last time step.
            zero_output_for_mask: a masked step gives zeros, not the previous output.
            table: what `project` made; its row x stands for the input projection.
            initial: the first states, where `states` are not; they are only read.

        Raises:
            ValueError: an array does not fit; nothing has been changed then.
        """
        cdef Job job = Job.__new__(Job)
        cdef rnn_batch *b = &job.batch
        x = self._input(x) if table is None else self._ids(x, table)
        b.rows, b.timesteps = x.shape[0], x.shape[1]
        b.x = cnp.PyArray_DATA(x)
        b.x_row = x.strides[0] // x.itemsize if b.rows > 1 else self.w.features
        b.x_step = x.strides[1] // x.itemsize if b.timesteps > 1 else self.w.features
        b.ids = NULL if table is None else <const ptrdiff_t *> cnp.PyArray_DATA(x)
        b.table = NULL if table is None else cnp.PyArray_BYTES(table)
        b.go_backwards = go_backwards
        b.zero_output_for_mask = zero_output_for_mask
        self._bind_states(b, states)
        self._bind_out(b, out)
        if mask is not None:
            mask = mask.copy()  # others may write to theirs while the loop runs without the GIL
        self._bind_mask(b, mask)
        if initial is not None:
            self._copy_states(states, initial)
        job.plan = self
        job.arrays = (x, states, out, mask, table)
        return job

    cdef Py_ssize_t _table_columns(self):
        return self.packed.z_size if self.packed != NULL else self.w.columns

    def project(self, cnp.ndarray x not None):
        """Return x.W + b for x ``(rows, features)``: a table for `bind`."""
        cdef rnn_batch b
        x = self._input(x[:, None])
        cdef Py_ssize_t rows = x.shape[0]
        cdef Py_ssize_t x_row = x.strides[0] // x.itemsize if rows > 1 else self.w.features
        cdef cnp.ndarray z = np.empty((rows, self._table_columns()), self.dtype)
        cdef void *out = cnp.PyArray_DATA(z)
        cdef int threads = current_threads()
        if self.packed != NULL:
            with nogil:
                rnn_project(
                    self.packed, <const float *> cnp.PyArray_DATA(x), x_row, rows, <float *> out,
                    threads,
                )
            return z
        b.x = cnp.PyArray_DATA(x)
        b.x_row, b.x_step = x_row, self.w.features
        b.ids = NULL
        connect_blas()
        with nogil:
            if self.w.itemsize == sizeof(float):
                project(&self.w, &b, 0, rows, 0, 1, <float *> out)
            else:
                project(&self.w, &b, 0, rows, 0, 1, <double *> out)
        return z

    cdef cnp.ndarray _ids(self, cnp.ndarray ids, cnp.ndarray table):
        """Return a copy of `ids`, C-contiguous intp, checked against the table's rows.

        A copy, for others may write to theirs while the loop runs without the GIL.
        """
        self._check("table", table, (table.shape[0], self._table_columns()))
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

    cdef int _bind_states(self, rnn_batch *b, tuple states) except -1:
        cdef cnp.ndarray state
        cdef int expected = 2 if self.w.cell == RNN_LSTM else 1
        if len(states) != expected:
            raise ValueError(f"{len(states)} states, expected {expected}")
        for state in states:
            self._check("state", state, (b.rows, self.w.units))
            if not (cnp.PyArray_IS_C_CONTIGUOUS(state) and cnp.PyArray_ISBEHAVED(state)):
                raise ValueError("a state must be writable and C-contiguous")
        b.h = cnp.PyArray_DATA(states[0])
        b.c = cnp.PyArray_DATA(states[1]) if self.w.cell == RNN_LSTM else NULL
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

    cdef int _bind_out(self, rnn_batch *b, cnp.ndarray out) except -1:
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

    cdef int _bind_mask(self, rnn_batch *b, cnp.ndarray mask) except -1:
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


cdef class Job:
    """A batch bound to a plan."""

    cdef Plan plan
    cdef rnn_batch batch
    cdef tuple arrays  # that the batch points into


def run_together(list jobs not None):
    """Run jobs, side by side if their backend has threads.

    Args:
        jobs: of `Plan.bind`; none writes what another reads.

    Raises:
        MemoryError: no room for scratch arrays.
    """
    cdef const rnn_packed *layers[MOST_JOBS]
    cdef rnn_batch batches[MOST_JOBS]
    cdef int count = 0, failed, threads
    cdef Job job
    for job in jobs:
        if job.plan.packed == NULL:
            run_blas(job)
        else:
            if count == MOST_JOBS:
                raise ValueError(f"{len(jobs)} jobs, expected at most {MOST_JOBS}")
            layers[count], batches[count] = job.plan.packed, job.batch
            count += 1
    if count == 0:
        return
    threads = current_threads()
    with nogil:
        failed = rnn_run(count, layers, batches, threads)
    if failed:
        raise MemoryError("no memory for the engine's scratch arrays")


cdef int run_blas(Job job) except -1:
    cdef int failed
    connect_blas()
    with nogil:
        failed = run(&job.plan.w, &job.batch)
    if failed:
        raise MemoryError("no memory for the engine's scratch arrays")
    return 0
