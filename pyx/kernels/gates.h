/* The gates of each cell, for one time step of a block of rows; included once per element type.
 *
 * Each row is finished while it lies in L1. Contracts: rnn_step in kernels.h.
 * SPDX-License-Identifier: MIT
 */

static inline int T(masked)(const rnn_step *s, ptrdiff_t row) {
    return s->mask && !s->mask[row * s->mask_stride];
}

/* h = act(z) */
static void T(simple_rnn)(const rnn_step *s) {
    const ptrdiff_t n = s->units;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        if (T(masked)(s, row))
            continue;
        real *h = (real *)s->h + row * n;
        memcpy(h, (real *)s->z + row * n, (size_t)n * sizeof(real));
        s->activation(h, n);
    }
}

/* c = f c + i g,  h = o act(c) */
static void T(lstm)(const rnn_step *s) {
    const ptrdiff_t n = s->units;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        if (T(masked)(s, row))
            continue;
        real *restrict i = (real *)s->z + row * 4 * n;
        real *restrict f = i + n, *restrict g = f + n, *restrict o = g + n;
        real *restrict c = (real *)s->c + row * n, *restrict h = (real *)s->h + row * n;
        s->recurrent_activation(i, n);
        s->recurrent_activation(f, n);
        s->activation(g, n);
        s->recurrent_activation(o, n);
        for (ptrdiff_t j = 0; j < n; j++)
            h[j] = c[j] = f[j] * c[j] + i[j] * g[j];
        s->activation(h, n);
        for (ptrdiff_t j = 0; j < n; j++)
            h[j] *= o[j];
    }
}

/* h = z h + (1 - z) g with the candidate g */
static inline void T(gru_blend)(real *restrict h, const real *restrict z, const real *restrict g,
                                ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j++)
        h[j] = z[j] * h[j] + (1 - z[j]) * g[j];
}

/* z, r = rec(z + u),  g = act(g + r u_g) */
static void T(gru_after)(const rnn_step *s) {
    const ptrdiff_t n = s->units;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        if (T(masked)(s, row))
            continue;
        real *restrict z = (real *)s->z + row * 3 * n;
        real *restrict r = z + n, *restrict g = r + n;
        const real *restrict u = (real *)s->u + row * 3 * n;
        for (ptrdiff_t j = 0; j < 2 * n; j++)
            z[j] += u[j];
        s->recurrent_activation(z, n);
        s->recurrent_activation(r, n);
        for (ptrdiff_t j = 0; j < n; j++)
            g[j] += r[j] * u[2 * n + j];
        s->activation(g, n);
        T(gru_blend)((real *)s->h + row * n, z, g, n);
    }
}

/* z, r = rec(z, r),  u = r h */
static void T(gru_reset)(const rnn_step *s) {
    const ptrdiff_t n = s->units;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        real *restrict z = (real *)s->z + row * 3 * n, *restrict r = z + n;
        const real *restrict h = (real *)s->h + row * n;
        real *restrict u = (real *)s->u + row * n;
        s->recurrent_activation(z, n);
        s->recurrent_activation(r, n);
        for (ptrdiff_t j = 0; j < n; j++)
            u[j] = r[j] * h[j];
    }
}

static void T(gru_update)(const rnn_step *s) {
    const ptrdiff_t n = s->units;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        if (T(masked)(s, row))
            continue;
        real *z = (real *)s->z + row * 3 * n, *g = z + 2 * n;
        s->activation(g, n);
        T(gru_blend)((real *)s->h + row * n, z, g, n);
    }
}
