/* Products of rows with strips of packed weights; included once per instruction set.
 *
 * Every sum runs over the depth in order, in one accumulator, whatever the tile: so a row's result
 * does not depend on the rows beside it.
 * SPDX-License-Identifier: MIT
 */

/* Rows of a tile. Those of many rows are tiles of six, which hold more strips than taller ones and
 * load less for each product; eight alone are one tile, for two would load the weights twice. */
enum { EVEN_ROWS = 6, MAX_ROWS = ACCUMULATORS < 16 ? EVEN_ROWS : 8 };

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

enum { COLUMNS = RNN_STRIPS * 2 }; /* vectors of a row's sums, at most */

/* The arguments rows, strips and vectors are constants wherever these are expanded. */

/* sum[row][strip][j] += a[row][k] * b[strip][j], with b at its row k */
INLINE void add_outer(const int rows, const int strips, const int vectors, ptrdiff_t depth,
                      ptrdiff_t k, const float *const *a, const float *b, vec (*sum)[COLUMNS]) {
    const int columns = strips * vectors;
    vec weight[COLUMNS];
    UNROLLED for (int j = 0; j < columns; j++) weight[j] =
        T(load)(b + (j / vectors * depth * vectors + j % vectors) * LANES);
    UNROLLED for (int r = 0; r < rows; r++) {
        vec value = T(broadcast)(a[r][k]);
        UNROLLED for (int j = 0; j < columns; j++) sum[r][j] += value * weight[j];
    }
}

/* sum += a.B, several k at a time: what only counts them takes the place of a product. */
INLINE void add_product(const int rows, const int strips, const int vectors, ptrdiff_t depth,
                        const float *const *a, const float *b, vec (*sum)[COLUMNS]) {
    const ptrdiff_t width = vectors * LANES;
    const float *row[MAX_ROWS];
    UNROLLED for (int r = 0; r < rows; r++) row[r] = a[r];
    ptrdiff_t k = 0;
    for (; k + UNROLL <= depth; k += UNROLL, b += UNROLL * width)
        UNROLLED for (int u = 0; u < UNROLL; u++)
            add_outer(rows, strips, vectors, depth, k + u, row, b + u * width, sum);
    for (; k < depth; k++, b += width)
        add_outer(rows, strips, vectors, depth, k, row, b, sum);
}

INLINE void tile_of(const int rows, const int strips, const int vectors, ptrdiff_t depth,
                    const float *const *a, const float *b, const float *const *init,
                    ptrdiff_t init_at, float *const *out, ptrdiff_t out_at) {
    const int columns = strips * vectors;
    vec sum[MAX_ROWS][COLUMNS];
    UNROLLED for (int r = 0; r < rows; r++) UNROLLED for (int j = 0; j < columns; j++) sum[r][j] =
        T(load)(init[r] + init_at + j * LANES);
    add_product(rows, strips, vectors, depth, a, b, sum);
    UNROLLED for (int r = 0; r < rows; r++) UNROLLED for (int j = 0; j < columns; j++)
        T(store)(out[r] + out_at + j * LANES, sum[r][j]);
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
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#if ACCUMULATORS >= 16
TILES(7)
TILES(8)
#endif

static tile_product *const tiles[MAX_ROWS][RNN_STRIPS][2] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6),
#if ACCUMULATORS >= 16
    NAMES(7), NAMES(8),
#endif
};

/* How many of so many strips at once: as many as registers hold, shared out evenly among tiles, for
 * one left over would leave registers empty. Tables, for a division takes as long as ten products.
 */
#define MOST(rows) (ACCUMULATORS / 2 / (rows))
#define SHARE(count, parts) (((count) + (parts) - 1) / (parts))
#define AT_ONCE_OF(rows, strips) SHARE(strips, SHARE(strips, MOST(rows)))
#define AT_ONCE(rows)                                                                              \
    {AT_ONCE_OF(rows, 1), AT_ONCE_OF(rows, 2), AT_ONCE_OF(rows, 3), AT_ONCE_OF(rows, 4)}

static const unsigned char at_once[MAX_ROWS][RNN_STRIPS] = {
    AT_ONCE(1), AT_ONCE(2), AT_ONCE(3), AT_ONCE(4), AT_ONCE(5), AT_ONCE(6),
#if ACCUMULATORS >= 16
    AT_ONCE(7), AT_ONCE(8),
#endif
};

/* All strips of a panel, for at most MAX_ROWS rows. */
static void multiply(const rnn_matrix *matrix, const rnn_cut *cut, const rnn_panel *panel, int rows,
                     const float *const *a, const float *const *init, ptrdiff_t init_at,
                     float *const *out, ptrdiff_t out_at) {
    const int strips = cut->gates * panel->blocks, vectors = panel->width > LANES ? 2 : 1;
    const float *b = matrix->strips + matrix->depth * cut->gates * panel->before;
    for (int strip = 0, count; strip < strips; strip += count) {
        const ptrdiff_t at = strip * panel->width;
        count = at_once[rows - 1][strips - strip - 1];
        tiles[rows - 1][count - 1][vectors - 1](matrix->depth, a, b + at * matrix->depth, init,
                                                init_at + at, out, out_at + at);
    }
}
#undef TILE
