# The plain call of a layer, with next to no Python around it; part of _engine.pyx.


@cython.auto_pickle(False)
cdef class Called:
    """A layer whose calls with nothing but inputs are for `self._quick`, if it is not None.

    What that cannot do, and all other calls, are for `self._call_in_full`.
    """

    def __reduce_ex__(self, protocol):
        # The older ones would begin with an object of this class alone.
        return object.__reduce_ex__(self, max(2, protocol))

    def __call__(
        self, inputs, mask=None, training=None, initial_state=None, constants=None, **kwargs
    ):
        if mask is initial_state is constants is None and not training and not kwargs:
            quick = self._quick
            output = None if quick is None else (<Quick?> quick).run(inputs)
            if output is not None:
                return output
        return self._call_in_full(inputs, mask, training, initial_state, constants, **kwargs)


cdef class Quick:
    """Calls a plan with an array as it is.

    Args:
        cell: has the plan, as `_plan`, as long as it is the cell's.
        sequences: whether every output is wanted, or the last only.
        go_backwards: begin with the last time step.
        buffers: the `StateBuffers` of a stateful layer, or None.

    `run` takes x, a float32 array ``(batch, timesteps, features)`` that can be read in place, and
    returns the output; or None, with nothing done, if it is for a longer way: another array,
    another batch than the buffers', a plan that the cell has no more.
    """

    cdef object cell, buffers
    cdef Plan plan
    cdef bint sequences, go_backwards

    def __init__(self, cell, bint sequences, bint go_backwards, buffers=None):
        self.cell = cell
        self.plan = cell._plan
        self.sequences = sequences
        self.go_backwards = go_backwards
        self.buffers = buffers

    cdef run(self, x):
        cdef rnn_batch b
        # Another thread may have taken the plan away before this had it.
        if self.plan is None or self.plan.packed == NULL:
            return None
        if self.cell._plan is not self.plan or not self._fits(x):
            return None
        cdef cnp.ndarray array = x
        b.rows, b.timesteps = array.shape[0], array.shape[1]
        b.h = b.c = NULL
        if self.buffers is not None and not self._bind_states(&b):
            return None
        b.x = cnp.PyArray_DATA(array)
        b.x_row, b.x_step = array.strides[0] // 4, array.strides[1] // 4
        b.ids = NULL
        b.mask = NULL
        b.sequences, b.go_backwards, b.zero_output_for_mask = self.sequences, self.go_backwards, 0
        cdef cnp.npy_intp shape[3]
        shape[0], shape[1], shape[2] = b.rows, b.timesteps, self.plan.w.units
        if not self.sequences:
            shape[1] = self.plan.w.units
        cdef int axes = 3 if self.sequences else 2
        cdef cnp.ndarray out = cnp.PyArray_SimpleNew(axes, shape, cnp.NPY_FLOAT)
        b.out = cnp.PyArray_BYTES(out)
        b.out_row = out.strides[0]
        b.out_step = out.strides[1]
        self._run(&b)
        return out

    cdef bint _fits(self, x):
        if not cnp.PyArray_CheckExact(x):
            return False
        cdef cnp.ndarray array = x
        return (
            array.ndim == 3
            and cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT
            and array.shape[2] == self.plan.w.features
            and (array.strides[2] == 4 or array.shape[2] == 1)
            and array.strides[0] % 4 == 0
            and array.strides[1] % 4 == 0
            and cnp.PyArray_ISALIGNED(array)
            and cnp.PyArray_ISNOTSWAPPED(array)
        )

    cdef bint _bind_states(self, rnn_batch *b):
        """Have the recorded states changed in place: nothing can fail any more."""
        if self.buffers.batch != b.rows or not self.buffers.settled():
            return False
        cdef list states = self.buffers.states
        b.h = cnp.PyArray_DATA(states[0])
        if self.plan.w.cell == RNN_LSTM:
            b.c = cnp.PyArray_DATA(states[1])
        return True

    cdef int _run(self, const rnn_batch *b) except -1:
        cdef const rnn_packed *layer = self.plan.packed
        cdef int failed, threads = current_threads()
        cdef double work = <double> b.rows * b.timesteps * self.plan.w.columns
        if work * (self.plan.w.features + self.plan.w.units) < SMALL_WORK:
            failed = rnn_run(1, &layer, b, threads)
        else:
            with nogil:
                failed = rnn_run(1, &layer, b, threads)
        if failed:
            raise MemoryError("no memory for the engine's scratch arrays")
        return 0
