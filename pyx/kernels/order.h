/* Sequences of ids sorted by their beginnings. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_ORDER_H
#define RNN_ORDER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    ptrdiff_t rows, timesteps;
    int bits;                 /* 1 to 32, which hold every id + 1 */
    const int32_t *ids;       /* (rows, timesteps), from 0 */
    const ptrdiff_t *lengths; /* (rows,): ids of a row that count, from its first */
} rnn_sequences;

typedef struct {
    uint64_t value;
    ptrdiff_t row;
} rnn_word;

/* Sorts rows by their ids; those that a row goes on from come before it.
 *
 *   order  OUT (rows,): the rows, sorted
 *   own    OUT (rows,): how many ids a row has in common with the row sorted before it; if all are,
 *               at least as many as it has
 *   words  (2, rows), for the work */
void rnn_order(const rnn_sequences *s, ptrdiff_t *order, ptrdiff_t *own, rnn_word *words);

#endif
