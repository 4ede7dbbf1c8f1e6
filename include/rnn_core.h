/* rnn_core: what C programs may rely on.
 *
 * Compile with -I"$(python -c 'import rnn_core; print(rnn_core.get_include())')".
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_CORE_H
#define RNN_CORE_H

#define RNN_CORE_VERSION_MAJOR 0
#define RNN_CORE_VERSION_MINOR 1
#define RNN_CORE_VERSION_PATCH 0

/* Order of the gates along the columns of a kernel, `units` columns to a gate. */
#define RNN_CORE_LSTM_GATES "ifgo"
#define RNN_CORE_GRU_GATES "zrh"

#endif
