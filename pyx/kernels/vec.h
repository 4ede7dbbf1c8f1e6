/* Vectors of one element type for the instruction set being compiled.
 *
 * Included once per type, with REAL_BITS 32 or 64; the only file that depends on registers.
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#undef T
#undef real
#undef integer
#undef vec
#undef ivec
#undef LANES

#if REAL_BITS == 32
#define T(name) name##_f32
#define real float
#define integer int32_t
#else
#define T(name) name##_f64
#define real double
#define integer int64_t
#endif

typedef real T(vec) __attribute__((vector_size(VECTOR_BYTES)));
typedef integer T(ivec) __attribute__((vector_size(VECTOR_BYTES)));
#define vec T(vec)
#define ivec T(ivec)
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(real)))

static inline vec T(load)(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void T(store)(real *p, vec v) { memcpy(p, &v, sizeof v); }

/* where ? a : b, lane by lane; a comparison of vectors yields all ones or all zeros. gcc 12 has no
 * vector ?: in C. */
static inline vec T(select)(ivec where, vec a, vec b) {
    return (vec)((where & (ivec)a) | (~where & (ivec)b));
}

/* x - 0 is x for every x, -0 included; x + 0 is not. */
static inline vec T(broadcast)(real value) { return value - (vec){0}; }
