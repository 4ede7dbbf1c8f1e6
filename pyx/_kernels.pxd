from libc.stdint cimport int32_t


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


cdef extern from "kernels/batch.h" nogil:
    ctypedef struct rnn_batch:
        ptrdiff_t rows
        ptrdiff_t timesteps
        const void *x
        ptrdiff_t x_row
        ptrdiff_t x_step
        const ptrdiff_t *ids
        const char *table
        const unsigned char *mask
        ptrdiff_t mask_row
        ptrdiff_t mask_step
        void *h
        void *c
        char *out
        ptrdiff_t out_row
        ptrdiff_t out_step
        int sequences
        int go_backwards
        int zero_output_for_mask

    void rnn_emit(const rnn_batch *b, ptrdiff_t row, ptrdiff_t s, const void *h, size_t size)
    void rnn_emit_last(const rnn_batch *b, ptrdiff_t row, const void *h, size_t size)

cdef extern from "kernels/packed.h" nogil:
    ctypedef enum rnn_cell:
        RNN_SIMPLE_RNN
        RNN_LSTM
        RNN_GRU_AFTER
        RNN_GRU_BEFORE

    enum:
        RNN_BLOCK_ROWS

    ctypedef struct rnn_packed:
        ptrdiff_t row_size
        ptrdiff_t z_size

    ctypedef struct rnn_weights:
        rnn_cell cell
        ptrdiff_t features
        ptrdiff_t units
        const float *kernel
        int product_only
        const float *recurrent_kernel
        const float *bias
        const float *recurrent_bias
        const char *activation
        const char *recurrent_activation

    size_t rnn_packed_bytes(const rnn_kernels *kernels, const rnn_weights *weights)
    void *rnn_allocate(size_t bytes)
    void rnn_release(void *memory)
    const rnn_packed *rnn_pack(const rnn_kernels *kernels, const rnn_weights *weights, void *memory)

cdef extern from "kernels/sequence.h" nogil:
    int rnn_run(
        int count, const rnn_packed *const *layers, const rnn_batch *batches, int threads
    )
    void rnn_forget(const rnn_packed *layer)

cdef extern from "kernels/projection.h" nogil:
    void rnn_project(
        const rnn_packed *layer, const float *x, ptrdiff_t x_row, ptrdiff_t rows, float *z,
        int threads
    )

cdef extern from "kernels/nodes.h" nogil:
    ctypedef struct rnn_nodes:
        ptrdiff_t count
        const float *inputs
        ptrdiff_t input_size
        int projected
        const ptrdiff_t *input
        const ptrdiff_t *parent
        const float *parent_h
        const float *parent_c
        float *h
        float *c
        float *scratch

    void rnn_step_nodes(const rnn_packed *layer, const rnn_nodes *nodes)

cdef extern from "kernels/order.h" nogil:
    ctypedef struct rnn_sequences:
        ptrdiff_t rows
        ptrdiff_t timesteps
        int bits
        const int32_t *ids
        const ptrdiff_t *lengths

    ctypedef struct rnn_word:
        pass

    void rnn_order(
        const rnn_sequences *s, ptrdiff_t *order, ptrdiff_t *own, rnn_word *words
    )

cdef extern from "kernels/threads.h" nogil:
    void rnn_keep_threads(int threads)
    void rnn_stay_alone()
