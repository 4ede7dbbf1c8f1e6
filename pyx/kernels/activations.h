/* Activations, value by value on vectors; included once per element type, after vec.h.
 *
 * docs/numerics.md gives method and error of each.
 * SPDX-License-Identifier: MIT
 */
#include <math.h>

#define R(constant) ((real)(constant))

#if REAL_BITS == 32
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define TAYLOR_TERMS 7
#define ATANH_TERMS 8
#define EXP_MAX R(89)   /* exp overflows from 88.73 on */
#define EXP_MIN R(-104) /* exp rounds to 0 from -103.98 on */
#define TANH_ONE R(9.5) /* tanh rounds to 1 from 9.02 on */
/* ln 2 in two parts, the first short enough that its product with an exponent is exact: fdlibm
 * e_expf.c */
#define LN2_HIGH R(0x1.62e4p-1)
#define LN2_LOW R(0x1.7f7d1cp-20)
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define TAYLOR_TERMS 13
#define ATANH_TERMS 18
#define EXP_MAX R(710)   /* 709.79 */
#define EXP_MIN R(-746)  /* -745.14 */
#define TANH_ONE R(19.5) /* 19.07 */
/* fdlibm e_exp.c */
#define LN2_HIGH R(0x1.62e42feep-1)
#define LN2_LOW R(0x1.a39ef35793c76p-33)
#endif

/* Comparisons with NaN are false, so a NaN passes through both. */
static inline vec T(at_least)(vec x, real low) { return T(select)(x < low, T(broadcast)(low), x); }
static inline vec T(at_most)(vec x, real high) {
    return T(select)(x > high, T(broadcast)(high), x);
}

static inline vec T(magnitude)(vec x) {
    return (vec)((ivec)x & (ivec) ~(ivec)T(broadcast)(R(-0.0)));
}

static inline vec T(copy_sign)(vec x, vec sign) {
    ivec mask = (ivec)-T(broadcast)(R(0.0));
    return (vec)(((ivec)x & ~mask) | ((ivec)sign & mask));
}

static inline vec T(power_of_two)(ivec n) { return (vec)((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* x = n ln 2 + r with |r| <= ln 2 / 2; returns e^r - 1 by its Taylor series. */
static inline vec T(reduced_expm1)(vec x, ivec *n) {
    const real round = R(1.5) * (real)((integer)1 << MANTISSA_BITS);
    vec shifted = x * R(1.4426950408889634) + round;
    vec whole = shifted - round;
    *n = (ivec)shifted - (ivec)T(broadcast)(round);
    vec r = x - whole * LN2_HIGH - whole * LN2_LOW;
    static const double inverse_factorial[] = {
        1.0,
        1.0,
        1.0 / 2,
        1.0 / 6,
        1.0 / 24,
        1.0 / 120,
        1.0 / 720,
        1.0 / 5040,
        1.0 / 40320,
        1.0 / 362880,
        1.0 / 3628800,
        1.0 / 39916800,
        1.0 / 479001600,
        1.0 / 6227020800.0,
    };
    /* Even and odd terms side by side halve the chain of dependent operations. */
    vec square = r * r;
    vec even = T(broadcast)(R(inverse_factorial[TAYLOR_TERMS - 1]));
    vec odd = T(broadcast)(R(inverse_factorial[TAYLOR_TERMS]));
    for (int k = TAYLOR_TERMS - 3; k >= 2; k -= 2) {
        even = even * square + R(inverse_factorial[k]);
        odd = odd * square + R(inverse_factorial[k + 1]);
    }
    return (odd * r + even) * square + r;
}

/* e^x for x <= EXP_MAX */
static inline vec T(bounded_exp)(vec x) {
    ivec n;
    vec p = T(reduced_expm1)(T(at_least)(x, EXP_MIN), &n);
    /* 2^n in two factors: n reaches beyond the range of one exponent. */
    ivec half = n >> 1;
    return (p + R(1)) * T(power_of_two)(half) * T(power_of_two)(n - half);
}

static inline vec T(exponential)(vec x) { return T(bounded_exp)(T(at_most)(x, EXP_MAX)); }

/* e^x - 1 for x where 2^n neither overflows nor underflows. */
static inline vec T(small_expm1)(vec x) {
    ivec n;
    vec p = T(reduced_expm1)(x, &n);
    vec scale = T(power_of_two)(n);
    return scale * p + (scale - R(1));
}

static inline vec T(linear)(vec x) { return x; }

/* (tanh x - x) / x^3 as a function of z = x^2 < 0.39: Cephes tanhf.c and tanh.c */
static inline vec T(tanh_tail)(vec z) {
#if REAL_BITS == 32
    vec p = R(-5.70498872745e-3) * z + R(2.06390887954e-2);
    p = p * z - R(5.37397155531e-2);
    p = p * z + R(1.33314422036e-1);
    return p * z - R(3.33332819422e-1);
#else
    vec p = (R(-9.64399179425052238628e-1) * z - R(9.92877231001918586564e1)) * z;
    vec q = ((z + R(1.12811678491632931402e2)) * z + R(2.23548839060100448583e3)) * z;
    return (p - R(1.61468768441708447952e3)) / (q + R(4.84406305325125486048e3));
#endif
}

/* A polynomial near 0, where 1 - 2 / (e^2|x| + 1) cancels. */
static inline vec T(tanh)(vec x) {
    vec z = x * x;
    vec near = T(tanh_tail)(z) * z * x + x;
    vec e = T(small_expm1)(R(2) * T(at_most)(T(magnitude)(x), TANH_ONE));
    vec far = T(copy_sign)(R(1) - R(2) / (e + R(2)), x);
    return T(select)(T(magnitude)(x) < R(0.625), near, far);
}

/* 1 / (1 + e^-x), written in e^-|x|, which cannot overflow. Where that is small, e / (1 + e) is
 * e - e (e / (1 + e)), which hides the rounding of 1 + e. */
static inline vec T(sigmoid)(vec x) {
    vec e = T(bounded_exp)(-T(magnitude)(x));
    vec y = T(select)(x < R(0), e, T(broadcast)(R(1))) / (e + R(1));
    return T(select)(x < R(-1), e - e * y, y);
}

static inline vec T(hard_sigmoid)(vec x) {
    return T(at_least)(T(at_most)(x / R(6) + R(0.5), R(1)), R(0));
}

static inline vec T(hard_sigmoid_legacy)(vec x) {
    return T(at_least)(T(at_most)(R(0.2) * x + R(0.5), R(1)), R(0));
}

static inline vec T(relu)(vec x) { return T(at_least)(x, R(0)); }

static inline vec T(elu)(vec x) {
    vec negative = T(small_expm1)(T(at_least)(T(at_most)(x, R(0)), R(-40)));
    return T(select)(x > R(0), x, negative);
}

/* Klambauer et al. 2017, Self-Normalizing Neural Networks, equation 2 */
static inline vec T(selu)(vec x) {
    const real scale = R(1.0507009873554804934193349852946);
    const real alpha = R(1.6732632423543772848170429916717);
    return scale * T(select)(x > R(0), x, alpha * T(elu)(x));
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(e) = 2 atanh(e / (e + 2)) by its series */
static inline vec T(softplus)(vec x) {
    vec e = T(bounded_exp)(-T(magnitude)(x));
    vec s = e / (e + R(2));
    vec series = T(broadcast)(R(1) / (2 * ATANH_TERMS + 1));
    for (int k = ATANH_TERMS - 1; k >= 0; k--)
        series = series * (s * s) + R(1) / R(2 * k + 1);
    return T(relu)(x) + R(2) * s * series;
}

static inline vec T(softsign)(vec x) { return x / (T(magnitude)(x) + R(1)); }

static inline vec T(silu)(vec x) { return x * T(sigmoid)(x); }

/* x Phi(x), the exact form (Hendrycks and Gimpel 2016), by the C library's erfc. */
static inline vec T(gelu)(vec x) {
    vec y;
    for (ptrdiff_t lane = 0; lane < LANES; lane++)
        y[lane] = R(0.5) * x[lane] * (real)erfc(-x[lane] * 0.70710678118654752440);
    return y;
}

/* The row function of a function of vectors. */
#define ROW(name)                                                                                  \
    static void T(name##_row)(void *row, ptrdiff_t n) {                                            \
        real *x = row;                                                                             \
        for (; n >= LANES; n -= LANES, x += LANES)                                                 \
            T(store)(x, T(name)(T(load)(x)));                                                      \
        if (n > 0) {                                                                               \
            vec last = {0};                                                                        \
            memcpy(&last, x, (size_t)n * sizeof(real));                                            \
            last = T(name)(last);                                                                  \
            memcpy(x, &last, (size_t)n * sizeof(real));                                            \
        }                                                                                          \
    }

ROW(linear)
ROW(tanh)
ROW(sigmoid)
ROW(hard_sigmoid)
ROW(hard_sigmoid_legacy)
ROW(relu)
ROW(elu)
ROW(selu)
ROW(softplus)
ROW(softsign)
ROW(exponential)
ROW(silu)
ROW(gelu)

/* e^(x - max) / sum e^(x - max) over the row */
static void T(softmax_row)(void *row, ptrdiff_t n) {
    real *x = row, largest = -(real)INFINITY, sum = 0;
    for (ptrdiff_t j = 0; j < n; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (ptrdiff_t j = 0; j < n; j++)
        x[j] -= largest;
    T(exponential_row)(x, n);
    for (ptrdiff_t j = 0; j < n; j++)
        sum += x[j];
    for (ptrdiff_t j = 0; j < n; j++)
        x[j] /= sum;
}

#undef ROW
#undef R
#undef MANTISSA_BITS
#undef EXPONENT_BIAS
#undef TAYLOR_TERMS
#undef ATANH_TERMS
#undef EXP_MAX
#undef EXP_MIN
#undef TANH_ONE
#undef LN2_HIGH
#undef LN2_LOW
