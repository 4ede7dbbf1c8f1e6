/* The steps of packed layers: products, then gates on sums that lie in L1; included once per
 * instruction set, after product.h.
 * SPDX-License-Identifier: MIT
 */

enum { CANDIDATE = 2 }; /* gate of a GRU */

typedef T(ratio) ratio;

static inline ratio applied(rnn_row_function *function, vec x) {
    function(&x, LANES);
    return (ratio){x, T(broadcast)(1)};
}

INLINE ratio act(const rnn_packed *layer, const int fused, vec x) {
    return fused ? T(tanh_ratio)(x) : applied(layer->activation, x);
}

INLINE ratio rec(const rnn_packed *layer, const int fused, vec x) {
    return fused ? T(sigmoid_ratio)(x) : applied(layer->recurrent_activation, x);
}

INLINE vec times(ratio a, ratio b) { return a.over * b.over / (a.under * b.under); }

/* The gates, on vectors of units. sum[k] is x.W + b + h.U of gate k, but where the reset gate comes
 * after the product the candidate's is h.U + b, and x_sum its x.W + b. What comes in two functions
 * is done for all vectors at hand first: the chain from a sum to h is long. */

/* h = act(z) */
INLINE vec simple_rnn(const rnn_packed *layer, const int fused, vec sum) {
    return T(value)(act(layer, fused, sum));
}

/* c = f c + i g, and o for later */
INLINE vec lstm_c(const rnn_packed *layer, const int fused, const vec *sum, vec c, ratio *o) {
    ratio i = rec(layer, fused, sum[0]), f = rec(layer, fused, sum[1]);
    ratio g = act(layer, fused, sum[2]);
    *o = rec(layer, fused, sum[3]);
    return T(value)(f) * c + times(i, g);
}

/* h = o act(c) */
INLINE vec lstm_h(const rnn_packed *layer, const int fused, ratio o, vec c) {
    return times(o, act(layer, fused, c));
}

/* h = z h + (1 - z) g with g = act(sum) */
INLINE vec gru_h(const rnn_packed *layer, const int fused, ratio z, vec sum, vec h) {
    const ratio g = act(layer, fused, sum), rest = {z.under - z.over, z.under};
    return T(value)(z) * h + times(rest, g);
}

/* What the candidate acts on, x.W + b + r (h.U + b), and z for later */
INLINE vec gru_after_r(const rnn_packed *layer, const int fused, const vec *sum, vec x_sum,
                       ratio *z) {
    *z = rec(layer, fused, sum[0]);
    return x_sum + T(value)(rec(layer, fused, sum[1])) * sum[CANDIDATE];
}

/* Where a vector of one row's units lies; gate k is k * gate further on. */
typedef struct {
    const rnn_packed *layer;
    float *sum;         /* INOUT */
    const float *x_sum; /* IN */
    ptrdiff_t gate;
    const float *h; /* IN */
    float *next_h;  /* OUT */
    float *c;       /* INOUT, RNN_LSTM only */
    float *z, *rh;  /* OUT z and r h in the first part of RNN_GRU_BEFORE, IN in the second */
} unit_vector;

typedef void vector_gates(const unit_vector *u, const int fused);

INLINE vec sum_of(const unit_vector *u, int gate) { return T(load)(u->sum + gate * u->gate); }

/* Keeps a ratio for the next pass, in place of the first two sums, which nobody needs any more. */
INLINE void keep(const unit_vector *u, ratio value) {
    T(store)(u->sum, value.over);
    T(store)(u->sum + u->gate, value.under);
}

INLINE ratio kept(const unit_vector *u) { return (ratio){sum_of(u, 0), sum_of(u, 1)}; }

INLINE void simple_rnn_pass(const unit_vector *u, const int fused) {
    T(store)(u->next_h, simple_rnn(u->layer, fused, sum_of(u, 0)));
}

INLINE void lstm_c_pass(const unit_vector *u, const int fused) {
    const vec sum[] = {sum_of(u, 0), sum_of(u, 1), sum_of(u, 2), sum_of(u, 3)};
    ratio o;
    T(store)(u->c, lstm_c(u->layer, fused, sum, T(load)(u->c), &o));
    keep(u, o);
}

INLINE void lstm_h_pass(const unit_vector *u, const int fused) {
    T(store)(u->next_h, lstm_h(u->layer, fused, kept(u), T(load)(u->c)));
}

INLINE void gru_after_r_pass(const unit_vector *u, const int fused) {
    const vec sum[] = {sum_of(u, 0), sum_of(u, 1), sum_of(u, 2)};
    ratio z;
    vec acted_on = gru_after_r(u->layer, fused, sum, T(load)(u->x_sum), &z);
    T(store)(u->sum + CANDIDATE * u->gate, acted_on);
    keep(u, z);
}

INLINE void gru_after_h_pass(const unit_vector *u, const int fused) {
    vec h = T(load)(u->h);
    T(store)(u->next_h, gru_h(u->layer, fused, kept(u), sum_of(u, CANDIDATE), h));
}

/* z, and r h for the second product */
INLINE void gru_before_r_pass(const unit_vector *u, const int fused) {
    T(store)(u->z, T(value)(rec(u->layer, fused, sum_of(u, 0))));
    T(store)(u->rh, T(value)(rec(u->layer, fused, sum_of(u, 1))) * T(load)(u->h));
}

INLINE void gru_before_h_pass(const unit_vector *u, const int fused) {
    ratio z = {T(load)(u->z), T(broadcast)(1)};
    T(store)(u->next_h, gru_h(u->layer, fused, z, sum_of(u, 0), T(load)(u->h)));
}

/* A panel's sums for some rows of a step. */
typedef struct {
    const rnn_packed *layer;
    const rnn_panel *panel;
    const rnn_packed_step *step;
    ptrdiff_t row; /* of the step, the first */
    int rows;
    float *const *sums;    /* rows (strips, width) */
    const float *const *z; /* rows of what was projected, from z_at on */
    ptrdiff_t z_at;
} rnn_tile;

typedef void tile_gates(const rnn_tile *tile);

INLINE void for_vectors(vector_gates *gates, const int fused, const rnn_tile *tile) {
    const rnn_panel *panel = tile->panel;
    const rnn_packed_step *step = tile->step;
    const ptrdiff_t columns = panel->blocks * panel->width;
    unit_vector u = {.layer = tile->layer, .gate = columns};
    for (int r = 0; r < tile->rows; r++) {
        const ptrdiff_t row = tile->row + r;
        for (ptrdiff_t j = 0; j < columns; j += LANES) {
            const ptrdiff_t unit = panel->before + j;
            u.sum = tile->sums[r] + j;
            u.x_sum = tile->z[r] + tile->z_at + CANDIDATE * columns + j;
            u.h = step->h[row] + unit;
            u.next_h = step->next_h[row] + unit;
            u.c = step->c[row] + unit;
            u.z = step->scratch[row] + unit;
            u.rh = u.z + tile->layer->row_size;
            gates(&u, fused);
        }
    }
}

#define GATES(name)                                                                                \
    static void name##_fused(const rnn_tile *tile) { for_vectors(name##_pass, 1, tile); }          \
    static void name##_table(const rnn_tile *tile) { for_vectors(name##_pass, 0, tile); }
GATES(simple_rnn)
GATES(lstm_c)
GATES(lstm_h)
GATES(gru_after_r)
GATES(gru_after_h)
GATES(gru_before_r)
GATES(gru_before_h)
#undef GATES

/* By cell and part: passes over a tile, each a table of activations or fused. Two passes keep the
 * chain from a sum to h out of the way of the next vector's. */
enum { PASSES = 2 };
#define PASS(name) {name##_table, name##_fused}
static tile_gates *const passes[RNN_CELLS][RNN_PARTS][PASSES][2] = {
    [RNN_SIMPLE_RNN] = {{PASS(simple_rnn)}},
    [RNN_LSTM] = {{PASS(lstm_c), PASS(lstm_h)}},
    [RNN_GRU_AFTER] = {{PASS(gru_after_r), PASS(gru_after_h)}},
    [RNN_GRU_BEFORE] = {{PASS(gru_before_r)}, {PASS(gru_before_h)}},
};
#undef PASS

/* Rows are shared out evenly among tiles: a small last one would leave registers empty. */
static inline int tile_height(ptrdiff_t rows) {
    if (rows <= MAX_ROWS)
        return (int)rows;
    ptrdiff_t tiles = (rows + EVEN_ROWS - 1) / EVEN_ROWS;
    return (int)((rows + tiles - 1) / tiles);
}

/* out = x.W + b for a tile, each row a panel's part of a z row. */
static void project_tile(const rnn_packed *layer, const rnn_part *part, const rnn_panel *panel,
                         int rows, const float *const *x, float *const *out, ptrdiff_t out_at) {
    const float *bias[MAX_ROWS];
    for (int r = 0; r < MAX_ROWS; r++)
        bias[r] = layer->bias;
    multiply(&part->kernel, &part->cut, panel, rows, x, bias,
             part->z_at + part->cut.gates * panel->before, out, out_at);
}

static void project_packed(const rnn_packed *layer, int index, ptrdiff_t rows,
                           const float *const *x, float *const *z, ptrdiff_t first,
                           ptrdiff_t last) {
    const rnn_part *part = &layer->part[index];
    for (ptrdiff_t i = first; i < last; i++) {
        const rnn_panel *panel = &part->cut.panels[i];
        const ptrdiff_t z_at = part->z_at + part->cut.gates * panel->before;
        for (ptrdiff_t row = 0; row < rows;) {
            const int height = tile_height(rows - row);
            project_tile(layer, part, panel, height, x + row, z + row, z_at);
            row += height;
        }
    }
}

/* Tiles that are multiplied and wait for their gates: several if they have few rows. */
typedef struct {
    int tiles, rows;
    rnn_tile tile[MAX_ROWS];
    float *sum_row[MAX_ROWS], *z_row[MAX_ROWS];
    _Alignas(RNN_ALIGNMENT) float sums[MAX_ROWS][RNN_STRIPS * 2 * LANES];
    _Alignas(RNN_ALIGNMENT) float z[MAX_ROWS][RNN_STRIPS * 2 * LANES];
} tile_queue;

static void begin_queue(tile_queue *queue) {
    queue->tiles = queue->rows = 0;
    for (int r = 0; r < MAX_ROWS; r++) {
        queue->sum_row[r] = queue->sums[r];
        queue->z_row[r] = queue->z[r];
    }
}

static void apply_gates(tile_queue *queue, int part) {
    const rnn_packed *layer = queue->tile[0].layer;
    for (int pass = 0; pass < PASSES; pass++) {
        tile_gates *gates = passes[layer->cell][part][pass][layer->fused];
        for (int i = 0; gates && i < queue->tiles; i++)
            gates(&queue->tile[i]);
    }
    queue->tiles = queue->rows = 0;
}

/* sums = x.W + b + h.U, or where the reset gate comes after the product, for the candidate
 * h.U + b alone. */
static void multiply_tile(const rnn_tile *tile, const rnn_part *part) {
    const rnn_panel *panel = tile->panel;
    const float *const *init = tile->z;
    ptrdiff_t init_at = tile->z_at;
    if (tile->layer->recurrent_bias) {
        const float *bias = tile->layer->recurrent_bias + panel->before;
        for (int r = 0; r < tile->rows; r++)
            for (ptrdiff_t j = 0; j < panel->width; j += LANES) {
                float *to = tile->sums[r] + j;
                const float *from = tile->z[r] + tile->z_at + j;
                T(store)(to, T(load)(from));
                T(store)(to + panel->width, T(load)(from + panel->width));
                T(store)(to + CANDIDATE * panel->width, T(load)(bias + j));
            }
        init = (const float *const *)tile->sums;
        init_at = 0;
    }
    multiply(&part->recurrent_kernel, &part->cut, panel, tile->rows, tile->step->a + tile->row,
             init, init_at, tile->sums, 0);
}

/* Fetches a tile's part of z rows: those of a table lie far apart, and its sums begin with them. */
static void prefetch_z(const rnn_part *part, const rnn_panel *panel, const rnn_packed_step *s,
                       ptrdiff_t row) {
    const ptrdiff_t z_at = part->z_at + part->cut.gates * panel->before;
    const ptrdiff_t size = part->cut.gates * panel->blocks * panel->width;
    const ptrdiff_t line = RNN_ALIGNMENT / sizeof(float);
    const ptrdiff_t last = row + MAX_ROWS < s->rows ? row + MAX_ROWS : s->rows;
    for (; row < last; row++)
        for (ptrdiff_t j = 0; j < size; j += line)
            __builtin_prefetch(s->z[row] + z_at + j);
}

static void step_rows(const rnn_packed *layer, int index, const rnn_packed_step *s) {
    const rnn_part *part = &layer->part[index];
    tile_queue queue;
    begin_queue(&queue);
    for (ptrdiff_t i = s->first; i < s->last; i++) {
        const ptrdiff_t turned = s->backwards ? s->first + s->last - 1 - i : i;
        const rnn_panel *panel = &part->cut.panels[turned];
        for (ptrdiff_t row = 0, rows; row < s->rows; row += rows) {
            rows = tile_height(s->rows - row);
            if (queue.rows + rows > MAX_ROWS)
                apply_gates(&queue, index);
            rnn_tile *tile = &queue.tile[queue.tiles++];
            *tile = (rnn_tile){.layer = layer, .panel = panel, .step = s, .row = row};
            tile->rows = (int)rows;
            tile->sums = queue.sum_row + queue.rows;
            if (s->z) {
                if (row + rows < s->rows)
                    prefetch_z(part, panel, s, row + rows);
                else if (i + 1 < s->last)
                    prefetch_z(part, panel + (s->backwards ? -1 : 1), s, 0);
                tile->z = s->z + row;
                tile->z_at = part->z_at + part->cut.gates * panel->before;
            } else {
                float *const *z = queue.z_row + queue.rows;
                project_tile(layer, part, panel, (int)rows, s->x + row, z, 0);
                tile->z = (const float *const *)z;
            }
            multiply_tile(tile, part);
            queue.rows += (int)rows;
        }
    }
    if (queue.tiles)
        apply_gates(&queue, index);
}
