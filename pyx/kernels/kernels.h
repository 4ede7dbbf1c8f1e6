/* The function table of one instruction set. Private to the engine.
 *
 * Every kernel exists for float and double; pointers are void so that one table serves both.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_KERNELS_H
#define RNN_KERNELS_H

#include <stddef.h>

enum rnn_real { RNN_FLOAT32, RNN_FLOAT64, RNN_REALS };

/* row <- f(row), in place, n values; softmax normalises over the row, the others go value by value.
 * Any alignment; n may be 0. */
typedef void rnn_row_function(void *row, ptrdiff_t n);

/* One time step of a block of rows, after its products. All arrays are C-contiguous, do not
 * overlap, and are aligned for their type; a NULL mask keeps every row. */
typedef struct {
    ptrdiff_t rows;
    ptrdiff_t units;
    void *z; /* INOUT (rows, gates * units): x.W + b, plus h.U unless the cell keeps it in u */
    void *u; /* INOUT (rows, 3 * units): h.U + b of a GRU with reset_after;
              *   OUT (rows, units): r * h of a GRU without */
    void *h; /* INOUT (rows, units) */
    void *c; /* INOUT (rows, units), LSTM only */
    const unsigned char
        *mask; /* IN one byte a row, mask_stride bytes apart: 0 leaves h and c alone */
    ptrdiff_t mask_stride;
    rnn_row_function *activation;
    rnn_row_function *recurrent_activation;
} rnn_step;

typedef void rnn_gates(const rnn_step *step);

typedef struct {
    const char *name;
    rnn_row_function *apply[RNN_REALS];
} rnn_activation;

typedef struct rnn_packed_functions rnn_packed_functions; /* packed.h */

typedef struct {
    const char *isa;
    const rnn_packed_functions *packed;
    const rnn_activation *activations; /* ends with a NULL name */
    rnn_gates *simple_rnn[RNN_REALS];
    rnn_gates *lstm[RNN_REALS];
    rnn_gates *gru_after[RNN_REALS]; /* reset_after: the reset gate scales the product h.U */
    rnn_gates
        *gru_reset[RNN_REALS]; /* otherwise: gates z and r, and r * h for the second product ... */
    rnn_gates *gru_update[RNN_REALS]; /* ... then the candidate and the new h */
} rnn_kernels;

/* The widest instruction set that this CPU and its operating system offer. */
const rnn_kernels *rnn_kernels_best(void);

/* The table called `isa`; NULL if this CPU cannot run it or it was not compiled in. */
const rnn_kernels *rnn_kernels_find(const char *isa);

/* The i-th table that this CPU runs, best first; NULL after the last. */
const rnn_kernels *rnn_kernels_at(int i);

/* The apply functions of the activation called `name`; NULL if there is none. */
rnn_row_function *const *rnn_activation_find(const rnn_kernels *kernels, const char *name);

#endif
