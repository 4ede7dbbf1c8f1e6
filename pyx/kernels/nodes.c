/* One step of many sequences, each from states that others may share.
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "nodes.h"

/* The nodes [first, first + rows), at most RNN_BLOCK_ROWS. */
static void step_block(const rnn_packed *layer, const rnn_nodes *n, ptrdiff_t first,
                       ptrdiff_t rows) {
    const ptrdiff_t size = layer->row_size;
    const float *inputs[RNN_BLOCK_ROWS], *h[RNN_BLOCK_ROWS], *rh[RNN_BLOCK_ROWS];
    float *next_h[RNN_BLOCK_ROWS], *c[RNN_BLOCK_ROWS], *scratch[RNN_BLOCK_ROWS];
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t node = first + i, parent = n->parent[node];
        inputs[i] = n->inputs + (n->input ? n->input[node] : node) * n->input_size;
        h[i] = n->parent_h + parent * size;
        next_h[i] = n->h + node * size;
        c[i] = n->c + node * size;
        scratch[i] = n->scratch + 2 * i * size;
        rh[i] = scratch[i] + size;
        if (layer->cell == RNN_LSTM)
            memcpy(c[i], n->parent_c + parent * size, (size_t)size * sizeof(float));
    }
    rnn_packed_step step = {
        .rows = rows,
        .x = n->projected ? NULL : inputs,
        .z = n->projected ? inputs : NULL,
        .h = h,
        .next_h = next_h,
        .c = c,
        .scratch = scratch,
        .backwards = first / RNN_BLOCK_ROWS % 2,
    };
    for (int part = 0; part < layer->parts; part++) {
        step.a = part ? rh : h;
        step.last = layer->part[part].cut.count;
        layer->kernels->packed->step(layer, part, &step);
    }
}

void rnn_step_nodes(const rnn_packed *layer, const rnn_nodes *nodes) {
    for (ptrdiff_t first = 0, rows; first < nodes->count; first += rows) {
        const ptrdiff_t left = nodes->count - first;
        rows = left < RNN_BLOCK_ROWS ? left : RNN_BLOCK_ROWS;
        step_block(layer, nodes, first, rows);
    }
}
