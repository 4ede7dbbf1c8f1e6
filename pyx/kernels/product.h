/* Products of rows with strips of packed weights; included once per instruction set.
 *
 * Every sum runs over the depth in order, in one accumulator, whatever the tile: so a row's result
 * does not depend on the rows beside it.
 * SPDX-License-Identifier: MIT
 */

#define MAX_ROWS (ACCUMULATORS / 2)

/* out = init + a.B for a tile of rows x strips, the sums in registers:
 *   out[row][strip][j] = init[row][strip][j] + sum_k a[row][k] * b[strip][k][j],  j < width
 *
 *   a     IN  pointers to rows (depth,), any alignment
 *   b     IN  (strips, depth, width)
 *   init  IN  pointers to rows (strips, width), from init_at on; may be out
 *   out   OUT pointers to rows (strips, width), from out_at on
 *
 * Preconditions: ROWS * strips * vectors <= ACCUMULATORS; width is vectors * LANES. */
typedef void tile_product(ptrdiff_t depth, const float *const *a, const float *b,
                          const float *const *init, ptrdiff_t init_at, float *const *out,
                          ptrdiff_t out_at);

/* The arguments rows, strips and vectors are constants wherever this is expanded. */
static inline __attribute__((always_inline)) void
tile_of(const int rows, const int strips, const int vectors, ptrdiff_t depth, const float *const *a,
        const float *b, const float *const *init, ptrdiff_t init_at, float *const *out,
        ptrdiff_t out_at) {
    enum { COLUMNS = RNN_STRIPS * 2 };
    const int columns = strips * vectors;
    const ptrdiff_t width = vectors * LANES, strip = depth * width;
    vec sum[MAX_ROWS][COLUMNS];
    const float *row[MAX_ROWS];
    UNROLLED for (int r = 0; r < rows; r++) {
        const float *from = init[r] + init_at;
        row[r] = a[r];
        UNROLLED for (int j = 0; j < columns; j++) sum[r][j] = T(load)(from + j * LANES);
    }
    for (ptrdiff_t k = 0; k < depth; k++, b += width) {
        vec weight[COLUMNS];
        UNROLLED for (int j = 0; j < columns; j++) weight[j] =
            T(load)(b + j / vectors * strip + j % vectors * LANES);
        UNROLLED for (int r = 0; r < rows; r++) {
            vec value = T(broadcast)(row[r][k]);
            UNROLLED for (int j = 0; j < columns; j++) sum[r][j] += value * weight[j];
        }
    }
    UNROLLED for (int r = 0; r < rows; r++) {
        float *to = out[r] + out_at;
        UNROLLED for (int j = 0; j < columns; j++) T(store)(to + j * LANES, sum[r][j]);
    }
}

#define FITS(rows, strips) ((rows) * (strips) * 2 <= ACCUMULATORS)

#define TILE(rows, strips, vectors)                                                                \
    static void tile_##rows##_##strips##_##vectors(                                                \
        ptrdiff_t depth, const float *const *a, const float *b, const float *const *init,          \
        ptrdiff_t init_at, float *const *out, ptrdiff_t out_at) {                                  \
        if (FITS(rows, strips))                                                                    \
            tile_of(rows, strips, vectors, depth, a, b, init, init_at, out, out_at);               \
    }
#define TILES_OF(rows, strips) TILE(rows, strips, 1) TILE(rows, strips, 2)
#define TILES(rows) TILES_OF(rows, 1) TILES_OF(rows, 2) TILES_OF(rows, 3) TILES_OF(rows, 4)
#define NAMES_OF(rows, strips) {tile_##rows##_##strips##_1, tile_##rows##_##strips##_2}
#define NAMES(rows) {NAMES_OF(rows, 1), NAMES_OF(rows, 2), NAMES_OF(rows, 3), NAMES_OF(rows, 4)}

TILES(1)
TILES(2)
TILES(3) TILES(4) TILES(5) TILES(6)
#if ACCUMULATORS >= 24
    TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#endif

        static tile_product *const tiles[MAX_ROWS][RNN_STRIPS][2] = {
            NAMES(1), NAMES(2), NAMES(3), NAMES(4),  NAMES(5),  NAMES(6),
#if ACCUMULATORS >= 24
            NAMES(7), NAMES(8), NAMES(9), NAMES(10), NAMES(11), NAMES(12),
#endif
};

/* The strips [first, last) of a panel, for at most MAX_ROWS rows: as many at once as the registers
 * hold. */
static void multiply(const rnn_matrix *matrix, const rnn_cut *cut, const rnn_panel *panel,
                     int first, int last, int rows, const float *const *a, const float *const *init,
                     ptrdiff_t init_at, float *const *out, ptrdiff_t out_at) {
    const int vectors = (int)(panel->width / LANES);
    const float *b = matrix->strips + matrix->depth * cut->gates * panel->before;
    const int most = ACCUMULATORS / 2 / rows;
    for (int strip = first, count; strip < last; strip += count) {
        /* Evenly: one strip left over would leave registers empty. */
        const int left = last - strip, tiles_left = (left + most - 1) / most;
        count = (left + tiles_left - 1) / tiles_left;
        ptrdiff_t at = (strip - first) * panel->width;
        tiles[rows - 1][count - 1][vectors - 1](matrix->depth, a,
                                                b + strip * matrix->depth * panel->width, init,
                                                init_at + at, out, out_at + at);
    }
}
#undef TILE
