/* The time loop of packed layers.
 *
 * The projection of a chunk of steps is computed beforehand, so that the kernel is read once for
 * all of them; a step that a mask excludes for a row is neither projected nor computed for it.
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "block.h"
#include "threads.h"

/* The z rows of a chunk of steps: a share of L2 beside the recurrent kernel, or if that is few
 * rows, enough of them for the kernel not to be read too often. */
enum { CHUNK_BYTES = 128 * 1024, CHUNK_ROWS = 96 };
enum { MANY_ROWS = 16, FEW_FEATURES = 4 };

/* Many rows use the kernel while it is in registers and cache, and one step has no others; z rows
 * of few features take longer to store and to load than to compute. */
static int projects_by_step(const rnn_block *k) {
    return k->batch->ids || k->rows >= MANY_ROWS || k->batch->timesteps == 1 ||
           k->layer->features <= FEW_FEATURES;
}

/* Whether a block is one row that every step counts for. */
static int is_lone_row(const rnn_block *k) {
    return k->rows == 1 && !k->batch->mask && k->layer->parts == 1;
}

/* Weights that are read from L2 in each step: fewer are in L1, and where there are more, reading
 * the kernel for so few steps at a time takes longer than is won. */
enum { FEWEST_WEIGHTS = 24 * 1024, MOST_WEIGHTS = 512 * 1024 };

/* Steps of a chunk that computes the z rows of the next, or 0. */
static ptrdiff_t steps_ahead(const rnn_block *k) {
    const rnn_packed *layer = k->layer;
    const ptrdiff_t ahead = layer->kernels->packed->ahead;
    const ptrdiff_t weights = rnn_weight_count(layer, layer->units);
    const int able = is_lone_row(k) && k->team == 1 && layer->fused && !projects_by_step(k);
    const int pays = weights >= FEWEST_WEIGHTS && weights <= MOST_WEIGHTS &&
                     rnn_weight_count(layer, layer->features) <= MOST_WEIGHTS &&
                     k->batch->timesteps >= 3 * ahead;
    return able && pays ? ahead : 0;
}

size_t rnn_lay_out(rnn_block *k, float *memory) {
    const rnn_packed *layer = k->layer;
    const rnn_batch *b = k->batch;
    const ptrdiff_t line = RNN_ALIGNMENT / sizeof(float);
    const ptrdiff_t state = (k->rows * layer->row_size + line - 1) / line * line;
    ptrdiff_t z_rows = CHUNK_BYTES / (ptrdiff_t)sizeof(float) / layer->z_size;
    z_rows = z_rows > CHUNK_ROWS ? z_rows : CHUNK_ROWS;
    ptrdiff_t steps = z_rows > k->rows ? z_rows / k->rows : 1;
    steps = steps < b->timesteps ? steps : b->timesteps;
    k->ahead = steps_ahead(k);
    k->z_rows = projects_by_step(k) ? 0 : k->ahead ? 2 * k->ahead : k->rows * steps;
    const ptrdiff_t c = 2 * state, scratch = c + (layer->cell == RNN_LSTM ? state : 0);
    const ptrdiff_t z = scratch + (layer->cell == RNN_GRU_BEFORE ? 2 * state : 0);
    const ptrdiff_t ahead_x = z + k->z_rows * layer->z_size;
    const ptrdiff_t size = (ahead_x + k->ahead * layer->features + line - 1) / line * line;
    if (memory) {
        k->h = memory;
        k->c = memory + c;
        k->scratch = memory + scratch;
        k->z = memory + z;
        k->ahead_x = memory + ahead_x;
    }
    return (size_t)size * sizeof(float);
}

/* Rows of a step that count, as the kernels want them. */
typedef struct {
    ptrdiff_t count;
    const float *x[RNN_BLOCK_ROWS], *a[RNN_BLOCK_ROWS], *h[RNN_BLOCK_ROWS];
    float *z[RNN_BLOCK_ROWS], *next_h[RNN_BLOCK_ROWS], *c[RNN_BLOCK_ROWS];
    float *scratch[RNN_BLOCK_ROWS];
} row_pointers;

/* One thread's share of a block: all rows, some panels. */
typedef struct {
    const rnn_block *block;
    rnn_team *team;
    int rank;                                          /* 0 does what is done once for all */
    ptrdiff_t first[RNN_PARTS], last[RNN_PARTS];       /* panels */
    float *now[RNN_BLOCK_ROWS], *next[RNN_BLOCK_ROWS]; /* states of each row */
    row_pointers rows;
} member;

static const float *x_at(const rnn_batch *b, ptrdiff_t row, ptrdiff_t t) {
    return (const float *)b->x + row * b->x_row + t * b->x_step;
}

static void project(member *m) {
    const rnn_packed *layer = m->block->layer;
    for (int part = 0; part < layer->parts; part++)
        layer->kernels->packed->project(layer, part, m->rows.count, m->rows.x, m->rows.z,
                                        m->first[part], m->last[part]);
    m->rows.count = 0;
}

/* The z rows of steps [start, end), one after the other, those that count only. */
static void project_chunk(member *m, ptrdiff_t start, ptrdiff_t end) {
    const rnn_block *k = m->block;
    const rnn_batch *b = k->batch;
    float *z = k->z;
    m->rows.count = 0;
    for (ptrdiff_t s = start; s < end; s++) {
        const ptrdiff_t t = rnn_time(b, s);
        for (ptrdiff_t row = k->first; row < k->first + k->rows; row++) {
            if (!rnn_counts(b, row, t))
                continue;
            m->rows.x[m->rows.count] = x_at(b, row, t);
            m->rows.z[m->rows.count++] = z;
            z += k->layer->z_size;
            if (m->rows.count == RNN_BLOCK_ROWS)
                project(m);
        }
    }
    project(m);
}

/* Whether h is computed in its place among the outputs: it fills its panels, and no mask gives an
 * earlier one. */
static int is_output(const rnn_block *k) {
    return k->batch->sequences && !k->batch->mask && k->layer->row_size == k->layer->units;
}

/* Gathers the rows that count at step `s`; their z rows begin at `z`, or are the table's. Returns
 * where the next step's begin. */
static float *gather(member *m, ptrdiff_t s, float *z) {
    const rnn_block *k = m->block;
    const rnn_batch *b = k->batch;
    const rnn_packed *layer = k->layer;
    row_pointers *rows = &m->rows;
    const ptrdiff_t t = rnn_time(b, s);
    const int output = is_output(k);
    rows->count = 0;
    for (ptrdiff_t i = 0; i < k->rows; i++) {
        const ptrdiff_t row = k->first + i, n = rows->count;
        if (!rnn_counts(b, row, t))
            continue;
        if (b->ids)
            rows->z[n] = (float *)b->table + b->ids[row * b->timesteps + t] * layer->z_size;
        else if (k->z_rows)
            rows->z[n] = z + n * layer->z_size;
        else
            rows->x[n] = x_at(b, row, t);
        rows->h[n] = m->now[i];
        rows->next_h[n] = output ? (float *)rnn_output(b, row, s) : m->next[i];
        rows->c[n] = k->c + i * layer->row_size;
        rows->scratch[n] = k->scratch + 2 * i * layer->row_size;
        rows->count++;
        m->now[i] = rows->next_h[n];
        m->next[i] = (float *)rows->h[n];
    }
    return z + (k->z_rows ? rows->count * layer->z_size : 0);
}

/* A member's share of the panels of each part. */
static void take_share(member *m, int rank, int size) {
    const rnn_packed *layer = m->block->layer;
    for (int part = 0; part < layer->parts; part++) {
        const ptrdiff_t panels = layer->part[part].cut.count;
        m->first[part] = panels * rank / size;
        m->last[part] = panels * (rank + 1) / size;
    }
}

/* Waits for the others; returns whether to go on. */
static int meet(member *m) {
    if (rnn_team_wait(m->team, m->rank))
        return 1;
    m->team = NULL;
    take_share(m, 0, 1);
    return m->rank == 0;
}

/* One step; returns whether to go on. */
static int advance(member *m, ptrdiff_t s) {
    const rnn_block *k = m->block;
    const rnn_packed *layer = k->layer;
    row_pointers *rows = &m->rows;
    for (int part = 0; part < layer->parts; part++) {
        if (part)
            for (ptrdiff_t i = 0; i < rows->count; i++)
                rows->a[i] = rows->scratch[i] + layer->row_size;
        rnn_packed_step step = {
            .rows = rows->count,
            .x = rows->x,
            .z = k->z_rows || k->batch->ids ? (const float *const *)rows->z : NULL,
            .a = part ? rows->a : rows->h,
            .h = rows->h,
            .next_h = rows->next_h,
            .c = rows->c,
            .scratch = rows->scratch,
            .first = m->first[part],
            .last = m->last[part],
            .backwards = (s ^ k->turn) & 1,
        };
        layer->kernels->packed->step(layer, part, &step);
        if (!meet(m))
            return 0;
    }
    return 1;
}

/* One state of the batch to a row of the block's, zeros beyond the units. */
static void load_row(const rnn_block *k, float *to, const float *state, ptrdiff_t i) {
    const ptrdiff_t units = state ? k->layer->units : 0;
    if (state)
        memcpy(to, state + (k->first + i) * units, (size_t)units * sizeof(float));
    memset(to + units, 0, (size_t)(k->layer->row_size - units) * sizeof(float));
}

static void load_states(const rnn_block *k) {
    for (ptrdiff_t i = 0; i < k->rows; i++) {
        load_row(k, k->h + i * k->layer->row_size, k->batch->h, i);
        if (k->layer->cell == RNN_LSTM)
            load_row(k, k->c + i * k->layer->row_size, k->batch->c, i);
    }
}

/* The states, where they are wanted, and the outputs that are those of the last step. */
static void store_rows(const member *m) {
    const rnn_block *k = m->block;
    const rnn_batch *b = k->batch;
    const size_t size = (size_t)k->layer->units * sizeof(float);
    for (ptrdiff_t i = 0; i < k->rows; i++) {
        const ptrdiff_t row = k->first + i, at = row * k->layer->units;
        if (b->h)
            memcpy((float *)b->h + at, m->now[i], size);
        if (b->c)
            memcpy((float *)b->c + at, k->c + i * k->layer->row_size, size);
        if (!b->sequences)
            rnn_emit_last(b, row, m->now[i], size);
    }
}

static void emit(const member *m, ptrdiff_t s) {
    const rnn_block *k = m->block;
    if (!k->batch->sequences || is_output(k))
        return;
    for (ptrdiff_t i = 0; i < k->rows; i++)
        rnn_emit(k->batch, k->first + i, s, m->now[i], (size_t)k->layer->units * sizeof(float));
}

/* Turns the inputs of a lone row's chunk that begins at `start`; the last one stands for those that
 * are missing. */
static void turn_inputs(const rnn_block *k, ptrdiff_t start) {
    const rnn_batch *b = k->batch;
    const float *x[RNN_BLOCK_ROWS];
    for (ptrdiff_t i = 0; i < k->ahead; i++) {
        const ptrdiff_t s = start + i < b->timesteps ? start + i : b->timesteps - 1;
        x[i] = x_at(b, k->first, rnn_time(b, s));
    }
    for (ptrdiff_t j = 0; j < k->layer->features; j++)
        for (ptrdiff_t i = 0; i < k->ahead; i++)
            k->ahead_x[j * k->ahead + i] = x[i][j];
}

/* The steps [start, end) of a lone row: nothing to gather, nobody to wait for. */
static void run_lone_row(member *m, ptrdiff_t start, ptrdiff_t end, const float *z,
                         rnn_ahead *ahead) {
    const rnn_block *k = m->block;
    const rnn_batch *b = k->batch;
    const rnn_packed *layer = k->layer;
    const ptrdiff_t *ids = b->ids ? b->ids + k->first * b->timesteps : NULL;
    const int output = is_output(k);
    const float *x = NULL;
    float *c = k->c, *scratch = k->scratch;
    rnn_packed_step step = {
        .rows = 1,
        .x = &x,
        .z = ids || k->z_rows ? &z : NULL,
        .a = (const float *const *)m->now,
        .h = (const float *const *)m->now,
        .next_h = m->next,
        .c = &c,
        .scratch = &scratch,
        .last = m->last[0],
        .ahead = ahead,
    };
    for (ptrdiff_t s = start; s < end; s++) {
        const ptrdiff_t t = rnn_time(b, s);
        if (ids)
            z = (const float *)b->table + ids[t] * layer->z_size;
        else
            x = x_at(b, k->first, t);
        if (output)
            m->next[0] = (float *)rnn_output(b, k->first, s);
        step.backwards = (s ^ k->turn) & 1;
        if (ahead)
            ahead->column = s - start;
        layer->kernels->packed->step(layer, 0, &step);
        z += k->z_rows ? layer->z_size : 0;
        float *h = m->now[0];
        m->now[0] = m->next[0];
        m->next[0] = h;
        emit(m, s);
    }
}

/* All steps of a lone row, the next chunk's z rows computed along with each chunk. */
static void run_ahead(member *m) {
    const rnn_block *k = m->block;
    const ptrdiff_t timesteps = k->batch->timesteps;
    float *z = k->z, *next_z = k->z + k->ahead * k->layer->z_size;
    project_chunk(m, 0, k->ahead);
    for (ptrdiff_t start = 0, end; start < timesteps; start = end) {
        end = timesteps - start < k->ahead ? timesteps : start + k->ahead;
        rnn_ahead ahead = {.x = k->ahead_x, .z = next_z};
        if (end < timesteps)
            turn_inputs(k, end);
        run_lone_row(m, start, end, z, end < timesteps ? &ahead : NULL);
        next_z = z;
        z = ahead.z;
    }
}

static void run_steps(member *m) {
    const rnn_block *k = m->block;
    const rnn_batch *b = k->batch;
    const ptrdiff_t chunk = k->z_rows ? k->z_rows / k->rows : b->timesteps;
    for (ptrdiff_t start = 0, end; start < b->timesteps; start = end) {
        end = b->timesteps - start < chunk ? b->timesteps : start + chunk;
        float *z = k->z;
        if (k->z_rows)
            project_chunk(m, start, end);
        if (is_lone_row(k) && !m->team) {
            run_lone_row(m, start, end, z, NULL);
            continue;
        }
        for (ptrdiff_t s = start; s < end; s++) {
            z = gather(m, s, z);
            if (m->rows.count && !advance(m, s))
                return;
            if (m->rank == 0)
                emit(m, s);
        }
    }
}

static void run_member(rnn_team *team, int rank, void *argument) {
    const rnn_block *k = argument;
    member m; /* large, and what it begins with is all set here */
    m.block = k;
    m.team = team;
    m.rank = rank;
    take_share(&m, rank, rnn_team_size(team));
    for (ptrdiff_t i = 0; i < k->rows; i++) {
        m.now[i] = k->h + i * k->layer->row_size;
        m.next[i] = m.now[i] + k->rows * k->layer->row_size;
    }
    if (k->ahead)
        run_ahead(&m);
    else
        run_steps(&m);
    if (m.rank == 0)
        store_rows(&m);
}

void rnn_run_block(rnn_block *k, double microseconds) {
    k->turn = atomic_load_explicit(&k->layer->left->turn, memory_order_relaxed);
    atomic_store_explicit(&k->layer->left->turn, (int)(k->turn + k->batch->timesteps),
                          memory_order_relaxed);
    load_states(k);
    if (k->team > 1)
        rnn_together(k->team, microseconds, run_member, k);
    else
        run_member(NULL, 0, k);
}
