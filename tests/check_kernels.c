/* Runs every kernel of every ISA of this CPU on arrays of exactly the size it is told: built with
 * the address and undefined-behaviour sanitizers, a read or write beyond them ends the program.
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"

static const size_t ITEM[RNN_REALS] = {sizeof(float), sizeof(double)};

/* n values of alternating sign and growing size. */
static void *values(int real, ptrdiff_t n) {
    void *p = malloc((size_t)n * ITEM[real] + !n);
    for (ptrdiff_t j = 0; j < n; j++) {
        double value = (j % 2 ? -1 : 1) * (double)(j % 19);
        if (real == RNN_FLOAT32)
            ((float *)p)[j] = (float)value;
        else
            ((double *)p)[j] = value;
    }
    return p;
}

static void check_activations(const rnn_kernels *kernels, int real) {
    for (const rnn_activation *row = kernels->activations; row->name; row++)
        for (ptrdiff_t n = 0; n < 70; n++) {
            void *x = values(real, n);
            row->apply[real](x, n);
            free(x);
        }
}

static void check_gates(const rnn_kernels *kernels, int real, ptrdiff_t rows, ptrdiff_t units) {
    const struct {
        rnn_gates *gates;
        ptrdiff_t z, u;
    } cells[] = {
        {kernels->simple_rnn[real], 1, 0}, {kernels->lstm[real], 4, 0},
        {kernels->gru_after[real], 3, 3},  {kernels->gru_reset[real], 3, 1},
        {kernels->gru_update[real], 3, 1},
    };
    const unsigned char mask[] = {1, 0, 1};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        for (int masked = 0; masked < 2; masked++) {
            rnn_step step = {
                .rows = rows,
                .units = units,
                .z = values(real, rows * cells[i].z * units),
                .u = values(real, rows * cells[i].u * units),
                .h = values(real, rows * units),
                .c = values(real, rows * units),
                .mask = masked ? mask : NULL,
                .mask_stride = 1,
                .activation = rnn_activation_find(kernels, "tanh")[real],
                .recurrent_activation = rnn_activation_find(kernels, "sigmoid")[real],
            };
            cells[i].gates(&step);
            free(step.z), free(step.u), free(step.h), free(step.c);
        }
}

int main(void) {
    const rnn_kernels *kernels;
    for (int i = 0; (kernels = rnn_kernels_at(i)); i++) {
        for (int real = 0; real < RNN_REALS; real++) {
            check_activations(kernels, real);
            for (ptrdiff_t units = 0; units < 36; units++)
                check_gates(kernels, real, 3, units);
        }
        printf("checked %s\n", kernels->isa);
    }
    return 0;
}
