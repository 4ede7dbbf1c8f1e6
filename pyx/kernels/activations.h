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
#define ATANH_TERMS 8
#define EXP_MAX R(89)     /* exp overflows from 88.73 on */
#define EXP_MIN R(-104)   /* exp rounds to 0 from -103.98 on */
#define TANH_ONE R(9.5)   /* tanh rounds to 1 from 9.02 on */
#define SIGMOID_ONE R(18) /* sigmoid rounds to 1 from 17.33 on */
#define SIGMOID_SCALE 32
/* ln 2 in two parts, the first short enough that its product with an exponent is exact: fdlibm
 * e_expf.c */
#define LN2_HIGH R(0x1.62e4p-1)
#define LN2_LOW R(0x1.7f7d1cp-20)
/* Minimax coefficients by docs/minimax.py, from the constant up: of (e^r - 1 - r) / r^2, whose
 * constant is rounded to 0.5, the error 1.6e-8 of r, and of (tanh h - h) / h^3 in h^2, the error
 * 4e-9 of h. */
#define TAIL                                                                                       \
    {0.5, 0.16666543040076702, 0.041666282205803068, 0.0083665774335637394, 0.0013946436519508096}
#define TANH_TAIL {-0.33333215981089742, 0.13322731050400398, -0.051229826277674009}
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ATANH_TERMS 18
#define EXP_MAX R(710)    /* 709.79 */
#define EXP_MIN R(-746)   /* -745.14 */
#define TANH_ONE R(19.5)  /* 19.07 */
#define SIGMOID_ONE R(38) /* 37.43 */
#define SIGMOID_SCALE 62
/* fdlibm e_exp.c */
#define LN2_HIGH R(0x1.62e42feep-1)
#define LN2_LOW R(0x1.a39ef35793c76p-33)
/* 2.7e-19 of r, 9e-18 of h */
#define TAIL                                                                                       \
    {0.5,                                                                                          \
     0.16666666666666676592,                                                                       \
     0.041666666666666701281,                                                                      \
     0.0083333333333216232,                                                                        \
     0.0013888888888866885,                                                                        \
     0.00019841269886136040,                                                                       \
     2.4801587360457844e-5,                                                                        \
     2.7557244207887700e-6,                                                                        \
     2.7557242846755839e-7,                                                                        \
     2.5109034801579360e-8,                                                                        \
     2.0924415778334007e-9}
#define TANH_TAIL                                                                                  \
    {-0.33333333333332417,   0.13333333332986819,   -0.053968253524693779, 0.02186946158851213,    \
     -0.0088623581793807153, 0.0035763636287575714, -0.0013074512465702766}
#endif

static inline vec T(magnitude)(vec x) {
    return (vec)((ivec)x & (ivec) ~(ivec)T(broadcast)(R(-0.0)));
}

static inline vec T(copy_sign)(vec x, vec sign) {
    ivec mask = (ivec)-T(broadcast)(R(0.0));
    return (vec)(((ivec)x & ~mask) | ((ivec)sign & mask));
}

/* A number added to this is rounded to an integer, which the sum has in its low bits. */
#define ROUND (R(1.5) * (real)((integer)1 << MANTISSA_BITS))

/* x = n ln 2 + r with |r| <= ln 2 / 2. Returns r, and n + offset in the low bits of *biased. */
static inline vec T(reduce)(vec x, integer offset, ivec *biased) {
    const real round = ROUND + (real)offset;
    vec shifted = x * R(1.4426950408889634) + round;
    vec whole = shifted - round;
    *biased = (ivec)shifted;
    return x - whole * LN2_HIGH - whole * LN2_LOW;
}

/* 2^n, for n + EXPONENT_BIAS in the low bits. */
static inline vec T(power_of_two)(ivec biased) { return (vec)(biased << MANTISSA_BITS); }

/* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static inline vec T(expm1_tail)(vec r, vec square) {
    static const double tail[] = TAIL;
    enum { DEGREE = sizeof tail / sizeof *tail - 1 };
    /* Even and odd terms side by side halve the chain of dependent operations. */
    vec low = T(broadcast)(R(tail[DEGREE - 1])), high = T(broadcast)(R(tail[DEGREE]));
    for (int k = DEGREE - 2; k > 0; k -= 2) {
        high = high * square + R(tail[k]);
        low = low * square + R(tail[k - 1]);
    }
    return low * r + (high * square + R(tail[0])); /* the degree is even */
}

/* e^r - 1 */
static inline vec T(near_expm1)(vec r) {
    vec square = r * r;
    return T(expm1_tail)(r, square) * square + r;
}

/* e^x for x <= EXP_MAX; 2^n is two factors, for n reaches beyond the range of one exponent. */
static inline vec T(bounded_exp)(vec x) {
    ivec n;
    vec p = T(near_expm1)(T(reduce)(T(at_least)(x, EXP_MIN), 0, &n));
    n -= (ivec)T(broadcast)(ROUND);
    ivec half = n >> 1;
    return (p + R(1)) * T(power_of_two)(half + EXPONENT_BIAS) *
           T(power_of_two)(n - half + EXPONENT_BIAS);
}

static inline vec T(exponential)(vec x) { return T(bounded_exp)(T(at_most)(x, EXP_MAX)); }

/* e^x - 1 for x where 2^n neither overflows nor underflows. */
static inline vec T(small_expm1)(vec x) {
    ivec n;
    vec p = T(near_expm1)(T(reduce)(x, EXPONENT_BIAS, &n));
    vec power = T(power_of_two)(n);
    return power * p + (power - R(1));
}

static inline vec T(linear)(vec x) { return x; }

/* A value before its division: a product of two needs only one. */
typedef struct {
    vec over, under;
} T(ratio);

static inline vec T(value)(T(ratio) x) { return x.over / x.under; }

/* tanh h for |h| <= 0.26 */
static inline vec T(near_tanh)(vec h) {
    static const double tail[] = TANH_TAIL;
    vec square = h * h, p = T(broadcast)(R(tail[sizeof tail / sizeof *tail - 1]));
    for (int k = sizeof tail / sizeof *tail - 2; k >= 0; k--)
        p = p * square + R(tail[k]);
    return p * (square * h) + h;
}

/* tanh |x| = a / b with |x| = n ln 2 / 2 + h, q = tanh h, a = (2^n + 1) q + 2^n - 1, and
 * b = a + 2 (1 - q), which has the error of a, so that it cancels where n is large. n is a quarter
 * lower than what rounds to the nearest: 0 up to |x| = 0.26, where a would be a small difference.
 */
static inline T(ratio) T(tanh_ratio)(vec x) {
    const real round = ROUND + EXPONENT_BIAS, half_ln2 = R(0.34657359027997265);
    vec y = T(at_most)(T(magnitude)(x), TANH_ONE);
    vec shifted = (y - half_ln2 / 4) * R(2.8853900817779268) + round;
    vec q = T(near_tanh)(y - (shifted - round) * half_ln2);
    vec power = T(power_of_two)((ivec)shifted);
    vec a = (power + R(1)) * q + (power - R(1));
    return (T(ratio)){T(copy_sign)(a, x), R(2) * (R(1) - q) + a};
}

/* 1 / (1 + e^-x) with e^-x = 2^-n (1 + p), above and below multiplied by 2^(n + SIGMOID_SCALE), so
 * that nothing overflows; what is lost of the sum without p is added to its product with p. */
static inline T(ratio) T(sigmoid_ratio)(vec x) {
    ivec n;
    vec bounded = T(at_least)(T(at_most)(x, SIGMOID_ONE), EXP_MIN);
    vec p = T(near_expm1)(-T(reduce)(bounded, EXPONENT_BIAS + SIGMOID_SCALE, &n));
    vec power = T(power_of_two)(n);
    const real scale = (real)((int64_t)1 << SIGMOID_SCALE);
    vec sum = scale + power;
    return (T(ratio)){power, scale * p + (power - (sum - scale)) + sum};
}

static inline vec T(tanh)(vec x) { return T(value)(T(tanh_ratio)(x)); }

static inline vec T(sigmoid)(vec x) { return T(value)(T(sigmoid_ratio)(x)); }

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
#undef ROUND
#undef R
#undef MANTISSA_BITS
#undef EXPONENT_BIAS
#undef TAIL
#undef TANH_TAIL
#undef ATANH_TERMS
#undef EXP_MAX
#undef EXP_MIN
#undef TANH_ONE
#undef SIGMOID_ONE
#undef SIGMOID_SCALE
#undef LN2_HIGH
#undef LN2_LOW
