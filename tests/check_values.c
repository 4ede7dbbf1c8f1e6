/* The kernels of every ISA of this CPU against the values in a file, which test_cross.py writes.
 * For each case it prints how far they are from these, and of a layer whether each row alone, and
 * the batch on threads, gives the batch's bits. SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sequence.h"

static FILE *file;

static void read_into(void *to, size_t bytes) {
    if (fread(to, 1, bytes, file) != bytes)
        fprintf(stderr, "the file ends early\n"), exit(1);
}

static int32_t integer(void) {
    int32_t value;
    read_into(&value, sizeof value);
    return value;
}

static void name(char text[static 24]) { read_into(text, 24); }

static void *memory(size_t bytes) {
    void *p = malloc(bytes + !bytes);
    return p ? p : (fprintf(stderr, "no memory\n"), exit(1), NULL);
}

static void *values(size_t n, size_t size) {
    void *p = memory(n * size);
    read_into(p, n * size);
    return p;
}

static double larger(double a, double b) { return isnan(b) || b > a ? b : a; }

/* The distance of two numbers by a measure; infinite if only one is finite. */
static double distance(double y, double exact, double unit) {
    if (isnan(exact) ? isnan(y) : y == exact)
        return 0;
    return isfinite(y) && isfinite(exact) ? fabs(y - exact) / unit : INFINITY;
}

static double ulps(double y, double exact, int real) {
    if (y == 0 && exact == 0)
        return signbit(y) == signbit(exact) ? 0 : INFINITY;
    if (real == RNN_FLOAT64)
        return distance(y, exact, nextafter(fabs(exact), INFINITY) - fabs(exact));
    const float nearest = fabsf((float)exact);
    return isfinite(nearest) ? distance(y, exact, nextafterf(nearest, INFINITY) - nearest)
                             : distance(y, (float)exact, 1);
}

static void check_activation(void) {
    char which[24];
    name(which);
    const int real = integer();
    const size_t n = (size_t)integer(), size = real == RNN_FLOAT32 ? sizeof(float) : sizeof(double);
    void *x = values(n, size), *y = memory(n * size);
    double *exact = values(n, sizeof(double));
    const rnn_kernels *kernels;
    for (int i = 0; (kernels = rnn_kernels_at(i)); i++) {
        double last_places = 0, relative = 0;
        memcpy(y, x, n * size);
        rnn_activation_find(kernels, which)[real](y, (ptrdiff_t)n);
        for (size_t k = 0; k < n; k++) {
            const double value = real == RNN_FLOAT32 ? ((float *)y)[k] : ((double *)y)[k];
            last_places = larger(last_places, ulps(value, exact[k], real));
            relative = larger(relative, distance(value, exact[k], 1 + fabs(exact[k])));
        }
        printf("%s activation %s %d %g %g\n", kernels->isa, which, real, last_places, relative);
    }
    free(x), free(y), free(exact);
}

typedef struct {
    ptrdiff_t rows, timesteps, features, units;
    int go_backwards;
    const float *x, *h, *c;
    const unsigned char *mask;
} input;

typedef struct {
    float *out, *h, *c;
} output;

static rnn_batch batch_of(const rnn_packed *layer, const input *in, const output *to,
                          ptrdiff_t first, ptrdiff_t rows) {
    const ptrdiff_t state = first * in->units, step = in->units * (ptrdiff_t)sizeof(float);
    memcpy(to->h + state, in->h + state, (size_t)(rows * step));
    memcpy(to->c + state, in->c + state, (size_t)(rows * step));
    return (rnn_batch){
        .rows = rows,
        .timesteps = in->timesteps,
        .x = in->x + first * in->timesteps * in->features,
        .x_row = in->timesteps * in->features,
        .x_step = in->features,
        .mask = in->mask ? in->mask + first * in->timesteps : NULL,
        .mask_row = in->timesteps,
        .mask_step = 1,
        .h = to->h + state,
        .c = layer->cell == RNN_LSTM ? to->c + state : NULL,
        .out = (char *)(to->out + state * in->timesteps),
        .out_row = in->timesteps * step,
        .out_step = step,
        .sequences = 1,
        .go_backwards = in->go_backwards,
    };
}

static output new_output(const input *in) {
    const size_t states = (size_t)(in->rows * in->units) * sizeof(float);
    return (output){memory(states * (size_t)in->timesteps), memory(states), memory(states)};
}

static void free_output(output *o) { free(o->out), free(o->h), free(o->c); }

static void run_rows(const rnn_packed *layer, const input *in, const output *to, ptrdiff_t first,
                     ptrdiff_t rows) {
    rnn_batch batch = batch_of(layer, in, to, first, rows);
    void *scratch = rnn_allocate(rnn_block_bytes(layer, &batch));
    rnn_run_in(layer, &batch, scratch);
    rnn_release(scratch);
}

static int same(const output *a, const output *b, const input *in) {
    const size_t states = (size_t)(in->rows * in->units) * sizeof(float);
    return !memcmp(a->out, b->out, states * (size_t)in->timesteps) && !memcmp(a->h, b->h, states) &&
           !memcmp(a->c, b->c, states);
}

static double error_of(const float *y, const double *exact, size_t n) {
    double largest = 0;
    for (size_t k = 0; k < n; k++)
        largest = larger(largest, distance(y[k], exact[k], fmax(1, fabs(exact[k]))));
    return largest;
}

static void check_layer_on(const rnn_kernels *kernels, const rnn_weights *w, const input *in,
                           double *const exact[3]) {
    const size_t states = (size_t)(in->rows * in->units);
    void *packed = rnn_allocate(rnn_packed_bytes(kernels, w));
    const rnn_packed *layer = rnn_pack(kernels, w, packed);
    output batch = new_output(in), other = new_output(in);
    run_rows(layer, in, &batch, 0, in->rows);
    double error = error_of(batch.out, exact[0], states * (size_t)in->timesteps);
    error = larger(error, error_of(batch.h, exact[1], states));
    error = larger(error, error_of(batch.c, exact[2], states));
    for (ptrdiff_t row = 0; row < in->rows; row++)
        run_rows(layer, in, &other, row, 1);
    const int alone = same(&batch, &other, in);
    rnn_batch shared = batch_of(layer, in, &other, 0, in->rows);
    const int threads = rnn_run(1, &layer, &shared, 3) == 0 && same(&batch, &other, in);
    printf("%s layer cell%d units%td batch%td %g %d %d\n", kernels->isa, w->cell, in->units,
           in->rows, error, alone, threads);
    rnn_forget(layer);
    rnn_release(packed);
    free_output(&batch), free_output(&other);
}

static void check_layer(void) {
    static const size_t gates[RNN_CELLS] = {1, 4, 3, 3};
    char activation[24], recurrent_activation[24];
    name(activation), name(recurrent_activation);
    const rnn_cell cell = (rnn_cell)integer();
    input in;
    in.features = integer(), in.units = integer(), in.rows = integer();
    in.timesteps = integer(), in.go_backwards = integer();
    const size_t features = (size_t)in.features, units = (size_t)in.units;
    const size_t columns = gates[cell] * units, steps = (size_t)(in.rows * in.timesteps);
    const size_t states = (size_t)in.rows * units;
    float *kernel = values(features * columns, sizeof(float));
    float *recurrent_kernel = values(units * columns, sizeof(float));
    float *bias = values(columns, sizeof(float)), *recurrent_bias = values(columns, sizeof(float));
    float *x = values(steps * features, sizeof(float));
    unsigned char *mask = values(steps, 1);
    float *h = values(states, sizeof(float)), *c = values(states, sizeof(float));
    double *exact[3] = {values(steps * units, sizeof(double)), values(states, sizeof(double)),
                        values(states, sizeof(double))};
    /* Without a mask outputs are computed in their places. */
    in.x = x, in.mask = memchr(mask, 0, steps) ? mask : NULL, in.h = h, in.c = c;
    const rnn_weights w = {
        .cell = cell,
        .features = in.features,
        .units = in.units,
        .kernel = kernel,
        .recurrent_kernel = recurrent_kernel,
        .bias = bias,
        .recurrent_bias = cell == RNN_GRU_AFTER ? recurrent_bias : NULL,
        .activation = activation,
        .recurrent_activation = recurrent_activation,
    };
    const rnn_kernels *kernels;
    for (int i = 0; (kernels = rnn_kernels_at(i)); i++)
        check_layer_on(kernels, &w, &in, exact);
    free(kernel), free(recurrent_kernel), free(bias), free(recurrent_bias);
    free(x), free(mask), free(h), free(c), free(exact[0]), free(exact[1]), free(exact[2]);
}

int main(int count, char **arguments) {
    file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!file)
        return fprintf(stderr, "usage: check_values FILE\n"), 2;
    const int activations = integer(), layers = integer();
    for (int i = 0; i < activations; i++)
        check_activation();
    for (int i = 0; i < layers; i++)
        check_layer();
    return 0;
}
