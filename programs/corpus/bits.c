/* Bit tricks: a bit sieve, queens by masks, Gray codes, Hilbert curve, Morton codes, counting and
 * reversing bits, perfect shuffles; Conway's life on words. */
#include "../common.h"

enum { STANDARD_ROUNDS = 65, SIEVE_BITS = 60000, ROWS = 64 };

static uint32_t sieve[SIEVE_BITS / 32];

static uint32_t count_primes(void) {
    uint32_t composite = 0;
    memset(sieve, 0, sizeof sieve);
    for (uint32_t n = 2; n * n < SIEVE_BITS; n++)
        if (!(sieve[n >> 5] >> (n & 31) & 1))
            for (uint32_t k = n * n; k < SIEVE_BITS; k += n)
                sieve[k >> 5] |= 1u << (k & 31);
    for (size_t i = 0; i < sizeof sieve / sizeof *sieve; i++)
        composite += (uint32_t)__builtin_popcount(sieve[i]);
    return SIEVE_BITS - composite - 2;
}

static uint32_t queens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right) {
    uint32_t count = 0;
    if (columns == all)
        return 1;
    for (uint32_t free = all & ~(columns | left | right); free; free &= free - 1) {
        uint32_t queen = free & (0 - free);
        count += queens(all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return count;
}

static uint64_t spread(uint64_t x) {
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x << 2) & 0x3333333333333333u;
    return (x | x << 1) & 0x5555555555555555u;
}

static uint32_t hilbert(uint32_t x, uint32_t y) {
    uint32_t distance = 0;
    for (uint32_t side = 1u << 9; side; side >>= 1) {
        uint32_t rx = (x & side) != 0, ry = (y & side) != 0;
        distance += side * side * ((3 * rx) ^ ry);
        if (!ry) {
            if (rx)
                x = 1023 - x, y = 1023 - y;
            uint32_t swap = x;
            x = y, y = swap;
        }
    }
    return distance;
}

static uint32_t reverse(uint32_t x) {
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
    return x >> 24 | (x >> 8 & 0xff00) | (x & 0xff00) << 8 | x << 24;
}

/* A generation on a torus of 64 rows of 64 cells, with a carry-save count of neighbours. */
static void life(uint64_t rows[ROWS]) {
    uint64_t next[ROWS];
    for (int y = 0; y < ROWS; y++) {
        uint64_t ones = 0, twos = 0, fours = 0;
        for (int dy = -1; dy <= 1; dy++) {
            uint64_t row = rows[(y + dy) & (ROWS - 1)];
            uint64_t cells[3] = {rotl64(row, 1), rotl64(row, 63), row};
            for (int i = 0; i < 3 - (dy == 0); i++) {
                uint64_t carry = ones & cells[i];
                ones ^= cells[i], fours |= twos & carry, twos ^= carry;
            }
        }
        next[y] = (ones | rows[y]) & twos & ~fours;
    }
    memcpy(rows, next, sizeof next);
}

int main(int argc, char **argv) {
    static uint64_t rows[ROWS];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {21};
    Digest digest = {0};
    while (rounds--) {
        require(count_primes() == 6057, "primes below 60000");
        require(queens(255, 0, 0, 0) == 92, "eight queens");
        for (int i = 0; i < 3000; i++) {
            uint64_t value = random_u64(&random);
            uint32_t x = (uint32_t)value, y = (uint32_t)(value >> 32);
            require(reverse(reverse(x)) == x, "reversal");
            digest_u64(&digest, spread(x) | spread(y) << 1);
            digest_u64(&digest, hilbert(x & 1023, y & 1023));
            digest_u64(&digest, (x ^ x >> 1) + (uint32_t)__builtin_clz(y | 1) * 64 +
                                    (uint32_t)__builtin_ctzll(value | 1u << 31));
        }
        for (int y = 0; y < ROWS; y++)
            rows[y] = random_u64(&random);
        for (int generation = 0; generation < 60; generation++)
            life(rows);
        for (int y = 0; y < ROWS; y++)
            digest_u64(&digest, rows[y]);
    }
    return digest_print(&digest);
}
