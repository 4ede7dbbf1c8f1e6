/* Row-major weights to packed ones.
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <string.h>

#include "packed.h"

/* By cell: parts, and for each its gates and the slots of its z rows. A z row of RNN_GRU_AFTER has
 * z, r, the recurrent bias of the candidate, and x.W + b of the candidate. */
static const struct {
    int parts;
    struct {
        int gates, slots;
    } part[RNN_PARTS];
} shapes[RNN_CELLS] = {
    [RNN_SIMPLE_RNN] = {1, {{1, 1}}},
    [RNN_LSTM] = {1, {{4, 4}}},
    [RNN_GRU_AFTER] = {1, {{3, 4}}},
    [RNN_GRU_BEFORE] = {2, {{2, 2}, {1, 1}}},
};

static int gates_of(rnn_cell cell) {
    return shapes[cell].part[0].gates + shapes[cell].part[1].gates;
}

/* Cuts `units` into panels, as wide as registers allow; `panels` may be NULL, to count only. */
static rnn_cut cut_units(ptrdiff_t units, int gates, int slots, ptrdiff_t lanes,
                         rnn_panel *panels) {
    const ptrdiff_t width = 2 * lanes;
    const int most = RNN_STRIPS / gates;
    rnn_cut cut = {.gates = gates, .slots = slots, .panels = panels};
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

static rnn_matrix pack_matrix(arena *memory, const rnn_cut *cut, const float *matrix,
                              ptrdiff_t depth, ptrdiff_t columns, ptrdiff_t units) {
    ptrdiff_t size;
    memory->overflow |= __builtin_mul_overflow(depth, cut->gates * cut->padded_units, &size);
    float *strips = take(memory, size, sizeof(float));
    if (strips) {
        memset(strips, 0, (size_t)size * sizeof(float));
        fill_strips(strips, cut, matrix, depth, columns, units);
    }
    return (rnn_matrix){.depth = depth, .strips = strips};
}

/* The biases as a z row. RNN_GRU_AFTER adds its two biases of z and r, which only occur summed, and
 * has two slots for the candidate: recurrent, then input. */
static void fill_bias(float *z, const rnn_packed *layer, const rnn_weights *w) {
    memset(z, 0, (size_t)layer->z_size * sizeof(float));
    ptrdiff_t gate = 0;
    for (int i = 0; i < layer->parts; i++) {
        const rnn_cut *cut = &layer->part[i].cut;
        for (ptrdiff_t p = 0; p < cut->count; p++) {
            const rnn_panel *panel = &cut->panels[p];
            float *at = z + layer->part[i].z_at + cut->slots * panel->before;
            const ptrdiff_t columns = panel->blocks * panel->width;
            for (ptrdiff_t j = 0; j < columns && panel->before + j < w->units; j++)
                for (int g = 0; g < cut->gates; g++) {
                    const ptrdiff_t column = (gate + g) * w->units + panel->before + j;
                    const float bias = w->bias ? w->bias[column] : 0;
                    const float recurrent = w->recurrent_bias ? w->recurrent_bias[column] : 0;
                    const int apart = cut->slots > cut->gates && g == cut->gates - 1;
                    at[g * columns + j] = apart ? recurrent : bias + recurrent;
                    if (apart)
                        at[(g + 1) * columns + j] = bias;
                }
        }
        gate += cut->gates;
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
        .parts = shapes[w->cell].parts,
    };
    for (int i = 0; i < layer.parts; i++) {
        const int gates = shapes[w->cell].part[i].gates, slots = shapes[w->cell].part[i].slots;
        const ptrdiff_t lanes = kernels->packed->lanes;
        rnn_part *part = &layer.part[i];
        part->cut = cut_units(w->units, gates, slots, lanes, NULL);
        rnn_panel *panels = take(memory, part->cut.count, sizeof(rnn_panel));
        part->cut = cut_units(w->units, gates, slots, lanes, panels);
        part->kernel =
            pack_matrix(memory, &part->cut, w->kernel + column, w->features, columns, w->units);
        part->recurrent_kernel = pack_matrix(memory, &part->cut, w->recurrent_kernel + column,
                                             w->units, columns, w->units);
        part->z_at = layer.z_size;
        layer.z_size += slots * part->cut.padded_units;
        if (layer.row_size < part->cut.padded_units)
            layer.row_size = part->cut.padded_units;
        column += gates * w->units;
    }
    float *bias = take(memory, layer.z_size, sizeof(float));
    if (bias)
        fill_bias(bias, &layer, w);
    layer.bias = bias;
    return layer;
}

size_t rnn_packed_bytes(const rnn_kernels *kernels, const rnn_weights *weights) {
    const ptrdiff_t most = PTRDIFF_MAX / 64;
    arena memory = {0};
    if (weights->units > most || weights->features > most)
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
