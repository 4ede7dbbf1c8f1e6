/* An LSTM stepped one sample at a time, as in an audio callback.
 *
 *     make -C pyx/kernels
 *     cc -Iinclude examples/step.c pyx/kernels/build/librnn_core.a -lm -lpthread -o step
 *     ./step
 */
#include <rnn_core.h>
#include <stdio.h>
#include <stdlib.h>

enum { FEATURES = 1, UNITS = 8, GATES = 4, COLUMNS = GATES * UNITS, SAMPLES = 48000 };

int main(void) {
    /* In a real program these are read from a file; gates are in the order i f g o. */
    static float kernel[FEATURES * COLUMNS], recurrent_kernel[UNITS * COLUMNS], bias[COLUMNS];
    for (int j = 0; j < FEATURES * COLUMNS; j++)
        kernel[j] = 0.03f * (float)(j % 7 - 3);
    for (int j = 0; j < UNITS * COLUMNS; j++)
        recurrent_kernel[j] = 0.05f * (float)(j % 5 - 2);
    for (int j = 0; j < UNITS; j++)
        bias[UNITS + j] = 1; /* of the forget gate */

    const rnn_core_config config = {
        .cell = RNN_CORE_LSTM,
        .features = FEATURES,
        .units = UNITS,
        .kernel = kernel,
        .recurrent_kernel = recurrent_kernel,
        .bias = bias,
    };
    rnn_core_layer *layer = rnn_core_layer_create(&config);
    if (!layer)
        return EXIT_FAILURE;
    /* From here on nothing allocates. */
    void *memory = aligned_alloc(RNN_CORE_ALIGNMENT, rnn_core_stream_bytes(layer));
    if (!memory)
        return EXIT_FAILURE;
    rnn_core_stream *stream = rnn_core_stream_init(layer, memory);

    float out[UNITS];
    for (int t = 0; t < SAMPLES; t++) {
        const float x = (float)(t % 100) / 100;
        rnn_core_step(stream, &x, out);
    }
    printf("%s, after %d samples:", rnn_core_isa(), SAMPLES);
    for (int j = 0; j < UNITS; j++)
        printf(" %.6f", (double)out[j]);
    printf("\n");
    free(memory);
    rnn_core_layer_free(layer);
    return EXIT_SUCCESS;
}
