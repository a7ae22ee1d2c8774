/* Random number generators: Mersenne Twister, xoshiro256**, PCG32, xorshift, a linear congruential
 * one; shuffles, Monte Carlo in f64, and a chi-squared count. */
#include "../common.h"

enum { STANDARD_ROUNDS = 200, N = 624, M = 397, DRAWS = 8000 };

static uint32_t twister[N], index_;

static void twister_seed(uint32_t seed) {
    twister[0] = seed, index_ = N;
    for (uint32_t i = 1; i < N; i++)
        twister[i] = 1812433253u * (twister[i - 1] ^ twister[i - 1] >> 30) + i;
}

static uint32_t twister_next(void) {
    if (index_ == N) {
        for (int i = 0; i < N; i++) {
            uint32_t y = (twister[i] & 0x80000000u) | (twister[(i + 1) % N] & 0x7fffffffu);
            twister[i] = twister[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        index_ = 0;
    }
    uint32_t y = twister[index_++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static uint64_t xoshiro(uint64_t s[4]) {
    uint64_t result = rotl64(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
    s[2] ^= t, s[3] = rotl64(s[3], 45);
    return result;
}

static uint32_t pcg(uint64_t *state) {
    uint64_t old = *state;
    *state = old * 6364136223846793005u + 1442695040888963407u;
    uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}

static uint32_t xorshift(uint32_t *state) {
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

int main(int argc, char **argv) {
    static uint32_t deck[1000];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    uint64_t s[4] = {1, 2, 3, 4}, pcg_state = 42;
    uint32_t shift = 2463534242u, congruential = 1;
    Digest digest = {0};
    twister_seed(5489);
    require(twister_next() == 3499211612u, "Mersenne Twister");
    require(xoshiro(s) == 11520, "xoshiro256**");
    while (rounds--) {
        uint32_t counts[16] = {0}, inside = 0, mixed = 0;
        for (int i = 0; i < DRAWS; i++) {
            counts[twister_next() >> 28]++;
            double x = (double)(xoshiro(s) >> 11) * 0x1p-53, y = (double)pcg(&pcg_state) * 0x1p-32;
            inside += x * x + y * y < 1.0;
            congruential = congruential * 1103515245 + 12345;
            mixed = rotl32(mixed, 5) ^ xorshift(&shift) ^ congruential >> 16;
        }
        double chi = 0;
        for (int i = 0; i < 16; i++) {
            double off = counts[i] - DRAWS / 16.0;
            chi += off * off / (DRAWS / 16.0);
        }
        require(chi < 100, "chi-squared");
        for (uint32_t i = 0; i < 1000; i++)
            deck[i] = i;
        for (uint32_t i = 999; i > 0; i--) {
            uint32_t j = (uint32_t)((uint64_t)twister_next() * (i + 1) >> 32), card = deck[i];
            deck[i] = deck[j], deck[j] = card;
        }
        digest_f64(&digest, chi);
        digest_u64(&digest, (uint64_t)inside << 32 | mixed);
        digest_u64(&digest, (uint64_t)deck[0] << 32 | deck[500]);
    }
    return digest_print(&digest);
}
