/* Outputs of a batch.
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "batch.h"

void rnn_emit(const rnn_batch *b, ptrdiff_t row, ptrdiff_t s, const void *h, size_t size) {
    char *out = rnn_output(b, row, s);
    if (rnn_counts(b, row, rnn_time(b, s)))
        memcpy(out, h, size);
    else if (s == 0 || b->zero_output_for_mask)
        memset(out, 0, size);
    else
        memcpy(out, out - b->out_step, size);
}

static int any_step_counts(const rnn_batch *b, ptrdiff_t row) {
    for (ptrdiff_t t = 0; t < b->timesteps; t++)
        if (rnn_counts(b, row, t))
            return 1;
    return 0;
}

void rnn_emit_last(const rnn_batch *b, ptrdiff_t row, const void *h, size_t size) {
    const ptrdiff_t last = rnn_time(b, b->timesteps - 1);
    char *out = b->out + row * b->out_row;
    if (b->timesteps > 0 &&
        (b->zero_output_for_mask ? rnn_counts(b, row, last) : any_step_counts(b, row)))
        memcpy(out, h, size);
    else
        memset(out, 0, size);
}
