/* Products of rows with a packed kernel, without steps.
 * SPDX-License-Identifier: MIT
 */
#include "projection.h"
#include "threads.h"

/* What rnn_project has to do: blocks of rows, and if those are too few, shares of the panels. */
typedef struct {
    const rnn_packed *layer;
    const float *x;
    ptrdiff_t x_row, rows;
    float *z;
    int shares;
} projection;

static void project_block(int i, int thread, void *argument) {
    (void)thread;
    const projection *p = argument;
    const rnn_packed *layer = p->layer;
    const float *from[RNN_BLOCK_ROWS];
    float *to[RNN_BLOCK_ROWS];
    const ptrdiff_t first = (ptrdiff_t)(i / p->shares) * RNN_BLOCK_ROWS, share = i % p->shares;
    ptrdiff_t count = p->rows - first < RNN_BLOCK_ROWS ? p->rows - first : RNN_BLOCK_ROWS;
    for (ptrdiff_t row = 0; row < count; row++) {
        from[row] = p->x + (first + row) * p->x_row;
        to[row] = p->z + (first + row) * layer->z_size;
    }
    for (int part = 0; part < layer->parts; part++) {
        const ptrdiff_t panels = layer->part[part].cut.count;
        layer->kernels->packed->project(layer, part, count, from, to, panels * share / p->shares,
                                        panels * (share + 1) / p->shares);
    }
}

void rnn_project(const rnn_packed *layer, const float *x, ptrdiff_t x_row, ptrdiff_t rows, float *z,
                 int threads) {
    const int blocks = (int)((rows + RNN_BLOCK_ROWS - 1) / RNN_BLOCK_ROWS);
    if (!rnn_worth_sharing(threads, rnn_microseconds(layer, layer->features, rows)))
        threads = 1;
    projection p = {.layer = layer, .x = x, .x_row = x_row, .rows = rows, .z = z};
    p.shares = blocks < threads ? threads : 1;
    rnn_share(threads, blocks * p.shares, project_block, &p);
}
