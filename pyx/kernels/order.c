/* Sequences of ids sorted by their beginnings.
 *
 * Ids are compared some at a time, as many as a word holds. Rows that are alike so far stand side
 * by side and are sorted by their next words, until none are alike or all words have been seen:
 * nothing is read beyond what tells rows apart. SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "order.h"

enum {
    WORD_BITS = 64,
    DIGIT_BITS = 8,
    DIGITS = WORD_BITS / DIGIT_BITS,
    RADIX = 1 << DIGIT_BITS,
    FEW = 64,       /* rows that are sorted sooner by insertion */
    UNDECIDED = -1, /* alike so far */
};

/* The ids of a row from `first` on, as many as fit, as one number; 0 is for those after its end. */
static uint64_t word_of(const rnn_sequences *s, ptrdiff_t row, ptrdiff_t first) {
    const ptrdiff_t last = first + WORD_BITS / s->bits;
    const int32_t *ids = s->ids + row * s->timesteps;
    uint64_t word = 0;
    for (ptrdiff_t t = first; t < last; t++)
        word = word << s->bits | (t < s->lengths[row] ? (uint64_t)(uint32_t)ids[t] + 1 : 0);
    return word;
}

static void sort_few(rnn_word *words, ptrdiff_t count) {
    for (ptrdiff_t i = 1; i < count; i++) {
        const rnn_word word = words[i];
        ptrdiff_t j = i;
        for (; j > 0 && words[j - 1].value > word.value; j--)
            words[j] = words[j - 1];
        words[j] = word;
    }
}

/* Moves words to `to`, sorted by one digit; those alike keep their order. */
static void sort_digit(const rnn_word *words, ptrdiff_t count, int shift, const ptrdiff_t *sizes,
                       rnn_word *to) {
    ptrdiff_t at[RADIX], next = 0;
    for (int digit = 0; digit < RADIX; digit++) {
        at[digit] = next;
        next += sizes[digit];
    }
    for (ptrdiff_t i = 0; i < count; i++)
        to[at[words[i].value >> shift & (RADIX - 1)]++] = words[i];
}

static void sort_many(rnn_word *words, ptrdiff_t count, rnn_word *spare) {
    ptrdiff_t sizes[DIGITS][RADIX] = {{0}};
    for (ptrdiff_t i = 0; i < count; i++)
        for (int d = 0; d < DIGITS; d++)
            sizes[d][words[i].value >> d * DIGIT_BITS & (RADIX - 1)]++;
    rnn_word *from = words, *to = spare;
    for (int d = 0; d < DIGITS; d++) {
        const int shift = d * DIGIT_BITS;
        if (sizes[d][words[0].value >> shift & (RADIX - 1)] == count)
            continue;
        sort_digit(from, count, shift, sizes[d], to);
        rnn_word *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != words)
        memcpy(words, from, (size_t)count * sizeof *words);
}

/* How many ids of two different words are alike. */
static ptrdiff_t alike(const rnn_sequences *s, uint64_t a, uint64_t b) {
    const int unused = WORD_BITS % s->bits;
    return (__builtin_clzll(a ^ b) - unused) / s->bits;
}

/* Sorts rows that are alike up to `first` by their words there. Returns whether some still are. */
static int sort_run(const rnn_sequences *s, ptrdiff_t first, ptrdiff_t count, ptrdiff_t *order,
                    ptrdiff_t *own, rnn_word *words, rnn_word *spare) {
    const ptrdiff_t last = first + WORD_BITS / s->bits;
    int some = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        words[i] = (rnn_word){word_of(s, order[i], first), order[i]};
    if (count <= FEW)
        sort_few(words, count);
    else
        sort_many(words, count, spare);
    order[0] = words[0].row;
    for (ptrdiff_t i = 1; i < count; i++) {
        const uint64_t before = words[i - 1].value, value = words[i].value;
        order[i] = words[i].row;
        if (value != before)
            own[i] = first + alike(s, before, value);
        else if (s->lengths[order[i]] < last || last >= s->timesteps)
            own[i] = s->timesteps;
        else
            some = 1;
    }
    return some;
}

void rnn_order(const rnn_sequences *s, ptrdiff_t *order, ptrdiff_t *own, rnn_word *words) {
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        order[row] = row;
        own[row] = row ? UNDECIDED : 0;
    }
    int some = 1;
    for (ptrdiff_t first = 0; some && first < s->timesteps; first += WORD_BITS / s->bits) {
        some = 0;
        for (ptrdiff_t start = 0, end; start < s->rows; start = end) {
            for (end = start + 1; end < s->rows && own[end] == UNDECIDED;)
                end++;
            if (end - start > 1)
                some |= sort_run(s, first, end - start, order + start, own + start, words,
                                 words + s->rows);
        }
    }
}
