/* rnn_core.h over packed layers.
 * SPDX-License-Identifier: MIT
 */
#include "../../include/rnn_core.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sequence.h"

struct rnn_core_stream {
    const rnn_packed *layer;
    int turn;    /* which of the two rows of h is the state */
    float *h[2]; /* what is read, and what is written next */
    float *c, *scratch;
    const float *x, *rh;
    rnn_packed_step step[2][RNN_PARTS]; /* by turn: steps of these rows */
};

static const rnn_packed *packed_of(const rnn_core_layer *layer) {
    return (const rnn_packed *)layer;
}

static const rnn_cell cells[] = {
    [RNN_CORE_SIMPLE_RNN] = RNN_SIMPLE_RNN,
    [RNN_CORE_LSTM] = RNN_LSTM,
    [RNN_CORE_GRU] = RNN_GRU_AFTER,
    [RNN_CORE_GRU_RESET_BEFORE] = RNN_GRU_BEFORE,
};

static rnn_weights weights_of(const rnn_core_config *config) {
    return (rnn_weights){
        .cell = cells[config->cell],
        .features = (ptrdiff_t)config->features,
        .units = (ptrdiff_t)config->units,
        .kernel = config->kernel,
        .recurrent_kernel = config->recurrent_kernel,
        .bias = config->bias,
        .recurrent_bias = config->cell == RNN_CORE_GRU ? config->recurrent_bias : NULL,
        .activation = config->activation ? config->activation : "tanh",
        .recurrent_activation =
            config->recurrent_activation ? config->recurrent_activation : "sigmoid",
    };
}

/* NULL if the CPU has not what the environment asks for. */
static const rnn_kernels *kernels(void) {
    const char *isa = getenv("RNN_CORE_ISA");
    return isa && *isa ? rnn_kernels_find(isa) : rnn_kernels_best();
}

static int by_value(const char *activation) {
    return strcmp(activation, "softmax") != 0 &&
           rnn_activation_find(rnn_kernels_best(), activation) != NULL;
}

size_t rnn_core_layer_bytes(const rnn_core_config *config) {
    if ((unsigned)config->cell >= sizeof cells / sizeof *cells || !config->units ||
        config->units > PTRDIFF_MAX || config->features > PTRDIFF_MAX || !kernels())
        return 0;
    const rnn_weights weights = weights_of(config);
    if (!by_value(weights.activation) || !by_value(weights.recurrent_activation))
        return 0;
    return rnn_packed_bytes(kernels(), &weights);
}

rnn_core_layer *rnn_core_layer_init(const rnn_core_config *config, void *memory) {
    if (!rnn_core_layer_bytes(config) || !config->recurrent_kernel ||
        (config->features && !config->kernel))
        return NULL;
    const rnn_weights weights = weights_of(config);
    return (rnn_core_layer *)rnn_pack(kernels(), &weights, memory);
}

rnn_core_layer *rnn_core_layer_create(const rnn_core_config *config) {
    const size_t bytes = rnn_core_layer_bytes(config);
    void *memory = bytes ? rnn_allocate(bytes) : NULL;
    rnn_core_layer *layer = memory ? rnn_core_layer_init(config, memory) : NULL;
    if (!layer)
        rnn_release(memory);
    return layer;
}

void rnn_core_layer_free(rnn_core_layer *layer) { rnn_release(layer); }

static size_t in_lines(size_t bytes) {
    return (bytes + RNN_ALIGNMENT - 1) / RNN_ALIGNMENT * RNN_ALIGNMENT;
}

static size_t row_bytes(const rnn_packed *layer) {
    return in_lines((size_t)layer->row_size * sizeof(float));
}

size_t rnn_core_stream_bytes(const rnn_core_layer *layer) {
    enum { ROWS = 5 }; /* two of h, c, and two of scratch */
    return in_lines(sizeof(rnn_core_stream)) + ROWS * row_bytes(packed_of(layer));
}

rnn_core_stream *rnn_core_stream_init(const rnn_core_layer *layer, void *memory) {
    rnn_core_stream *stream = memory;
    const size_t row = row_bytes(packed_of(layer)) / sizeof(float);
    memset(memory, 0, rnn_core_stream_bytes(layer));
    stream->layer = packed_of(layer);
    stream->h[0] = (float *)((char *)memory + in_lines(sizeof *stream));
    stream->h[1] = stream->h[0] + row;
    stream->c = stream->h[1] + row;
    stream->scratch = stream->c + row;
    stream->rh = stream->scratch + stream->layer->row_size;
    for (int i = 0; i < 2 * stream->layer->parts; i++) {
        const int turn = i % 2, part = i / 2;
        const float *const *h = (const float *const *)&stream->h[turn];
        stream->step[turn][part] = (rnn_packed_step){
            .rows = 1,
            .x = &stream->x,
            .a = part ? &stream->rh : h,
            .h = h,
            .next_h = &stream->h[!turn],
            .c = &stream->c,
            .scratch = &stream->scratch,
            .last = stream->layer->part[part].cut.count,
            .backwards = turn,
        };
    }
    return stream;
}

static void set_row(float *row, const float *values, size_t bytes) {
    if (values)
        memcpy(row, values, bytes);
    else
        memset(row, 0, bytes);
}

void rnn_core_stream_set(rnn_core_stream *stream, const float *h, const float *c) {
    const size_t bytes = (size_t)stream->layer->units * sizeof(float);
    set_row(stream->h[stream->turn], h, bytes);
    set_row(stream->c, c, bytes);
}

void rnn_core_stream_get(const rnn_core_stream *stream, float *h, float *c) {
    const size_t bytes = (size_t)stream->layer->units * sizeof(float);
    if (h)
        memcpy(h, stream->h[stream->turn], bytes);
    if (c)
        memcpy(c, stream->c, bytes);
}

void rnn_core_step(rnn_core_stream *stream, const float *x, float *out) {
    const rnn_packed *layer = stream->layer;
    const rnn_packed_step *steps = stream->step[stream->turn];
    const float *h = stream->h[!stream->turn];
    stream->x = x;
    stream->turn = !stream->turn;
    for (int part = 0; part < layer->parts; part++)
        layer->kernels->packed->step(layer, part, &steps[part]);
    /* No memcpy: for few units its call takes longer than its work. */
    for (ptrdiff_t j = 0; out && j < layer->units; j++)
        out[j] = h[j];
}

static rnn_batch batch_of(const rnn_packed *layer, const rnn_core_sequences *s) {
    const ptrdiff_t steps = (ptrdiff_t)s->timesteps, output = layer->units * sizeof(float);
    return (rnn_batch){
        .rows = (ptrdiff_t)s->batch,
        .timesteps = steps,
        .x = s->x,
        .x_row = steps * layer->features,
        .x_step = layer->features,
        .mask = s->mask,
        .mask_row = steps,
        .mask_step = 1,
        .h = s->h,
        .c = layer->cell == RNN_LSTM ? s->c : NULL,
        .out = (char *)s->out,
        .out_row = s->sequences ? steps * output : output,
        .out_step = output,
        .sequences = s->sequences,
        .go_backwards = s->go_backwards,
    };
}

size_t rnn_core_run_bytes(const rnn_core_layer *layer, const rnn_core_sequences *sequences) {
    const rnn_batch batch = batch_of(packed_of(layer), sequences);
    return rnn_block_bytes(packed_of(layer), &batch);
}

void rnn_core_run(const rnn_core_layer *layer, const rnn_core_sequences *sequences, void *memory) {
    const rnn_batch batch = batch_of(packed_of(layer), sequences);
    rnn_run_in(packed_of(layer), &batch, memory);
}

const char *rnn_core_isa(void) { return kernels() ? kernels()->isa : NULL; }
