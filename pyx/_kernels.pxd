cdef extern from "kernels/kernels.h" nogil:
    enum rnn_real:
        RNN_FLOAT32
        RNN_FLOAT64

    ctypedef void rnn_row_function(void *row, ptrdiff_t n) noexcept

    ctypedef struct rnn_step:
        ptrdiff_t rows
        ptrdiff_t units
        void *z
        void *u
        void *h
        void *c
        const unsigned char *mask
        ptrdiff_t mask_stride
        rnn_row_function *activation
        rnn_row_function *recurrent_activation

    ctypedef void rnn_gates(const rnn_step *step) noexcept

    ctypedef struct rnn_activation:
        const char *name

    ctypedef struct rnn_kernels:
        const char *isa
        const rnn_activation *activations
        rnn_gates **simple_rnn
        rnn_gates **lstm
        rnn_gates **gru_after
        rnn_gates **gru_reset
        rnn_gates **gru_update

    const rnn_kernels *rnn_kernels_best()
    const rnn_kernels *rnn_kernels_find(const char *isa)
    const rnn_kernels *rnn_kernels_at(int i)
    rnn_row_function *const *rnn_activation_find(const rnn_kernels *kernels, const char *name)
