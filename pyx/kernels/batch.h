/* A batch of sequences, and what both backends do alike with its outputs. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_BATCH_H
#define RNN_BATCH_H

#include <stddef.h>

typedef struct {
    ptrdiff_t rows, timesteps;
    const void *x; /* IN (rows, timesteps, features); strides in values */
    ptrdiff_t x_row, x_step;
    const ptrdiff_t *ids;      /* IN (rows, timesteps), C-contiguous, instead of x; or NULL */
    const char *table;         /* IN (range of the ids, ...): x.W + b for each id */
    const unsigned char *mask; /* IN (rows, timesteps) or NULL; strides in bytes */
    ptrdiff_t mask_row, mask_step;
    void *h;                     /* INOUT (rows, units) */
    void *c;                     /* INOUT (rows, units) or NULL */
    char *out;                   /* OUT (rows, timesteps, units), or (rows, units) if only the last;
                                  * no other of these arrays */
    ptrdiff_t out_row, out_step; /* in bytes */
    int sequences, go_backwards, zero_output_for_mask;
} rnn_batch;

/* The time that step `s` of the processing order is at. */
static inline ptrdiff_t rnn_time(const rnn_batch *b, ptrdiff_t s) {
    return b->go_backwards ? b->timesteps - 1 - s : s;
}

static inline int rnn_counts(const rnn_batch *b, ptrdiff_t row, ptrdiff_t t) {
    return !b->mask || b->mask[row * b->mask_row + t * b->mask_step];
}

/* Where the output of a row's step `s` goes. */
static inline char *rnn_output(const rnn_batch *b, ptrdiff_t row, ptrdiff_t s) {
    return b->out + row * b->out_row + s * b->out_step;
}

/* Writes the output of a row's step `s`, `size` bytes: h, or what a masked step gives. */
void rnn_emit(const rnn_batch *b, ptrdiff_t row, ptrdiff_t s, const void *h, size_t size);

/* Writes the output of a row's last step that counts, after which it has the state h; or zeros. */
void rnn_emit_last(const rnn_batch *b, ptrdiff_t row, const void *h, size_t size);

#endif
