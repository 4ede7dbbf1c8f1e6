/* rnn_core: recurrent layers in float32, without Python.
 *
 * Build the library with `make -C pyx/kernels`, and link with librnn_core.a, -lm and -lpthread.
 * Nothing needs initialising, nothing allocates but rnn_core_layer_create, and a layer may be used
 * by many threads at once: only what is passed as a stream or as memory is written. Arrays are
 * C-contiguous. Gates are in the order RNN_CORE_LSTM_GATES or RNN_CORE_GRU_GATES along the columns
 * of a kernel, `units` columns to a gate.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_CORE_H
#define RNN_CORE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RNN_CORE_VERSION_MAJOR 0
#define RNN_CORE_VERSION_MINOR 1
#define RNN_CORE_VERSION_PATCH 0

#define RNN_CORE_LSTM_GATES "ifgo"
#define RNN_CORE_GRU_GATES "zrh"

/* What memory passed to the library must be aligned to, in bytes. */
#define RNN_CORE_ALIGNMENT 64

typedef enum {
    RNN_CORE_SIMPLE_RNN,
    RNN_CORE_LSTM,
    RNN_CORE_GRU,             /* the reset gate scales the product: PyTorch's, Keras's default */
    RNN_CORE_GRU_RESET_BEFORE /* the reset gate scales the state (Cho et al. 2014) */
} rnn_core_cell;

typedef struct {
    rnn_core_cell cell;
    size_t features, units;
    const float *kernel;              /* (features, gates * units) */
    const float *recurrent_kernel;    /* (units, gates * units) */
    const float *bias;                /* (gates * units,), or NULL for zeros */
    const float *recurrent_bias;      /* the same, RNN_CORE_GRU only */
    const char *activation;           /* a name, such as "relu"; NULL: "tanh" */
    const char *recurrent_activation; /* NULL: "sigmoid" */
} rnn_core_config;

typedef struct rnn_core_layer rnn_core_layer;

/* Bytes that a layer takes, about those of its weights, which need not be there yet; 0 for a config
 * that makes none: no units, an unknown activation, or one of whole rows (softmax). */
size_t rnn_core_layer_bytes(const rnn_core_config *config);

/* Makes a layer in aligned memory of rnn_core_layer_bytes, which is the caller's to free; the
 * config's arrays are copied. Returns NULL where rnn_core_layer_bytes is 0 or a kernel is NULL. */
rnn_core_layer *rnn_core_layer_init(const rnn_core_config *config, void *memory);

/* Makes a layer in memory of its own; NULL also if there is none. */
rnn_core_layer *rnn_core_layer_create(const rnn_core_config *config);

/* Frees a layer of rnn_core_layer_create; NULL does nothing. */
void rnn_core_layer_free(rnn_core_layer *layer);

/* One row that goes on step by step, and its states. */
typedef struct rnn_core_stream rnn_core_stream;

size_t rnn_core_stream_bytes(const rnn_core_layer *layer);

/* Makes a stream in aligned memory of rnn_core_stream_bytes, with zero states. The layer must
 * outlive it. */
rnn_core_stream *rnn_core_stream_init(const rnn_core_layer *layer, void *memory);

/* Sets the states: h and, of an LSTM, c, each (units,); NULL stands for zeros. */
void rnn_core_stream_set(rnn_core_stream *stream, const float *h, const float *c);

/* Copies the states; either may be NULL. */
void rnn_core_stream_get(const rnn_core_stream *stream, float *h, float *c);

/* One step: x (features,) to out (units,), which may be NULL. */
void rnn_core_step(rnn_core_stream *stream, const float *x, float *out);

/* A batch of sequences; no array overlaps another. */
typedef struct {
    size_t batch, timesteps;
    const float *x;            /* IN (batch, timesteps, features) */
    const unsigned char *mask; /* IN (batch, timesteps), or NULL: 0 leaves the row's states alone,
                                * and gives the output before it again, zeros at the beginning */
    float *h;                  /* INOUT (batch, units), or NULL for zeros, not returned */
    float *c;                  /* INOUT the same, of an LSTM */
    float *out;                /* OUT (batch, timesteps, units), or (batch, units) for the last */
    int sequences;             /* whether every step's output is wanted, or the last only */
    int go_backwards;          /* begin with the last step; outputs are in that order */
} rnn_core_sequences;

/* Bytes of memory that a run needs. */
size_t rnn_core_run_bytes(const rnn_core_layer *layer, const rnn_core_sequences *sequences);

/* All steps of a batch, on the calling thread; `memory` is aligned, of rnn_core_run_bytes. */
void rnn_core_run(const rnn_core_layer *layer, const rnn_core_sequences *sequences, void *memory);

/* The instruction set that layers are made for: the best that the CPU has, or what the
 * environment's RNN_CORE_ISA says, such as "x86_64_v3"; NULL, and no layer, if the CPU has not
 * that. */
const char *rnn_core_isa(void);

#ifdef __cplusplus
}
#endif

#endif
