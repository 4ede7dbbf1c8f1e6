/* The kernels of one instruction set; each ISA's .c file includes it once.
 *
 * Needs ISA, the table's name as a token, VECTOR_BYTES, the width of its registers, ACCUMULATORS,
 * how many of them a product may fill with sums: the rest hold its factors, and UNROLL, how many
 * products it adds to a sum at a time: one, where the compiler would load more factors than fit,
 * and AHEAD, of how many later steps a lone row's step projects a column, 0 for none: their sums
 * take as many registers beside the step's own.
 * SPDX-License-Identifier: MIT
 */
#include "kernels.h"

#define REAL_BITS 32
#include "vec.h"
#include "activations.h"
#include "gates.h"
#include "packed.h"
#include "product.h"
#include "fused.h"
#include "row.h"
#undef REAL_BITS
#define REAL_BITS 64
#include "vec.h"
#include "activations.h"
#include "gates.h"

#define BOTH(name) {name##_f32, name##_f64}
#define ACTIVATION(name) {#name, BOTH(name##_row)}
#define STRING_(token) #token
#define STRING(token) STRING_(token)
#define TABLE_(isa) rnn_kernels_##isa
#define TABLE(isa) TABLE_(isa)

static const rnn_activation activations[] = {
    ACTIVATION(linear),       ACTIVATION(tanh),        ACTIVATION(sigmoid),
    ACTIVATION(hard_sigmoid), ACTIVATION(relu),        ACTIVATION(hard_sigmoid_legacy),
    ACTIVATION(elu),          ACTIVATION(selu),        ACTIVATION(softplus),
    ACTIVATION(softsign),     ACTIVATION(exponential), ACTIVATION(silu),
    ACTIVATION(gelu),         ACTIVATION(softmax),     {NULL, {NULL, NULL}},
};

extern const rnn_kernels TABLE(ISA);
const rnn_kernels TABLE(ISA) = {
    .isa = STRING(ISA),
    .packed = &packed_functions,
    .activations = activations,
    .simple_rnn = BOTH(simple_rnn),
    .lstm = BOTH(lstm),
    .gru_after = BOTH(gru_after),
    .gru_reset = BOTH(gru_reset),
    .gru_update = BOTH(gru_update),
};
