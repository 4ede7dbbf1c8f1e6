/* What the C library has for the engine alone: threads that share work, and batches on them, which
 * must give the bits of one thread. Arrays are of exactly the size that the library is told: under
 * the sanitizers a read or write beyond them, or a race, ends the program.
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <rnn_core.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sequence.h"
#include "threads.h"

enum { FEATURES = 5, FEW_STEPS = 10, STEPS_OF_TWO_CHUNKS = 110 };

static void fail(const char *what, ptrdiff_t at) {
    fprintf(stderr, "%s: %td\n", what, at);
    exit(1);
}

static float *values(size_t n, float scale) {
    float *p = malloc(n * sizeof(float) + !n);
    for (size_t i = 0; i < n; i++)
        p[i] = scale * (float)((i * 2654435761u >> 7) % 2001) / 1000 - scale;
    return p;
}

typedef struct {
    int threads, count;
    atomic_int done[64], ranks[8];
} shares;

static void count_share(int i, int rank, void *argument) {
    shares *s = argument;
    if (rank < 0 || rank >= s->threads)
        fail("a rank of too many", rank);
    atomic_fetch_add(&s->done[i], 1);
    atomic_store(&s->ranks[rank], 1);
}

/* Returns how many threads took part. */
static int check_share(int threads, int count) {
    shares s = {.threads = threads, .count = count};
    rnn_share(threads, count, count_share, &s);
    for (int i = 0; i < 64; i++)
        if (s.done[i] != (i < count))
            fail("a share not done once", i);
    int parts = 0;
    for (int rank = 0; rank < threads; rank++)
        parts += s.ranks[rank];
    return parts;
}

/* Not atomic: the team's waiting is what keeps its members apart. */
typedef struct {
    int threads, calls, turn;
    atomic_int size;
} relay;

static void run_relay(rnn_team *team, int rank, void *argument) {
    relay *r = argument;
    int size = rnn_team_size(team);
    atomic_store(&r->size, size);
    if (size != 1 && size != r->threads)
        fail("a team of another size", size);
    for (int round = 0; round < 30; round++) {
        if (round % size == rank) {
            r->calls++;
            if (r->turn++ != round)
                fail("out of turn", round);
        }
        if (!rnn_team_wait(team, rank)) {
            if (rank)
                return;
            team = NULL, size = 1;
        }
    }
}

/* Returns whether the threads came. */
static int check_together(int threads) {
    relay r = {.threads = threads};
    rnn_together(threads, 1e6, run_relay, &r);
    if (r.calls != 30)
        fail("rounds", r.calls);
    return r.size == threads;
}

static void check_kept_threads(void) {
    for (int kept = 8; kept; kept--) {
        rnn_keep_threads(kept);
        for (int i = 0; i < 50; i++)
            if (check_share(8, 60) > kept)
                fail("more threads than are kept", kept);
    }
    rnn_keep_threads(8);
}

static void *use_the_pool(void *together) {
    for (int i = 0; i < 100; i++) {
        check_share(1 + i % 4, i % 60);
        *(int *)together += check_together(2 + i % 2);
        rnn_keep_threads(3 + i % 2);
    }
    return NULL;
}

static void check_pool(void) {
    int together[2] = {0};
    pthread_t other;
    check_kept_threads();
    use_the_pool(&together[0]);
    if (!together[0])
        fprintf(stderr, "no team ever came together\n");
    if (pthread_create(&other, NULL, use_the_pool, &together[1]))
        exit(2);
    use_the_pool(&together[0]);
    pthread_join(other, NULL);
}

static rnn_core_layer *make_layer(int cell, size_t units) {
    const size_t columns = (cell == RNN_CORE_LSTM ? 4 : cell ? 3 : 1) * units;
    float *kernel = values(FEATURES * columns, 0.5f);
    float *recurrent_kernel = values(units * columns, 1 / (float)units);
    rnn_core_config config = {
        .cell = (rnn_core_cell)cell,
        .features = FEATURES,
        .units = units,
        .kernel = kernel,
        .recurrent_kernel = recurrent_kernel,
    };
    rnn_core_layer *layer = rnn_core_layer_create(&config);
    free(kernel), free(recurrent_kernel);
    return layer;
}

static rnn_batch batch_of(const float *x, float *out, ptrdiff_t batch, ptrdiff_t timesteps,
                          ptrdiff_t units) {
    return (rnn_batch){
        .rows = batch,
        .timesteps = timesteps,
        .x = x,
        .x_row = timesteps * FEATURES,
        .x_step = FEATURES,
        .out = (char *)out,
        .out_row = timesteps * units * (ptrdiff_t)sizeof(float),
        .out_step = units * (ptrdiff_t)sizeof(float),
        .sequences = 1,
    };
}

typedef struct {
    const rnn_packed *layers[2];
    size_t outputs;
    ptrdiff_t batch, timesteps, units;
    const float *x, *expected;
} batches;

static void *run_batches(void *argument) {
    const batches *b = argument;
    for (int i = 0; i < 4; i++) {
        const int count = 1 + i % 2, threads = 2 + i % 3 / 2;
        rnn_batch both[2];
        for (int k = 0; k < count; k++)
            both[k] = batch_of(b->x, values(b->outputs, 1), b->batch, b->timesteps, b->units);
        if (rnn_run(count, b->layers, both, threads))
            exit(2);
        for (int k = 0; k < count; k++) {
            if (memcmp(both[k].out, b->expected, b->outputs * sizeof(float)) != 0)
                fail("a batch on threads", b->batch);
            free(both[k].out);
        }
    }
    return NULL;
}

static void check_batch(rnn_core_layer *layer, size_t batch, size_t timesteps, size_t units) {
    const size_t outputs = batch * timesteps * units;
    float *x = values(batch * timesteps * FEATURES, 1), *expected = values(outputs, 1);
    rnn_core_sequences s = {
        .batch = batch, .timesteps = timesteps, .x = x, .out = expected, .sequences = 1};
    void *memory = aligned_alloc(RNN_CORE_ALIGNMENT, rnn_core_run_bytes(layer, &s));
    rnn_core_run(layer, &s, memory);
    const rnn_packed *packed = (const rnn_packed *)layer;
    batches b = {{packed, packed}, outputs, (ptrdiff_t)batch, (ptrdiff_t)timesteps,
                 (ptrdiff_t)units, x,       expected};
    pthread_t other;
    if (pthread_create(&other, NULL, run_batches, &b))
        exit(2);
    run_batches(&b);
    pthread_join(other, NULL);
    rnn_forget(packed);
    free(x), free(expected), free(memory);
}

static void check_batches(void) {
    static const size_t narrow[] = {0, 1, 15, 31, 97};
    for (int cell = RNN_CORE_SIMPLE_RNN; cell <= RNN_CORE_GRU_RESET_BEFORE; cell++) {
        rnn_core_layer *layer = make_layer(cell, 72);
        for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
            check_batch(layer, narrow[i], FEW_STEPS, 72);
        rnn_core_layer_free(layer);
        layer = make_layer(cell, 320);
        check_batch(layer, 1, STEPS_OF_TWO_CHUNKS, 320);
        check_batch(layer, 3, FEW_STEPS, 320);
        rnn_core_layer_free(layer);
    }
}

int main(void) {
    check_pool();
    check_batches();
    printf("checked %s\n", rnn_core_isa());
    return 0;
}
