/* Products of rows with a packed kernel, without steps. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_PROJECTION_H
#define RNN_PROJECTION_H

#include "packed.h"

/* z = x.W + b on up to `threads` threads:
 *
 *   x  IN  (rows, features), rows x_row values apart, any alignment
 *   z  OUT (rows, z_size), any alignment, apart from x */
void rnn_project(const rnn_packed *layer, const float *x, ptrdiff_t x_row, ptrdiff_t rows, float *z,
                 int threads);

#endif
