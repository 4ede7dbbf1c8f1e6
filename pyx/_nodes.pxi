# One step of many sequences, each from states that others may share; part of _engine.pyx.


def step_nodes(
    Plan plan not None, cnp.ndarray inputs not None, cnp.ndarray which,
    cnp.ndarray parents not None, tuple before not None, bint projected=False,
):
    """Return the states of nodes after a step from those of their parents.

    Args:
        plan: on the packed backend.
        inputs: ``(any, features or more)``, contiguous rows: x; or what `Plan.project` made.
        which: a node's row of `inputs`, integers ``(nodes,)``; None if node i has row i.
        parents: a node's row of the states before, integers ``(nodes,)``.
        before: `first_states`, or what a call returned.
        projected: whether `inputs` stand for the input projection.

    Returns as many arrays as the cell has states, ``(nodes, units)`` and padding.

    Raises:
        ValueError: a row out of range, arrays of other shapes or types.
        TypeError: rows that are no integers.
    """
    cdef rnn_nodes n
    cdef cnp.ndarray state
    if plan.packed == NULL:
        raise ValueError(f"the plan is on the {plan.backend} backend, expected packed")
    cdef Py_ssize_t size = plan.packed.row_size
    cdef Py_ssize_t least = plan.packed.z_size if projected else plan.w.features
    if inputs.ndim != 2 or inputs.shape[1] < least or inputs.dtype != np.float32 or not (
        cnp.PyArray_IS_C_CONTIGUOUS(inputs)
    ):
        raise ValueError(f"inputs are {inputs.dtype} {np.shape(inputs)}, "
                         f"expected contiguous float32 (any, {least})")
    n.count = parents.shape[0]
    n.inputs = <const float *> cnp.PyArray_DATA(inputs)
    n.input_size, n.projected = inputs.shape[1], projected
    if which is not None:
        which = which.astype(np.intp, "C", "safe", copy=False)
    n.input = NULL if which is None else rows_of(which, n.count, inputs.shape[0])
    if which is None and inputs.shape[0] < n.count:
        raise ValueError(f"{inputs.shape[0]} inputs, expected {n.count}")
    cdef int expected = 2 if plan.w.cell == RNN_LSTM else 1
    if len(before) != expected:
        raise ValueError(f"{len(before)} states, expected {expected}")
    for state in before:
        plan._check("state", state, (before[0].shape[0], size))
        if not cnp.PyArray_IS_C_CONTIGUOUS(state):
            raise ValueError("states are strided, expected C-contiguous ones")
    parents = parents.astype(np.intp, "C", "safe", copy=False)
    n.parent = rows_of(parents, n.count, before[0].shape[0])
    n.parent_h = <const float *> cnp.PyArray_DATA(before[0])
    n.parent_c = <const float *> cnp.PyArray_DATA(before[expected - 1])
    states = tuple(state_rows(n.count, size) for _ in before)
    n.h = <float *> cnp.PyArray_DATA(states[0])
    n.c = <float *> cnp.PyArray_DATA(states[expected - 1])
    scratch = state_rows(2 * RNN_BLOCK_ROWS if plan.w.cell == RNN_GRU_BEFORE else 0, size)
    n.scratch = <float *> cnp.PyArray_DATA(scratch)
    with nogil:
        rnn_step_nodes(plan.packed, &n)
    return states


def first_states(Plan plan not None):
    """Return the states that a sequence begins with, for `step_nodes`: one row of zeros."""
    states = tuple(
        state_rows(1, plan.packed.row_size) for _ in range(2 if plan.w.cell == RNN_LSTM else 1)
    )
    for state in states:
        state.fill(0)
    return states


cdef cnp.ndarray state_rows(Py_ssize_t rows, Py_ssize_t size):
    """Return an array ``(rows, size)`` that begins on a cache line."""
    cdef cnp.ndarray room = np.empty(rows * size + CACHE_LINE // 4, np.float32)
    cdef Py_ssize_t offset = -<uintptr_t> cnp.PyArray_DATA(room) % CACHE_LINE // 4
    return (<object> room)[offset:offset + rows * size].reshape(rows, size)


cdef const ptrdiff_t *rows_of(cnp.ndarray rows, Py_ssize_t count, Py_ssize_t limit) except? NULL:
    """Return the row numbers, each checked to be below `limit`."""
    if rows.ndim != 1 or rows.shape[0] != count:
        raise ValueError(f"row numbers are {np.shape(rows)}, expected ({count},)")
    cdef const ptrdiff_t *row = <const ptrdiff_t *> cnp.PyArray_DATA(rows)
    cdef Py_ssize_t i, wrong = 0
    for i in range(count):
        wrong += row[i] < 0 or row[i] >= limit
    if wrong:
        raise ValueError(f"{wrong} row numbers are out of range, expected 0 to {limit - 1}")
    return row


def sort_sequences(
    const int32_t[:, ::1] ids not None, const ptrdiff_t[::1] lengths not None, int bits
):
    """Return rows sorted by their ids, and how many ids each begins with like the row before it.

    Args:
        ids: ``(rows, timesteps)``.
        lengths: of the rows, ``(rows,)``: those ids count; what goes on from a row comes after it.
        bits: 1 to 32, which hold every id + 1.

    Returns the rows and the numbers; where rows are alike, a number of at least their length.

    Raises:
        ValueError: lengths that are not those of the rows, or bits out of range.
    """
    cdef rnn_sequences s
    cdef Py_ssize_t row, wrong = 0
    s.rows, s.timesteps, s.bits = ids.shape[0], ids.shape[1], bits
    if lengths.shape[0] != s.rows or not 1 <= bits <= 32:
        raise ValueError(f"{lengths.shape[0]} lengths and {bits} bits, expected {s.rows} lengths "
                         "and 1 to 32 bits")
    for row in range(s.rows):
        wrong += not 0 <= lengths[row] <= s.timesteps
    if wrong:
        raise ValueError(f"{wrong} lengths are out of range, expected 0 to {s.timesteps}")
    order, own = np.empty(s.rows, np.intp), np.empty(s.rows, np.intp)
    if ids.size == 0:
        order[:], own[:] = np.arange(s.rows), 0
        return order, own
    cdef cnp.ndarray words = np.empty((2, s.rows, sizeof(rnn_word)), np.uint8)
    cdef ptrdiff_t *order_at = <ptrdiff_t *> cnp.PyArray_DATA(order)
    cdef ptrdiff_t *own_at = <ptrdiff_t *> cnp.PyArray_DATA(own)
    s.ids, s.lengths = &ids[0, 0], &lengths[0]
    with nogil:
        rnn_order(&s, order_at, own_at, <rnn_word *> cnp.PyArray_DATA(words))
    return order, own


def enter_level(
    const int32_t[::1] ids not None, const ptrdiff_t[::1] own not None,
    const ptrdiff_t[::1] lengths not None, Py_ssize_t level, ptrdiff_t[::1] node_of not None,
    ptrdiff_t[::1] which not None, ptrdiff_t[::1] parents not None,
):
    """Find the nodes of the next level of a trie of sorted rows, and return how many there are.

    Args:
        ids: each row's at this level, ``(rows,)`` as all arrays.
        own: from which level on a row is another than the row before it.
        lengths: of the rows; those that have ended are passed over.
        level: from 0.
        node_of: each row's node of the level before; gets that of this one.
        which, parents: get each node's id, and its node of the level before.

    Raises:
        ValueError: arrays of other lengths.
    """
    cdef Py_ssize_t row, rows = ids.shape[0], count = 0
    if not own.shape[0] == lengths.shape[0] == node_of.shape[0] == rows:
        raise ValueError("arrays are of several lengths, expected one")
    if which.shape[0] < rows or parents.shape[0] < rows:
        raise ValueError(f"no room for nodes, expected that of {rows}")
    with nogil:
        for row in range(rows):
            if lengths[row] <= level:
                continue
            if own[row] <= level:
                which[count] = ids[row]
                parents[count] = node_of[row]
                count += 1
            node_of[row] = count - 1
    return count


def copy_nodes(
    cnp.ndarray states not None, cnp.ndarray nodes not None, cnp.ndarray target not None,
    cnp.ndarray rows not None,
):
    """Set target[rows] = states[nodes, :units], without the GIL.

    Args:
        states: one of those that `step_nodes` returned.
        nodes, rows: integers ``(n,)``.
        target: float32 ``(any, units)``, C-contiguous.

    Raises:
        ValueError: a row out of range, arrays of other shapes or types.
        TypeError: rows that are no integers.
    """
    cdef object array
    for array in (states, target):
        if array.ndim != 2 or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"an array is {array.dtype} {array.shape}, "
                             "expected contiguous float32 (any, units)")
    cdef Py_ssize_t width = target.shape[1], size = states.shape[1], i, count = nodes.shape[0]
    if width > size or not cnp.PyArray_ISWRITEABLE(target):
        raise ValueError(f"target is {np.shape(target)}, expected up to {size} units to write")
    nodes = nodes.astype(np.intp, "C", "safe", copy=False)
    rows = rows.astype(np.intp, "C", "safe", copy=False)
    cdef const ptrdiff_t *node = rows_of(nodes, count, states.shape[0])
    cdef const ptrdiff_t *row = rows_of(rows, count, target.shape[0])
    cdef const float *source = <const float *> cnp.PyArray_DATA(states)
    cdef float *to = <float *> cnp.PyArray_DATA(target)
    with nogil:
        for i in range(count):
            memcpy(to + row[i] * width, source + node[i] * size, width * sizeof(float))
