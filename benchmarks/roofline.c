/* One core's limits: fused multiply-adds from registers, and reading at full vector width.
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>

#if defined(__AVX512F__)
#define LANES 16
#define CHAINS 24
#elif defined(__AVX__)
#define LANES 8
#define CHAINS 12 /* and the two factors: all but two of the sixteen registers */
#elif defined(__aarch64__)
#define LANES 4
#define CHAINS 24
#else
#define LANES 4
#define CHAINS 12
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* In assembly, lest the compiler drop a result, or take the invariant product out of the loop. */
static inline vector multiply_add(vector sum, vector a, vector b) {
#if defined(__FMA__) || defined(__AVX512F__)
    __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#elif defined(__aarch64__)
    __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum) : "w"(a), "w"(b));
#elif defined(__x86_64__)
    sum = sum * a + b;
    __asm__ volatile("" : "+x"(sum));
#else
    sum = sum * a + b;
    __asm__ volatile("" : "+m"(sum));
#endif
    return sum;
}

static inline void keep(vector value) {
#if defined(__x86_64__)
    __asm__ volatile("" : : "v"(value));
#elif defined(__aarch64__)
    __asm__ volatile("" : : "w"(value));
#else
    __asm__ volatile("" : : "m"(value));
#endif
}

/* Returns the number of floating-point operations. */
double roofline_fma(ptrdiff_t iterations) {
    const vector half = (vector){0} + 0.5f; /* sums grow up to 2^22 and stay: none is denormal */
    vector sum[CHAINS] = {0};
    for (ptrdiff_t i = 0; i < iterations; i++) {
#pragma GCC unroll 24
        for (int chain = 0; chain < CHAINS; chain++)
            sum[chain] = multiply_add(sum[chain], half, half);
    }
    for (int chain = 0; chain < CHAINS; chain++)
        keep(sum[chain]);
    return 2.0 * LANES * CHAINS * (double)iterations;
}

/* Returns the number of bytes read: `size` rounded down to whole blocks, `passes` times. */
double roofline_read(const float *data, ptrdiff_t size, ptrdiff_t passes) {
    enum { BLOCK = 8 };
    const ptrdiff_t blocks = size / (ptrdiff_t)(BLOCK * sizeof(vector));
    vector sum[BLOCK] = {0};
    for (ptrdiff_t pass = 0; pass < passes; pass++) {
        const vector *from = (const vector *)data;
        for (ptrdiff_t block = 0; block < blocks; block++, from += BLOCK) {
#pragma GCC unroll 8
            for (int i = 0; i < BLOCK; i++)
                sum[i] += from[i];
        }
        keep(sum[0]);
    }
    for (int i = 0; i < BLOCK; i++)
        keep(sum[i]);
    return (double)(blocks * passes) * BLOCK * sizeof(vector);
}
