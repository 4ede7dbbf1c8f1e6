# C := C + A.B, row-major: A (m, k), B (k, n), C (m, n), their rows lda, ldb, ldc values apart.
ctypedef void (*multiply_add_f32)(
    const float *a, int lda, const float *b, int ldb, float *c, int ldc, int m, int n, int k
) noexcept nogil
ctypedef void (*multiply_add_f64)(
    const double *a, int lda, const double *b, int ldb, double *c, int ldc, int m, int n, int k
) noexcept nogil

# What _blas hands to _engine, in a capsule: two extension modules cannot cimport each other here.
ctypedef struct Blas:
    multiply_add_f32 f32
    multiply_add_f64 f64
