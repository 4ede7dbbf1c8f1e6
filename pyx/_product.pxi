# A product on the packed backend; part of _engine.pyx.


cdef class Product:
    """x.W + b, in which a row does not depend on the rows beside it, to the last bit.

    Args:
        kernel: float32 ``(features, units)``.
        bias: float32 ``(units,)``, or None.

    Both are copied.

    Raises:
        ValueError: weights of another shape or dtype.
        MemoryError: no memory for the packed weights.
    """

    cdef Packing packing
    cdef Py_ssize_t features, units

    def __init__(self, cnp.ndarray kernel not None, cnp.ndarray bias=None):
        cdef rnn_weights weights
        if kernel.ndim != 2 or kernel.dtype != np.float32:
            raise ValueError(f"kernel is {kernel.dtype} {np.shape(kernel)}, "
                             "expected float32 (features, units)")
        self.features, self.units = kernel.shape[0], kernel.shape[1]
        if bias is not None and (np.shape(bias) != (self.units,) or bias.dtype != np.float32):
            raise ValueError(f"bias is {bias.dtype} {np.shape(bias)}, "
                             f"expected float32 ({self.units},)")
        kernel = np.require(kernel, requirements="CA")
        bias = None if bias is None else np.require(bias, requirements="CA")
        weights.cell = RNN_SIMPLE_RNN
        weights.features, weights.units = self.features, self.units
        weights.kernel = <const float *> cnp.PyArray_DATA(kernel)
        weights.bias = NULL if bias is None else <const float *> cnp.PyArray_DATA(bias)
        weights.recurrent_kernel = weights.recurrent_bias = NULL
        weights.product_only = True
        weights.activation = weights.recurrent_activation = b"linear"
        self.packing = pack(&weights)

    def __call__(self, cnp.ndarray x not None):
        """Return x.W + b, a new array ``(rows, units)``.

        Args:
            x: float32 ``(rows, features)``, read in place if its features are contiguous.

        Raises:
            ValueError: `x` has another shape or dtype.
        """
        if x.ndim != 2 or x.shape[1] != self.features or x.dtype != np.float32:
            raise ValueError(f"x is {x.dtype} {np.shape(x)}, "
                             f"expected float32 (rows, {self.features})")
        if not cnp.PyArray_ISALIGNED(x) or x.strides[0] % 4 or (
            self.features > 1 and x.strides[1] != 4
        ):
            x = np.ascontiguousarray(x)
        cdef const rnn_packed *layer = self.packing.layer
        cdef Py_ssize_t rows = x.shape[0], x_row = x.strides[0] // 4
        cdef cnp.ndarray z = np.empty((rows, layer.z_size), np.float32)
        cdef const float *source = <const float *> cnp.PyArray_DATA(x)
        cdef float *out = <float *> cnp.PyArray_DATA(z)
        cdef int threads = current_threads()
        with nogil:
            rnn_project(layer, source, x_row, rows, out, threads)
        return z if layer.z_size == self.units else np.ascontiguousarray(z[:, :self.units])
