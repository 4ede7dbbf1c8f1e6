/* Recurrent layers with packed weights, float32. Private to the engine.
 *
 * A weight matrix (depth, gates * units) is cut into panels of neighbouring units. A panel has one
 * strip for each gate and block of units; a strip is (depth, width), row-major, and width is one or
 * two vectors. So a product reads its weights in a few streams and ends with the gates of a unit in
 * its registers. Columns beyond the last unit are zeros.
 *
 * The sums of a row before its gates, a z row, are laid out likewise: panel by panel, strip by
 * strip.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_PACKED_H
#define RNN_PACKED_H

#ifdef _WIN32
#include <malloc.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>

#include "kernels.h"

enum {
    RNN_STRIPS = 4,      /* of a panel, at most */
    RNN_PARTS = 2,       /* of a cell's weights: one product after the other */
    RNN_BLOCK_ROWS = 96, /* of one step, at most */
    RNN_ALIGNMENT = 64,
};

typedef enum { RNN_SIMPLE_RNN, RNN_LSTM, RNN_GRU_AFTER, RNN_GRU_BEFORE, RNN_CELLS } rnn_cell;

typedef struct {
    ptrdiff_t before; /* units in the panels before it */
    ptrdiff_t width;  /* units of a strip */
    int blocks;       /* strips of a gate */
} rnn_panel;

/* The columns of a part's weights. */
typedef struct {
    int gates;
    ptrdiff_t padded_units; /* of all panels */
    ptrdiff_t count;
    const rnn_panel *panels;
} rnn_cut;

typedef struct {
    ptrdiff_t depth;
    const float *strips;
} rnn_matrix;

typedef struct {
    rnn_cut cut;
    ptrdiff_t z_at; /* its place in a z row */
    rnn_matrix kernel, recurrent_kernel;
} rnn_part;

/* What one call leaves to the next. */
typedef struct {
    _Atomic(void *) memory;
    atomic_int
        turn; /* whether it ended with the last panel or the first: their weights are cached */
} rnn_left;

typedef struct {
    rnn_cell cell;
    const rnn_kernels *kernels;
    ptrdiff_t features, units;
    ptrdiff_t row_size; /* floats of a row of states */
    ptrdiff_t z_size;   /* floats of a z row */
    int parts;
    rnn_part part[RNN_PARTS];    /* RNN_GRU_BEFORE: z and r, then the candidate; others: all */
    const float *bias;           /* a z row */
    const float *recurrent_bias; /* the candidate's, (row_size,), of RNN_GRU_AFTER; else NULL */
    rnn_row_function *activation, *recurrent_activation;
    int fused; /* tanh and sigmoid */
    rnn_left *left;
} rnn_packed;

/* What a layer is made of; arrays are C-contiguous, gates in the order i f g o or z r h. */
typedef struct {
    rnn_cell cell;
    ptrdiff_t features, units;
    const float *kernel;           /* (features, gates * units) */
    int product_only;              /* it takes no steps and has no recurrent kernel */
    const float *recurrent_kernel; /* (units, gates * units) */
    const float *bias;             /* (gates * units,), or NULL */
    const float *recurrent_bias;   /* (gates * units,), or NULL; RNN_GRU_AFTER only */
    const char *activation, *recurrent_activation; /* value by value: not softmax */
} rnn_weights;

/* Bytes that a layer takes, whatever the arrays; 0 if that is more than a size_t holds. */
size_t rnn_packed_bytes(const rnn_kernels *kernels, const rnn_weights *weights);

/* `bytes` aligned to RNN_ALIGNMENT, a multiple of it; NULL if there are none. */
static inline void *rnn_allocate(size_t bytes) {
#ifdef _WIN32
    return _aligned_malloc(bytes, RNN_ALIGNMENT);
#else
    return aligned_alloc(RNN_ALIGNMENT, bytes);
#endif
}

/* Frees what rnn_allocate gave; NULL does nothing. */
static inline void rnn_release(void *memory) {
#ifdef _WIN32
    _aligned_free(memory);
#else
    free(memory);
#endif
}

/* Fills `memory`, of rnn_packed_bytes and aligned to RNN_ALIGNMENT; the weights are not needed
 * afterwards. NULL if there is no such activation. */
const rnn_packed *rnn_pack(const rnn_kernels *kernels, const rnn_weights *weights, void *memory);

/* Weights in `depth` rows of a layer's matrices. */
ptrdiff_t rnn_weight_count(const rnn_packed *layer, ptrdiff_t depth);

/* A rough cost: what a thread takes to multiply `rows` rows by them. It reads or multiplies some 30
 * weights a nanosecond. */
double rnn_microseconds(const rnn_packed *layer, ptrdiff_t depth, ptrdiff_t rows);

/* Later steps of a lone row, as many as rnn_packed_functions.ahead: a step computes a column of
 * vectors of their z rows in each panel, while its recurrent kernel is on its way from L2. */
typedef struct {
    const float *x; /* IN (features, ahead) */
    float *z;       /* OUT (ahead, z_size) */
    ptrdiff_t column;
} rnn_ahead;

/* One time step of `rows` rows, each given by a pointer. */
typedef struct {
    ptrdiff_t rows;
    const float *const *x;  /* IN (features,), or ... */
    const float *const *z;  /* IN ... not NULL: z rows: x.W + b */
    const float *const *a;  /* IN (units,): what is multiplied: h, in part 1 r * h */
    const float *const *h;  /* IN (row_size,) */
    float *const *next_h;   /* OUT (row_size,), none of the rows of h */
    float *const *c;        /* INOUT (row_size,), aligned; RNN_LSTM only */
    float *const *scratch;  /* (2, row_size), aligned: z and r * h of RNN_GRU_BEFORE only */
    ptrdiff_t first, last;  /* panels to do */
    int backwards;          /* panels from the last: some of its weights may still be in cache */
    const rnn_ahead *ahead; /* or NULL; fused layers of one part and one row only */
} rnn_packed_step;

/* part 0, and where the cell has it part 1 */
typedef void rnn_packed_step_function(const rnn_packed *layer, int part, const rnn_packed_step *s);

/* z = x.W + b for `rows` rows x (features,), in the panels [first, last) of a part. */
typedef void rnn_packed_project_function(const rnn_packed *layer, int part, ptrdiff_t rows,
                                         const float *const *x, float *const *z, ptrdiff_t first,
                                         ptrdiff_t last);

struct rnn_packed_functions {
    ptrdiff_t lanes;
    ptrdiff_t ahead; /* 0: no step computes z rows of later ones */
    rnn_packed_step_function *step;
    rnn_packed_project_function *project;
};

#endif
