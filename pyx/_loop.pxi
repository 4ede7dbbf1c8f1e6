# The time loop over BLAS, without the GIL; part of _engine.pyx, which has the types.


cdef struct Weights:
    rnn_cell cell
    Py_ssize_t features, units, columns, itemsize
    const void *kernel            # (features, columns)
    const void *recurrent_kernel  # (units, columns)
    const void *bias              # (columns,)
    const void *recurrent_bias    # (columns,), RNN_GRU_AFTER only
    rnn_row_function *activation
    rnn_row_function *recurrent_activation
    rnn_gates *gates
    rnn_gates *update             # RNN_GRU_BEFORE only, after its second product


cdef void choose_gates(Weights *w, const rnn_kernels *kernels, int type_) noexcept:
    if w.cell == RNN_SIMPLE_RNN:
        w.gates = kernels.simple_rnn[type_]
    elif w.cell == RNN_LSTM:
        w.gates = kernels.lstm[type_]
    elif w.cell == RNN_GRU_AFTER:
        w.gates = kernels.gru_after[type_]
    else:
        w.gates = kernels.gru_reset[type_]
        w.update = kernels.gru_update[type_]


cdef inline void multiply_add(
    const real *a, Py_ssize_t lda, const real *b, Py_ssize_t ldb, real *c, Py_ssize_t ldc,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    """C := C + A.B, row-major: A (m, k), B (k, n), C (m, n)."""
    if k == 0:
        return
    if real is float:
        blas.f32(a, <int> lda, b, <int> ldb, c, <int> ldc, <int> m, <int> n, <int> k)
    else:
        blas.f64(a, <int> lda, b, <int> ldb, c, <int> ldc, <int> m, <int> n, <int> k)


cdef inline void fill_rows(real *z, const void *row, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(z + i * n, row, n * sizeof(real))


cdef void look_up(
    const rnn_batch *b, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t t0, Py_ssize_t steps, char *z,
    size_t row_bytes,
) noexcept nogil:
    """z (steps, rows, columns) = the table's rows of the block's ids."""
    cdef Py_ssize_t row, t, id
    for t in range(steps):
        for row in range(rows):
            id = b.ids[(first + row) * b.timesteps + t0 + t]
            memcpy(z + (t * rows + row) * row_bytes, b.table + id * row_bytes, row_bytes)


cdef void project(
    const Weights *w, const rnn_batch *b, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t t0,
    Py_ssize_t steps, real *z,
) noexcept nogil:
    """z = x.W + b for times t0 to t0 + steps of a block of rows; z is (steps, rows, columns)."""
    cdef const real *x = <const real *> b.x + first * b.x_row + t0 * b.x_step
    cdef const real *kernel = <const real *> w.kernel
    cdef Py_ssize_t row, t, columns = w.columns
    if b.ids != NULL:
        look_up(b, first, rows, t0, steps, <char *> z, columns * sizeof(real))
        return
    fill_rows[real](z, w.bias, steps * rows, columns)
    if b.x_step == rows * b.x_row:
        multiply_add[real](
            x, b.x_row, kernel, columns, z, columns, steps * rows, columns, w.features
        )
    elif rows >= steps and b.x_row <= INT_MAX:
        for t in range(steps):
            multiply_add[real](
                x + t * b.x_step, b.x_row, kernel, columns, z + t * rows * columns, columns,
                rows, columns, w.features,
            )
    else:
        for row in range(rows):
            multiply_add[real](
                x + row * b.x_row, b.x_step, kernel, columns, z + row * columns, rows * columns,
                steps, columns, w.features,
            )


cdef void advance(const Weights *w, rnn_step *step, real *z) noexcept nogil:
    """One time step: the product h.U, then the gates."""
    cdef const real *recurrent_kernel = <const real *> w.recurrent_kernel
    cdef const real *h = <const real *> step.h
    cdef real *u = <real *> step.u
    cdef Py_ssize_t n = w.units, columns = w.columns, rows = step.rows
    step.z = z
    if w.cell == RNN_GRU_AFTER:
        fill_rows[real](u, w.recurrent_bias, rows, columns)
        multiply_add[real](h, n, recurrent_kernel, columns, u, columns, rows, columns, n)
        w.gates(step)
    elif w.cell == RNN_GRU_BEFORE:
        multiply_add[real](h, n, recurrent_kernel, columns, z, columns, rows, 2 * n, n)
        w.gates(step)
        multiply_add[real](
            u, n, recurrent_kernel + 2 * n, columns, z + 2 * n, columns, rows, n, n
        )
        w.update(step)
    else:
        multiply_add[real](h, n, recurrent_kernel, columns, z, columns, rows, columns, n)
        w.gates(step)


cdef void run_block(
    const Weights *w, const rnn_batch *b, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t chunk,
    real *z, real *u,
) noexcept nogil:
    """All time steps of rows `first` to `first + rows`."""
    cdef rnn_step step
    cdef Py_ssize_t row, s, start, steps, t, t0
    cdef const char *h
    step.rows, step.units = rows, w.units
    step.u = u
    step.h = <real *> b.h + first * w.units
    step.c = <real *> b.c + first * w.units if b.c != NULL else NULL
    step.mask = NULL
    step.mask_stride = b.mask_row
    step.activation, step.recurrent_activation = w.activation, w.recurrent_activation
    start = 0
    while start < b.timesteps:
        steps = min(chunk, b.timesteps - start)
        t0 = b.timesteps - start - steps if b.go_backwards else start
        project[real](w, b, first, rows, t0, steps, z)
        for s in range(start, start + steps):
            t = b.timesteps - 1 - s if b.go_backwards else s
            if b.mask != NULL:
                step.mask = b.mask + first * b.mask_row + t * b.mask_step
            advance[real](w, &step, z + (t - t0) * rows * w.columns)
            if b.sequences:
                for row in range(rows):
                    h = <char *> step.h + row * w.units * sizeof(real)
                    rnn_emit(b, first + row, s, h, w.units * sizeof(real))
        start += steps


cdef int run(const Weights *w, const rnn_batch *b) noexcept nogil:
    """All rows, block by block; returns non-zero, with nothing done, if memory is short."""
    cdef Py_ssize_t block = min(BLOCK_ROWS, b.rows)
    cdef Py_ssize_t step_bytes = max(block * w.columns * w.itemsize, 1)
    cdef Py_ssize_t chunk = min(max(CHUNK_BYTES // step_bytes, 1), max(b.timesteps, 1))
    cdef Py_ssize_t u_columns = w.columns if w.cell == RNN_GRU_AFTER else w.units
    cdef Py_ssize_t u_bytes = block * w.itemsize * u_columns
    cdef void *memory = malloc(chunk * step_bytes + u_bytes + CACHE_LINE)
    if memory == NULL:
        return -1
    cdef char *z = <char *> ((<uintptr_t> memory + CACHE_LINE - 1) & ~<uintptr_t> (CACHE_LINE - 1))
    cdef char *u = z + chunk * step_bytes
    cdef Py_ssize_t rows, first = 0
    while first < b.rows:
        rows = min(block, b.rows - first)
        if w.itemsize == sizeof(float):
            run_block(w, b, first, rows, chunk, <float *> z, <float *> u)
        else:
            run_block(w, b, first, rows, chunk, <double *> z, <double *> u)
        first += rows
    free(memory)
    if not b.sequences:
        for first in range(b.rows):
            rnn_emit_last(
                b, first, <char *> b.h + first * w.units * w.itemsize, w.units * w.itemsize
            )
    return 0
