/* Row-major weights to packed ones.
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <string.h>

#include "packed.h"

/* The gates of each part, by cell. */
static const int gates_by_part[RNN_CELLS][RNN_PARTS] = {
    [RNN_SIMPLE_RNN] = {1},
    [RNN_LSTM] = {4},
    [RNN_GRU_AFTER] = {3},
    [RNN_GRU_BEFORE] = {2, 1},
};

static int gates_of(rnn_cell cell) { return gates_by_part[cell][0] + gates_by_part[cell][1]; }

/* Cuts `units` into panels, as wide as registers allow; `panels` may be NULL, to count only. */
static rnn_cut cut_units(ptrdiff_t units, int gates, ptrdiff_t lanes, rnn_panel *panels) {
    const ptrdiff_t width = 2 * lanes;
    const int most = RNN_STRIPS / gates;
    rnn_cut cut = {.gates = gates, .panels = panels};
    for (ptrdiff_t left = units; left > 0;) {
        rnn_panel panel = {.before = cut.padded_units, .width = width, .blocks = most};
        if (left <= lanes) {
            panel.width = lanes;
            panel.blocks = 1;
        } else if (left < most * width) {
            /* A last strip of one vector is a panel of its own. */
            panel.blocks = (int)((left + lanes - 1) / width);
        }
        if (panels)
            panels[cut.count] = panel;
        cut.count++;
        cut.padded_units += panel.blocks * panel.width;
        left -= panel.blocks * panel.width;
    }
    return cut;
}

/* A running end of memory, whose beginning may be NULL, to measure only. */
typedef struct {
    char *base;
    size_t used;
    int overflow;
} arena;

static void *take(arena *memory, ptrdiff_t count, size_t size) {
    const size_t padding = RNN_ALIGNMENT - 1;
    void *taken = memory->base ? memory->base + memory->used : NULL;
    size_t bytes;
    memory->overflow |= __builtin_mul_overflow((size_t)count, size, &bytes) ||
                        __builtin_add_overflow(bytes, padding, &bytes) ||
                        __builtin_add_overflow(memory->used, bytes & ~padding, &memory->used);
    return taken;
}

/* strips[panel][gate][block][k][j] = matrix[k][gate][unit]; a row of `matrix` has `columns`. */
static void fill_strips(float *strips, const rnn_cut *cut, const float *matrix, ptrdiff_t depth,
                        ptrdiff_t columns, ptrdiff_t units) {
    for (ptrdiff_t i = 0; i < cut->count; i++) {
        const rnn_panel *panel = &cut->panels[i];
        const ptrdiff_t strip_size = depth * panel->width;
        float *strip = strips + depth * cut->gates * panel->before;
        for (int s = 0; s < cut->gates * panel->blocks; s++, strip += strip_size) {
            const ptrdiff_t unit = panel->before + s % panel->blocks * panel->width;
            const ptrdiff_t left = units - unit;
            const ptrdiff_t count = left < panel->width ? left : panel->width;
            const float *from = matrix + s / panel->blocks * units + unit;
            for (ptrdiff_t k = 0; k < depth; k++)
                memcpy(strip + k * panel->width, from + k * columns, (size_t)count * sizeof(float));
        }
    }
}

/* The columns of a part from `column` on. */
static rnn_matrix pack_matrix(arena *memory, const rnn_cut *cut, const float *matrix,
                              ptrdiff_t column, ptrdiff_t depth, ptrdiff_t columns,
                              ptrdiff_t units) {
    ptrdiff_t size;
    memory->overflow |= __builtin_mul_overflow(depth, cut->gates * cut->padded_units, &size);
    float *strips = take(memory, size, sizeof(float));
    if (strips) {
        memset(strips, 0, (size_t)size * sizeof(float));
        fill_strips(strips, cut, matrix + column, depth, columns, units);
    }
    return (rnn_matrix){.depth = depth, .strips = strips};
}

/* Adds the biases of a part's gates to a z row; `bias` begins with the part's first gate. */
static void add_bias(float *z, const rnn_part *part, const float *bias, ptrdiff_t units,
                     int gates) {
    for (ptrdiff_t i = 0; i < part->cut.count; i++) {
        const rnn_panel *panel = &part->cut.panels[i];
        const ptrdiff_t columns = panel->blocks * panel->width;
        float *at = z + part->z_at + part->cut.gates * panel->before;
        for (int g = 0; g < gates; g++)
            for (ptrdiff_t j = 0; j < columns && panel->before + j < units; j++)
                at[g * columns + j] += bias[g * units + panel->before + j];
    }
}

/* The biases of a z row. RNN_GRU_AFTER has two for the candidate; those of z and r are only ever
 * summed. */
static void fill_biases(rnn_packed *layer, const rnn_weights *w, float *bias,
                        float *recurrent_bias) {
    const int candidate = 2;
    memset(bias, 0, (size_t)layer->z_size * sizeof(float));
    const float *from = w->bias;
    for (int i = 0; from && i < layer->parts; i++) {
        const int gates = layer->part[i].cut.gates;
        add_bias(bias, &layer->part[i], from, w->units, gates);
        from += gates * w->units;
    }
    if (!recurrent_bias)
        return;
    memset(recurrent_bias, 0, (size_t)layer->row_size * sizeof(float));
    if (w->recurrent_bias) {
        add_bias(bias, &layer->part[0], w->recurrent_bias, w->units, candidate);
        memcpy(recurrent_bias, w->recurrent_bias + candidate * w->units,
               (size_t)w->units * sizeof(float));
    }
}

/* Lays a layer out in `memory`; one without a base measures only. */
static rnn_packed lay_out(const rnn_kernels *kernels, const rnn_weights *w, arena *memory) {
    const ptrdiff_t columns = gates_of(w->cell) * w->units;
    ptrdiff_t column = 0;
    rnn_packed layer = {
        .cell = w->cell,
        .kernels = kernels,
        .features = w->features,
        .units = w->units,
        .parts = gates_by_part[w->cell][1] ? 2 : 1,
    };
    for (int i = 0; i < layer.parts; i++) {
        const int gates = gates_by_part[w->cell][i];
        const ptrdiff_t lanes = kernels->packed->lanes;
        rnn_part *part = &layer.part[i];
        part->cut = cut_units(w->units, gates, lanes, NULL);
        rnn_panel *panels = take(memory, part->cut.count, sizeof(rnn_panel));
        part->cut = cut_units(w->units, gates, lanes, panels);
        part->kernel =
            pack_matrix(memory, &part->cut, w->kernel, column, w->features, columns, w->units);
        if (!w->product_only)
            part->recurrent_kernel = pack_matrix(memory, &part->cut, w->recurrent_kernel, column,
                                                 w->units, columns, w->units);
        part->z_at = layer.z_size;
        layer.z_size += gates * part->cut.padded_units;
        if (layer.row_size < part->cut.padded_units)
            layer.row_size = part->cut.padded_units;
        column += gates * w->units;
    }
    float *bias = take(memory, layer.z_size, sizeof(float)), *recurrent_bias = NULL;
    if (w->cell == RNN_GRU_AFTER)
        recurrent_bias = take(memory, layer.row_size, sizeof(float));
    if (bias)
        fill_biases(&layer, w, bias, recurrent_bias);
    layer.bias = bias;
    layer.recurrent_bias = recurrent_bias;
    return layer;
}

size_t rnn_packed_bytes(const rnn_kernels *kernels, const rnn_weights *weights) {
    /* No machine holds the recurrent kernel of more. */
    const ptrdiff_t most = PTRDIFF_MAX / 64, most_units = weights->product_only ? most : 1 << 24;
    arena memory = {0};
    if (weights->units > most_units || weights->features > most)
        return 0;
    take(&memory, 1, sizeof(rnn_packed));
    take(&memory, 1, sizeof(rnn_left));
    lay_out(kernels, weights, &memory);
    return memory.overflow ? 0 : memory.used;
}

const rnn_packed *rnn_pack(const rnn_kernels *kernels, const rnn_weights *weights, void *memory) {
    rnn_row_function *const *activation = rnn_activation_find(kernels, weights->activation);
    rnn_row_function *const *recurrent =
        rnn_activation_find(kernels, weights->recurrent_activation);
    if (!activation || !recurrent)
        return NULL;
    arena rest = {.base = memory};
    rnn_packed *layer = take(&rest, 1, sizeof(rnn_packed));
    rnn_left *left = take(&rest, 1, sizeof(rnn_left));
    *layer = lay_out(kernels, weights, &rest);
    atomic_init(&left->memory, NULL);
    atomic_init(&left->turn, 0);
    layer->left = left;
    layer->activation = activation[RNN_FLOAT32];
    layer->recurrent_activation = recurrent[RNN_FLOAT32];
    layer->fused =
        strcmp(weights->activation, "tanh") == 0 &&
        (weights->cell == RNN_SIMPLE_RNN || strcmp(weights->recurrent_activation, "sigmoid") == 0);
    return layer;
}

ptrdiff_t rnn_weight_count(const rnn_packed *layer, ptrdiff_t depth) {
    ptrdiff_t columns = 0;
    for (int i = 0; i < layer->parts; i++)
        columns += layer->part[i].cut.gates * layer->part[i].cut.padded_units;
    return depth * columns;
}

double rnn_microseconds(const rnn_packed *layer, ptrdiff_t depth, ptrdiff_t rows) {
    const double weights_each = 30e3;
    return (double)rnn_weight_count(layer, depth) * (double)rows / weights_each;
}
