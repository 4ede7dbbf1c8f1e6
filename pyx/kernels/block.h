/* A block of a batch's rows, which runs through all its steps. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_BLOCK_H
#define RNN_BLOCK_H

#include "batch.h"
#include "packed.h"

typedef struct {
    const rnn_packed *layer;
    const rnn_batch *batch;
    ptrdiff_t first, rows;
    int team;         /* threads that share its panels */
    int turn;         /* parity of the steps that take the panels from the last */
    ptrdiff_t z_rows; /* of a chunk, at most; none if steps project their rows themselves */
    ptrdiff_t ahead;  /* steps of a chunk whose z rows the chunk before computes; 0: none does */
    float *z;       /* (z_rows, z_size): a chunk's, or that of two where one computes the next's */
    float *ahead_x; /* (features, ahead) */
    float *h;       /* (2, rows, row_size): the states before a step and after it, in turn; the
                     * first ones only, if h is computed among the outputs */
    float *c;       /* (rows, row_size), RNN_LSTM only */
    float *scratch; /* (rows, 2, row_size), RNN_GRU_BEFORE only */
} rnn_block;

/* Sets the arrays of a block of `rows` rows, one after the other, if there is memory, aligned to
 * RNN_ALIGNMENT; returns their bytes. */
size_t rnn_lay_out(rnn_block *k, float *memory);

/* All steps of a block that is laid out, from the batch's states to its states and outputs: on the
 * caller's thread, or shared by its team that saves `microseconds` of one thread. */
void rnn_run_block(rnn_block *k, double microseconds);

#endif
