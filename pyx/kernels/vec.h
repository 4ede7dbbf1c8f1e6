/* Vectors of one element type for the instruction set being compiled.
 *
 * Included once per type, with REAL_BITS 32 or 64; the only file that depends on registers.
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef RNN_VEC_H
#define RNN_VEC_H
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#define INLINE static inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define UNROLLED PRAGMA(clang loop unroll(full))
#else
#define UNROLLED PRAGMA(GCC unroll 32)
#endif
#endif

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

/* x - 0 is x for every x, -0 included; x + 0 is not. */
static inline vec T(broadcast)(real value) { return value - (vec){0}; }

/* The larger of two bounds and the smaller; a NaN in x passes through both. gcc makes several
 * instructions of a comparison and a select. */
#if defined(__x86_64__)
#if VECTOR_BYTES == 16
#define X86(name) _mm_##name
#elif VECTOR_BYTES == 32
#define X86(name) _mm256_##name
#else
#define X86(name) _mm512_##name
#endif
#if REAL_BITS == 32
static inline vec T(at_least)(vec x, real low) { return X86(max_ps)(T(broadcast)(low), x); }
static inline vec T(at_most)(vec x, real high) { return X86(min_ps)(T(broadcast)(high), x); }
#else
static inline vec T(at_least)(vec x, real low) { return X86(max_pd)(T(broadcast)(low), x); }
static inline vec T(at_most)(vec x, real high) { return X86(min_pd)(T(broadcast)(high), x); }
#endif
#undef X86
#elif defined(__aarch64__)
#if REAL_BITS == 32
static inline vec T(at_least)(vec x, real low) { return vmaxq_f32(x, T(broadcast)(low)); }
static inline vec T(at_most)(vec x, real high) { return vminq_f32(x, T(broadcast)(high)); }
#else
static inline vec T(at_least)(vec x, real low) { return vmaxq_f64(x, T(broadcast)(low)); }
static inline vec T(at_most)(vec x, real high) { return vminq_f64(x, T(broadcast)(high)); }
#endif
#endif

#if defined(__x86_64__) && VECTOR_BYTES == 32 && REAL_BITS == 32
static inline vec T(select)(ivec where, vec a, vec b) { return _mm256_blendv_ps(b, a, (vec)where); }
#elif defined(__x86_64__) && VECTOR_BYTES == 32
static inline vec T(select)(ivec where, vec a, vec b) { return _mm256_blendv_pd(b, a, (vec)where); }
#else
/* where ? a : b, lane by lane; a comparison of vectors yields all ones or all zeros. gcc 12 has no
 * vector ?: in C. */
static inline vec T(select)(ivec where, vec a, vec b) {
    return (vec)((where & (ivec)a) | (~where & (ivec)b));
}
#endif
