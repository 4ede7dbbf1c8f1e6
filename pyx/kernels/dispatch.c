/* Which kernels this CPU runs.
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "kernels.h"

/* Each probe asks for what setup.py compiles with, no more. gcc's and clang's ask the CPU, and the
 * operating system for the registers it saves. */
#if defined(__x86_64__)
extern const rnn_kernels rnn_kernels_x86_64, rnn_kernels_x86_64_v3, rnn_kernels_x86_64_v4;
static int always(void) { return 1; }
static int v3(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int v4(void) {
    return v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
extern const rnn_kernels rnn_kernels_arm64;
static int always(void) { return 1; }
#else
#error "no kernels for this architecture: add a file beside arm64.c and a row here"
#endif

static const struct {
    const rnn_kernels *kernels;
    int (*runs)(void);
} best_first[] = {
#if defined(__x86_64__)
    {&rnn_kernels_x86_64_v4, v4},
    {&rnn_kernels_x86_64_v3, v3},
    {&rnn_kernels_x86_64, always},
#else
    {&rnn_kernels_arm64, always},
#endif
};

const rnn_kernels *rnn_kernels_at(int i) {
    for (size_t row = 0; row < sizeof best_first / sizeof *best_first; row++)
        if (best_first[row].runs() && i-- == 0)
            return best_first[row].kernels;
    return NULL;
}

const rnn_kernels *rnn_kernels_best(void) { return rnn_kernels_at(0); }

const rnn_kernels *rnn_kernels_find(const char *isa) {
    const rnn_kernels *kernels;
    for (int i = 0; (kernels = rnn_kernels_at(i)); i++)
        if (strcmp(kernels->isa, isa) == 0)
            return kernels;
    return NULL;
}

rnn_row_function *const *rnn_activation_find(const rnn_kernels *kernels, const char *name) {
    for (const rnn_activation *row = kernels->activations; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->apply;
    return NULL;
}
