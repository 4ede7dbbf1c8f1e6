/* Sequences through packed layers. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_SEQUENCE_H
#define RNN_SEQUENCE_H

#include "batch.h"
#include "packed.h"

/* All time steps of `count` batches, each through its own layer, on up to `threads` threads.
 * Returns non-zero, with nothing done, if there is no memory. */
int rnn_run(int count, const rnn_packed *const *layers, const rnn_batch *batches, int threads);

/* The same on the caller's thread and in the caller's memory, aligned, of rnn_block_bytes. */
size_t rnn_block_bytes(const rnn_packed *layer, const rnn_batch *batch);
void rnn_run_in(const rnn_packed *layer, const rnn_batch *batch, void *memory);

/* Frees what calls have left to the next; before the layer's memory is freed. */
void rnn_forget(const rnn_packed *layer);

#endif
