/* Calls of packed layers: their batches are divided among threads.
 * SPDX-License-Identifier: MIT
 */
#include "block.h"
#include "sequence.h"
#include "threads.h"

/* What a call takes from its stack, not from the heap. */
enum { STACK_BYTES = 16 * 1024 };

/* What a call has to do: blocks of rows, of one batch after the other. */
typedef struct {
    const rnn_packed *const *layers;
    const rnn_batch *batches;
    int count;  /* of batches */
    int blocks; /* of each, at most */
    ptrdiff_t block_rows;
    int threads;         /* that take a block each */
    int team;            /* threads that share the panels of a block */
    double microseconds; /* about what one thread needs */
    size_t memory_bytes; /* of each thread's block */
    char *memory;
} work;

static double estimate(const rnn_packed *layer, const rnn_batch *b) {
    const ptrdiff_t depth = layer->units + (b->ids ? 0 : layer->features);
    return rnn_microseconds(layer, depth, b->rows * b->timesteps);
}

static rnn_block block_of(const work *w, int i) {
    const rnn_batch *b = &w->batches[i / w->blocks];
    rnn_block k = {.layer = w->layers[i / w->blocks], .batch = b};
    k.team = w->team;
    k.first = i % w->blocks * w->block_rows;
    k.rows = b->rows - k.first < w->block_rows ? b->rows - k.first : w->block_rows;
    return k;
}

static void run_block(int i, int thread, void *argument) {
    const work *w = argument;
    rnn_block k = block_of(w, i);
    if (k.rows <= 0)
        return;
    rnn_lay_out(&k, (float *)(w->memory + w->memory_bytes * (size_t)thread));
    rnn_run_block(&k, w->microseconds);
}

/* Splits batches into blocks for `threads` threads, or if there are too few rows for that, and
 * weights that one core's cache is too small for, has them share the panels of one block. */
static void divide(work *w, int threads) {
    const ptrdiff_t shared_weights = 48 * 1024, rows_each = 4;
    ptrdiff_t rows = 0;
    for (int i = 0; i < w->count; i++) {
        rows = rows > w->batches[i].rows ? rows : w->batches[i].rows;
        w->microseconds += estimate(w->layers[i], &w->batches[i]);
    }
    if (!rnn_worth_sharing(threads, w->microseconds))
        threads = 1;
    threads = threads < RNN_MAX_THREADS ? threads : RNN_MAX_THREADS;
    const rnn_packed *layer = w->layers[0];
    const ptrdiff_t panels = layer->part[layer->parts - 1].cut.count;
    const int team = threads < panels ? threads : (int)panels;
    const int few = w->count == 1 && rows < rows_each * team;
    w->team = few && rnn_weight_count(layer, layer->units) >= shared_weights ? team : 1;
    w->threads = w->team > 1 ? 1 : threads;
    const int parts = (w->threads + w->count - 1) / w->count;
    const ptrdiff_t fitting = (rows + RNN_BLOCK_ROWS - 1) / RNN_BLOCK_ROWS;
    w->blocks = (int)((fitting + parts - 1) / parts * parts);
    w->block_rows = w->blocks ? (rows + w->blocks - 1) / w->blocks : 0;
    for (int i = 0; i < w->count * w->blocks; i++) {
        rnn_block k = block_of(w, i);
        /* A last block of fewer rows may take more: for more steps of a chunk. */
        const size_t bytes = k.rows > 0 ? rnn_lay_out(&k, NULL) : 0;
        w->memory_bytes = w->memory_bytes > bytes ? w->memory_bytes : bytes;
    }
}

/* Memory of at least `bytes`: what a call has left, or new; its first line holds its size. */
static char *take_memory(const rnn_packed *layer, size_t bytes) {
    size_t *spare = atomic_exchange(&layer->left->memory, NULL);
    if (spare && *spare < bytes) {
        rnn_release(spare);
        spare = NULL;
    }
    if (!spare && (spare = rnn_allocate(bytes + RNN_ALIGNMENT)))
        *spare = bytes;
    return spare ? (char *)spare + RNN_ALIGNMENT : NULL;
}

static void leave_memory(const rnn_packed *layer, char *memory) {
    rnn_release(atomic_exchange(&layer->left->memory, memory - RNN_ALIGNMENT));
}

int rnn_run(int count, const rnn_packed *const *layers, const rnn_batch *batches, int threads) {
    _Alignas(RNN_ALIGNMENT) char small[STACK_BYTES];
    work w = {.layers = layers, .batches = batches, .count = count};
    divide(&w, threads);
    const size_t bytes = w.memory_bytes * (size_t)w.threads;
    w.memory = bytes <= sizeof small ? small : take_memory(layers[0], bytes);
    if (!w.memory)
        return -1;
    rnn_share(w.threads, count * w.blocks, run_block, &w);
    if (w.memory != small)
        leave_memory(layers[0], w.memory);
    return 0;
}

size_t rnn_block_bytes(const rnn_packed *layer, const rnn_batch *batch) {
    work w = {.layers = &layer, .batches = batch, .count = 1};
    divide(&w, 1);
    return w.memory_bytes;
}

void rnn_run_in(const rnn_packed *layer, const rnn_batch *batch, void *memory) {
    work w = {.layers = &layer, .batches = batch, .count = 1, .memory = memory};
    divide(&w, 1);
    rnn_share(1, w.blocks, run_block, &w);
}

void rnn_forget(const rnn_packed *layer) {
    rnn_release(atomic_exchange(&layer->left->memory, NULL));
}
