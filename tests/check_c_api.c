/* The C library against plain loops in double: steps, batches, masks, configs that make no layer,
 * and many threads at one layer. Arrays are of exactly the size that the library is told: under the
 * sanitizers a read or write beyond them, or a race, ends the program.
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <pthread.h>
#include <rnn_core.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = RNN_CORE_GRU_RESET_BEFORE + 1 };

static const char *const names[CELLS] = {"simple_rnn", "lstm", "gru", "gru_reset_before"};
static const size_t gates[CELLS] = {1, 4, 3, 3};

typedef struct {
    rnn_core_config config;
    rnn_core_layer *layer;
} model;

/* n values of about unit variance, times `scale`; the same sequence in every thread's first call.
 */
static float *values(size_t n, double scale) {
    static _Thread_local uint32_t seed = 1;
    float *p = malloc(n * sizeof(float) + !n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(scale * 3.46 * ((double)seed / UINT32_MAX - 0.5));
    }
    return p;
}

static unsigned char *random_mask(size_t n) {
    unsigned char *mask = malloc(n + !n);
    float *p = values(n, 1);
    for (size_t i = 0; i < n; i++)
        mask[i] = p[i] > -0.5 ? 1 : 0;
    free(p);
    return mask;
}

/* Aligned memory that is no numbers. */
static void *scratch(size_t bytes) {
    void *p = aligned_alloc(RNN_CORE_ALIGNMENT, bytes);
    return p ? memset(p, 0xff, bytes) : p;
}

static void copy_doubles(double *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = from ? from[i] : 0;
}

static double *doubles(const float *from, size_t n) {
    double *p = malloc(n * sizeof(double) + !n);
    copy_doubles(p, from, n);
    return p;
}

/* With no biases, those of the input, all, or all and other activations. */
static model make_model(int cell, size_t features, size_t units, int kind) {
    const size_t columns = gates[cell] * units;
    model m = {.config = {
                   .cell = (rnn_core_cell)cell,
                   .features = features,
                   .units = units,
                   .kernel = values(features * columns, 1 / sqrt(1.0 + (double)features)),
                   .recurrent_kernel = values(units * columns, 0.5 / sqrt((double)units)),
                   .bias = kind > 0 ? values(columns, 0.5) : NULL,
                   .recurrent_bias = kind > 1 ? values(columns, 0.5) : NULL,
                   .activation = kind > 2 ? "relu" : NULL,
                   .recurrent_activation = kind > 2 ? "hard_sigmoid" : NULL,
               }};
    m.layer = rnn_core_layer_create(&m.config);
    return m;
}

static void free_model(model *m) {
    free((void *)m->config.kernel), free((void *)m->config.recurrent_kernel);
    free((void *)m->config.bias), free((void *)m->config.recurrent_bias);
    rnn_core_layer_free(m->layer);
}

static double act(const rnn_core_config *config, double x) {
    return config->activation ? fmax(x, 0) : tanh(x);
}

static double rec(const rnn_core_config *config, double x) {
    return config->recurrent_activation ? fmin(fmax(x / 6 + 0.5, 0), 1) : 1 / (1 + exp(-x));
}

/* Column j of v.M + b; M has `columns`. */
static double column(const double *v, const float *matrix, const float *bias, size_t depth,
                     size_t columns, size_t j) {
    double sum = bias ? bias[j] : 0;
    for (size_t k = 0; k < depth; k++)
        sum += v[k] * matrix[k * columns + j];
    return sum;
}

static void reference_step(const rnn_core_config *config, const float *x_floats, double *h,
                           double *c) {
    const size_t n = config->units, columns = gates[config->cell] * n;
    const float *recurrent_bias = config->cell == RNN_CORE_GRU ? config->recurrent_bias : NULL;
    double *x = doubles(x_floats, config->features), *z = doubles(NULL, columns);
    double *u = doubles(NULL, columns), *rh = doubles(NULL, n);
    for (size_t j = 0; j < columns; j++) {
        z[j] = column(x, config->kernel, config->bias, config->features, columns, j);
        u[j] = column(h, config->recurrent_kernel, recurrent_bias, n, columns, j);
    }
    for (size_t j = 0; j < n; j++)
        rh[j] = rec(config, z[n * (columns > n) + j] + u[n * (columns > n) + j]) * h[j];
    if (config->cell == RNN_CORE_GRU_RESET_BEFORE)
        for (size_t j = 2 * n; j < columns; j++)
            u[j] = column(rh, config->recurrent_kernel, NULL, n, columns, j);
    for (size_t j = 0; j < n; j++) {
        const double z0 = z[j] + u[j];
        if (config->cell == RNN_CORE_SIMPLE_RNN) {
            h[j] = act(config, z0);
            continue;
        }
        const double second = rec(config, z[n + j] + u[n + j]), x2 = z[2 * n + j];
        if (config->cell == RNN_CORE_LSTM) {
            c[j] = second * c[j] + rec(config, z0) * act(config, x2 + u[2 * n + j]);
            h[j] = rec(config, z[3 * n + j] + u[3 * n + j]) * act(config, c[j]);
        } else {
            const double r = config->cell == RNN_CORE_GRU ? second : 1;
            h[j] =
                rec(config, z0) * h[j] + (1 - rec(config, z0)) * act(config, x2 + r * u[2 * n + j]);
        }
    }
    free(x), free(z), free(u), free(rh);
}

static void reference(const rnn_core_config *config, const rnn_core_sequences *s, double *out,
                      double *h, double *c) {
    const size_t n = config->units, steps = s->timesteps;
    for (size_t row = 0; row < s->batch; row++, h += n, c += n) {
        double *last = doubles(NULL, n);
        for (size_t i = 0; i < steps; i++) {
            const size_t at = row * steps + (s->go_backwards ? steps - 1 - i : i);
            if (!s->mask || s->mask[at]) {
                reference_step(config, s->x + at * config->features, h, c);
                memcpy(last, h, n * sizeof(double));
            }
            if (s->sequences)
                memcpy(out + (row * steps + i) * n, last, n * sizeof(double));
        }
        if (!s->sequences)
            memcpy(out + row * n, last, n * sizeof(double));
        free(last);
    }
}

static void fail(const char *what, const char *cell, size_t at) {
    fprintf(stderr, "%s of %s differs at %zu\n", what, cell, at);
    exit(1);
}

static void compare(const char *what, const model *m, const float *ours, const double *exact,
                    size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(ours[i] - exact[i]) <= 2e-6 * fmax(1, fabs(exact[i]))))
            fail(what, names[m->config.cell], i);
}

static void check_stream(const model *m, int with_states) {
    enum { STEPS = 12 };
    const size_t n = m->config.units, f = m->config.features;
    float *h = with_states ? values(n, 1) : NULL, *c = with_states ? values(n, 1) : NULL;
    float *x = values(STEPS * f, 2), *out = values(n, 1), *last_c = values(n, 1);
    double *exact_h = doubles(h, n), *exact_c = doubles(c, n);
    void *memory = scratch(rnn_core_stream_bytes(m->layer));
    rnn_core_stream *stream = rnn_core_stream_init(m->layer, memory);
    for (int round = 0; round < 2; round++) {
        rnn_core_stream_set(stream, h, c);
        copy_doubles(exact_h, h, n), copy_doubles(exact_c, c, n);
        for (size_t t = 0; t < STEPS; t++) {
            reference_step(&m->config, x + t * f, exact_h, exact_c);
            rnn_core_step(stream, x + t * f, t % 3 ? out : NULL);
            if (t % 3)
                compare("a step", m, out, exact_h, n);
        }
        rnn_core_stream_get(stream, out, NULL);
        compare("a stream's h", m, out, exact_h, n);
        rnn_core_stream_get(stream, NULL, last_c);
        if (m->config.cell == RNN_CORE_LSTM)
            compare("a stream's c", m, last_c, exact_c, n);
    }
    free(h), free(c), free(x), free(out), free(last_c);
    free(exact_h), free(exact_c), free(memory);
}

static void check_batch(const model *m, size_t batch, size_t timesteps, int variant) {
    const size_t n = m->config.units;
    rnn_core_sequences s = {
        .batch = batch,
        .timesteps = timesteps,
        .x = values(batch * timesteps * m->config.features, 2),
        .mask = variant & 1 ? random_mask(batch * timesteps) : NULL,
        .h = variant & 2 ? values(batch * n, 1) : NULL,
        .c = variant & 2 ? values(batch * n, 1) : NULL,
        .sequences = variant & 4,
        .go_backwards = variant & 8,
    };
    const size_t outputs = batch * (s.sequences ? timesteps : 1) * n;
    double *exact_h = doubles(s.h, batch * n), *exact_c = doubles(s.c, batch * n);
    double *exact = doubles(NULL, outputs);
    s.out = values(outputs, 1);
    void *memory = scratch(rnn_core_run_bytes(m->layer, &s));
    reference(&m->config, &s, exact, exact_h, exact_c);
    rnn_core_run(m->layer, &s, memory);
    compare("an output", m, s.out, exact, outputs);
    if (s.h)
        compare("h", m, s.h, exact_h, batch * n);
    if (s.c && m->config.cell == RNN_CORE_LSTM)
        compare("c", m, s.c, exact_c, batch * n);
    free((void *)s.x), free((void *)s.mask), free(s.h), free(s.c), free(s.out);
    free(exact), free(exact_h), free(exact_c), free(memory);
}

static void check_layers(void) {
    static const size_t units[] = {1, 7, 8, 9, 17, 33, 40}, batches[] = {0, 1, 3, 7, 13, 97};
    static const size_t features[] = {5, 1, 0}, timesteps[] = {3, 1, 0, 12};
    size_t n = 0;
    for (int cell = 0; cell < CELLS; cell++)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            for (int kind = 0; kind < 4; kind++) {
                model m = make_model(cell, features[(i + (size_t)kind) % 3], units[i], kind);
                check_stream(&m, kind % 2);
                for (int k = 0; k < 6; k++, n++)
                    check_batch(&m, batches[n % 6], timesteps[n / 6 % 4], (int)(5 * n % 16));
                free_model(&m);
            }
}

/* Weights that fill L2, and steps that compute inputs of later ones. */
static void check_long_sequences(void) {
    static const size_t features[] = {5, 170, 180};
    for (int cell = 0; cell < CELLS; cell++)
        for (int i = 0; i < 3; i++) {
            model m = make_model(cell, features[i], 170, 2);
            check_batch(&m, 1, 60 + (size_t)(i + cell) * 5, 4 + 2 * i);
            free_model(&m);
        }
}

static void check_memory_of_the_caller(void) {
    model m = make_model(RNN_CORE_LSTM, 3, 9, 1);
    void *memory = scratch(rnn_core_layer_bytes(&m.config));
    rnn_core_layer_free(m.layer);
    m.layer = rnn_core_layer_init(&m.config, memory);
    check_stream(&m, 1);
    m.layer = NULL;
    free_model(&m);
    free(memory);
}

static void check_missing_kernels(void) {
    for (int cell = 0; cell < CELLS; cell++) {
        model m = make_model(cell, 3, 9, 1);
        rnn_core_config bare = {.cell = m.config.cell, .features = 3, .units = 9};
        const size_t bytes = rnn_core_layer_bytes(&bare);
        if (bytes != rnn_core_layer_bytes(&m.config))
            fail("bytes before there are weights", names[cell], bytes);
        bare.kernel = m.config.kernel;
        char *memory = scratch(bytes);
        if (rnn_core_layer_init(&bare, memory) || rnn_core_layer_create(&bare))
            fail("no recurrent kernel", names[cell], 0);
        bare.kernel = NULL, bare.recurrent_kernel = m.config.recurrent_kernel;
        if (rnn_core_layer_init(&bare, memory) || rnn_core_layer_create(&bare))
            fail("no kernel", names[cell], 0);
        free(memory);
        free_model(&m);
    }
}

static void check_config(const char *what, rnn_core_config config, int good) {
    char memory[64];
    rnn_core_layer *layer = rnn_core_layer_create(&config);
    const size_t bytes = rnn_core_layer_bytes(&config);
    if ((bytes != 0) != good || (layer != NULL) != good)
        fail(what, names[config.cell % CELLS], bytes);
    if (!good && rnn_core_layer_init(&config, memory))
        fail(what, names[config.cell % CELLS], bytes);
    rnn_core_layer_free(layer);
}

static void check_configs(void) {
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / 128,
                                    SIZE_MAX >> 16};
    for (int cell = 0; cell < CELLS; cell++) {
        model m = make_model(cell, 3, 4, 1);
        rnn_core_config config = m.config;
        check_config("a good config", config, 1);
        config.activation = "relu", config.recurrent_activation = "hard_sigmoid";
        check_config("a config with activations", config, 1);
        config = m.config, config.activation = "softmax";
        check_config("softmax", config, 0);
        config = m.config, config.recurrent_activation = "softmax";
        check_config("recurrent softmax", config, 0);
        config = m.config, config.activation = "tan";
        check_config("an unknown activation", config, 0);
        config = m.config, config.recurrent_activation = "";
        check_config("an activation without a name", config, 0);
        config = m.config, config.cell = (rnn_core_cell)(cell + CELLS);
        check_config("an unknown cell", config, 0);
        config.cell = (rnn_core_cell)-1;
        check_config("a negative cell", config, 0);
        config = m.config, config.units = 0;
        check_config("no units", config, 0);
        for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
            config.units = absurd[i];
            check_config("absurd units", config, 0);
            config.features = absurd[i];
            check_config("absurd units and features", config, 0);
            config = m.config;
        }
        for (int i = 0; i < 3; i++) {
            config.features = absurd[i];
            check_config("absurd features", config, 0);
        }
        free_model(&m);
    }
    rnn_core_layer_free(NULL);
}

static void *use_a_layer(void *layer) {
    const model *m = layer;
    for (int i = 0; i < 10; i++) {
        check_stream(m, i % 2);
        check_batch(m, 1 + (size_t)i, 7, i);
    }
    return NULL;
}

static void at_once(int count, void *(*work)(void *), void *argument) {
    enum { MOST = 8 };
    pthread_t threads[MOST];
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, argument))
            exit(2);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void check_threads(void) {
    for (int cell = 0; cell < CELLS; cell++) {
        model m = make_model(cell, 3, 33, 1);
        at_once(4, use_a_layer, &m);
        free_model(&m);
    }
}

int main(void) {
    check_layers();
    check_long_sequences();
    check_memory_of_the_caller();
    check_missing_kernels();
    check_configs();
    check_threads();
    printf("checked %s\n", rnn_core_isa());
    return 0;
}
