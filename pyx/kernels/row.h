/* A step of one row of a fused layer: from the registers that sums are in straight to the gates;
 * included once per instruction set, after fused.h, whose formulas these are.
 * SPDX-License-Identifier: MIT
 */

/* sum[strip, vector] += a.B */
INLINE void add_row_product(const int strips, const int vectors, const rnn_matrix *matrix,
                            const rnn_cut *cut, const rnn_panel *panel, const float *a, vec *sum) {
    const float *b = matrix->strips + matrix->depth * cut->gates * panel->before;
    add_product(1, strips, vectors, matrix->depth, &a, b, (vec(*)[COLUMNS])sum);
}

/* later[t] += x[t][k] * W[k][column], with w at its row k and x at the row k of what is turned. */
INLINE void add_ahead(const float *x, const float *w, vec *later) {
    const vec weight = T(load)(w);
    UNROLLED for (int t = 0; t < AHEAD; t++) later[t] += T(broadcast)(x[t]) * weight;
}

/* sum += h.U, and z = x.W + b in a column of the panel for later steps: their products have the
 * registers and the time that the other has to spare. */
INLINE void add_both_products(const int strips, const int vectors, const rnn_packed *layer,
                              const rnn_panel *panel, const rnn_packed_step *s, vec *sum) {
    const rnn_part *part = &layer->part[0];
    const ptrdiff_t depth = layer->units, features = layer->features, width = vectors * LANES;
    const ptrdiff_t before = part->cut.gates * panel->before;
    const ptrdiff_t strip = s->ahead->column / vectors, vector = s->ahead->column % vectors;
    const ptrdiff_t z_at = before + s->ahead->column * LANES;
    const float *b = part->recurrent_kernel.strips + depth * before;
    const float *w = part->kernel.strips + features * (before + strip * width) + vector * LANES;
    const float *x = s->ahead->x;
    vec later[AHEAD];
    UNROLLED for (int t = 0; t < AHEAD; t++) later[t] = T(load)(layer->bias + z_at);
    ptrdiff_t k = 0;
    for (; k < depth && k < features; k++) {
        add_outer(1, strips, vectors, depth, k, s->a, b + k * width, (vec(*)[COLUMNS])sum);
        add_ahead(x + k * AHEAD, w + k * width, later);
    }
    for (ptrdiff_t i = k; i < depth; i++)
        add_outer(1, strips, vectors, depth, i, s->a, b + i * width, (vec(*)[COLUMNS])sum);
    for (; k < features; k++)
        add_ahead(x + k * AHEAD, w + k * width, later);
    UNROLLED for (int t = 0; t < AHEAD; t++)
        T(store)(s->ahead->z + t * layer->z_size + z_at, later[t]);
}

INLINE void add_recurrent_product(const int strips, const int vectors, const rnn_packed *layer,
                                  const rnn_panel *panel, const rnn_packed_step *s, vec *sum) {
    const rnn_part *part = &layer->part[0];
    if (AHEAD && s->ahead && s->ahead->column < strips * vectors)
        add_both_products(strips, vectors, layer, panel, s, sum);
    else
        add_row_product(strips, vectors, &part->recurrent_kernel, &part->cut, panel, s->a[0], sum);
}

/* sum = x.W + b, or the z row that has it. */
INLINE void begin_sums(const int strips, const int vectors, const rnn_packed *layer,
                       const rnn_panel *panel, const rnn_packed_step *s, vec *sum) {
    const rnn_part *part = &layer->part[0];
    const ptrdiff_t z_at = part->cut.gates * panel->before;
    const float *from = (s->z ? s->z[0] : layer->bias) + z_at;
    UNROLLED for (int j = 0; j < strips * vectors; j++) sum[j] = T(load)(from + j * LANES);
    if (!s->z)
        add_row_product(strips, vectors, &part->kernel, &part->cut, panel, s->x[0], sum);
}

INLINE void lstm_panel(const int vectors, const rnn_packed *layer, const rnn_panel *panel,
                       const rnn_packed_step *s) {
    float *c = s->c[0] + panel->before, *h = s->next_h[0] + panel->before;
    vec sum[COLUMNS], new_c[2];
    ratio o[2];
    begin_sums(4, vectors, layer, panel, s, sum);
    add_recurrent_product(4, vectors, layer, panel, s, sum);
    UNROLLED for (int v = 0; v < vectors; v++) {
        const vec gates[] = {sum[v], sum[vectors + v], sum[2 * vectors + v], sum[3 * vectors + v]};
        new_c[v] = lstm_c(layer, 1, gates, T(load)(c + v * LANES), &o[v]);
        T(store)(c + v * LANES, new_c[v]);
    }
    UNROLLED for (int v = 0; v < vectors; v++)
        T(store)(h + v * LANES, lstm_h(layer, 1, o[v], new_c[v]));
}

INLINE void gru_after_panel(const int vectors, const rnn_packed *layer, const rnn_panel *panel,
                            const rnn_packed_step *s) {
    const float *h = s->h[0] + panel->before, *bias = layer->recurrent_bias + panel->before;
    float *next_h = s->next_h[0] + panel->before;
    vec sum[COLUMNS], x_sum[2], acted_on[2];
    ratio z[2];
    begin_sums(3, vectors, layer, panel, s, sum);
    UNROLLED for (int v = 0; v < vectors; v++) {
        x_sum[v] = sum[CANDIDATE * vectors + v];
        sum[CANDIDATE * vectors + v] = T(load)(bias + v * LANES);
    }
    add_recurrent_product(3, vectors, layer, panel, s, sum);
    UNROLLED for (int v = 0; v < vectors; v++) {
        const vec gates[] = {sum[v], sum[vectors + v], sum[2 * vectors + v]};
        acted_on[v] = gru_after_r(layer, 1, gates, x_sum[v], &z[v]);
    }
    UNROLLED for (int v = 0; v < vectors; v++)
        T(store)(next_h + v * LANES, gru_h(layer, 1, z[v], acted_on[v], T(load)(h + v * LANES)));
}

INLINE void simple_rnn_panel(const int strips, const int vectors, const rnn_packed *layer,
                             const rnn_panel *panel, const rnn_packed_step *s) {
    vec sum[COLUMNS];
    begin_sums(strips, vectors, layer, panel, s, sum);
    add_recurrent_product(strips, vectors, layer, panel, s, sum);
    UNROLLED for (int j = 0; j < strips * vectors; j++)
        T(store)(s->next_h[0] + panel->before + j * LANES, simple_rnn(layer, 1, sum[j]));
}

typedef void row_panel(const rnn_packed *layer, const rnn_panel *panel, const rnn_packed_step *s);

#define PANEL(name, cell, ...)                                                                     \
    static void name(const rnn_packed *layer, const rnn_panel *panel, const rnn_packed_step *s) {  \
        cell##_panel(__VA_ARGS__, layer, panel, s);                                                \
    }
PANEL(lstm_panel_1, lstm, 1)
PANEL(lstm_panel_2, lstm, 2)
PANEL(gru_after_panel_1, gru_after, 1)
PANEL(gru_after_panel_2, gru_after, 2)
PANEL(simple_rnn_panel_1, simple_rnn, 1, 1)
PANEL(simple_rnn_panel_2, simple_rnn, 1, 2)
PANEL(simple_rnn_panel_4, simple_rnn, 2, 2)
PANEL(simple_rnn_panel_6, simple_rnn, 3, 2)
PANEL(simple_rnn_panel_8, simple_rnn, 4, 2)
#undef PANEL

/* By cell and vectors of a gate. */
static row_panel *const row_panels[RNN_CELLS][COLUMNS + 1] = {
    [RNN_SIMPLE_RNN] = {NULL, simple_rnn_panel_1, simple_rnn_panel_2, NULL, simple_rnn_panel_4,
                        NULL, simple_rnn_panel_6, NULL, simple_rnn_panel_8},
    [RNN_LSTM] = {NULL, lstm_panel_1, lstm_panel_2},
    [RNN_GRU_AFTER] = {NULL, gru_after_panel_1, gru_after_panel_2},
};

/* Every column gets its turn within as many steps, and they are gathered in a block's rows. */
_Static_assert(!AHEAD || (AHEAD >= COLUMNS && AHEAD <= RNN_BLOCK_ROWS), "steps ahead");

static void step_row(const rnn_packed *layer, const rnn_packed_step *s) {
    for (ptrdiff_t i = s->first; i < s->last; i++) {
        const ptrdiff_t turned = s->backwards ? s->first + s->last - 1 - i : i;
        const rnn_panel *panel = &layer->part[0].cut.panels[turned];
        const int vectors = panel->width > LANES ? 2 : 1;
        row_panels[layer->cell][panel->blocks * vectors](layer, panel, s);
    }
}

static void step_packed(const rnn_packed *layer, int part, const rnn_packed_step *s) {
    if (s->rows == 1 && layer->fused && row_panels[layer->cell][1])
        step_row(layer, s);
    else
        step_rows(layer, part, s);
}

static const rnn_packed_functions packed_functions = {LANES, AHEAD, step_packed, project_packed};
