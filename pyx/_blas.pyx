"""Row-major matrix products over the BLAS that SciPy ships.

Importing this module imports ``scipy.linalg``; `_engine` does so when it first needs a product.
"""

from cpython.pycapsule cimport PyCapsule_New
from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from _blas cimport Blas

ctypedef fused real:
    float
    double


cdef void multiply_add(
    const real *a, int lda, const real *b, int ldb, real *c, int ldc, int m, int n, int k
) noexcept nogil:
    """C := C + A.B; row-major C is column-major C' = C' + B'.A'."""
    cdef int one = 1
    cdef real unit = 1
    if m == 1:
        if real is float:
            sgemv("N", &n, &k, &unit, <float *> b, &ldb, <float *> a, &one, &unit, c, &one)
        else:
            dgemv("N", &n, &k, &unit, <double *> b, &ldb, <double *> a, &one, &unit, c, &one)
    elif real is float:
        sgemm("N", "N", &n, &m, &k, &unit, <float *> b, &ldb, <float *> a, &lda, &unit, c, &ldc)
    else:
        dgemm("N", "N", &n, &m, &k, &unit, <double *> b, &ldb, <double *> a, &lda, &unit, c, &ldc)


cdef Blas _table = Blas(f32=multiply_add[float], f64=multiply_add[double])

table = PyCapsule_New(&_table, "rnn_core._blas.table", NULL)
