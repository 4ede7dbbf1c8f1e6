/* One step of many sequences, each from states that others may share. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_NODES_H
#define RNN_NODES_H

#include "packed.h"

typedef struct {
    ptrdiff_t count;
    const float *inputs;              /* IN (any, input_size): x, or z rows if `projected` */
    ptrdiff_t input_size;             /* values from one to the next */
    int projected;                    /* rows of inputs are z rows: x.W + b */
    const ptrdiff_t *input;           /* IN (count,): a node's row of inputs; NULL: its own */
    const ptrdiff_t *parent;          /* IN (count,): a node's row of the states before */
    const float *parent_h, *parent_c; /* IN (any, row_size), aligned; c of RNN_LSTM only */
    float *h, *c;                     /* OUT (count, row_size), aligned, not overlapping */
    float *scratch; /* (2, RNN_BLOCK_ROWS, row_size), aligned: of RNN_GRU_BEFORE only */
} rnn_nodes;

/* h, c = the cell's step from x and its parent's h, c, for every node; rows are in range. */
void rnn_step_nodes(const rnn_packed *layer, const rnn_nodes *nodes);

#endif
