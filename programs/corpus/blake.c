/* BLAKE2b (RFC 7693) and MD5 (RFC 1321): unrolled 64-bit and 32-bit mixing. */
#include "../common.h"

enum { STANDARD_ROUNDS = 650, MESSAGE_BYTES = 5000 };

static const uint64_t BLAKE_IV[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};

static const uint8_t SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static inline void mix(uint64_t v[16], int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x, v[d] = rotl64(v[d] ^ v[a], 32);
    v[c] += v[d], v[b] = rotl64(v[b] ^ v[c], 40);
    v[a] += v[b] + y, v[d] = rotl64(v[d] ^ v[a], 48);
    v[c] += v[d], v[b] = rotl64(v[b] ^ v[c], 1);
}

static void blake2b(uint64_t h[8], const uint8_t *message, size_t len) {
    memcpy(h, BLAKE_IV, sizeof BLAKE_IV);
    h[0] ^= 0x01010040;
    for (size_t at = 0; at == 0 || at < len; at += 128) {
        uint8_t block[128] = {0};
        size_t part = len - at < 128 ? len - at : 128;
        memcpy(block, message + at, part);
        uint64_t m[16], v[16];
        for (int i = 0; i < 16; i++)
            m[i] = load_le64(block + 8 * i);
        for (int i = 0; i < 8; i++)
            v[i] = h[i], v[i + 8] = BLAKE_IV[i];
        v[12] ^= at + part;
        if (at + part == len)
            v[14] = ~v[14];
        for (int round = 0; round < 12; round++) {
            const uint8_t *s = SIGMA[round % 10];
            mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
            mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
            mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
            mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
            mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
            mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
            mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
            mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
        }
        for (int i = 0; i < 8; i++)
            h[i] ^= v[i] ^ v[i + 8];
    }
}

/* One block; the constants come from a generator instead of sines, so this is MD5 in shape only. */
static void md5_like(uint32_t state[4], const uint8_t *block, const uint32_t constants[64]) {
    static const uint8_t turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23},
                                        {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        uint32_t f;
        int word;
        switch (i >> 4) {
        case 0: f = (b & c) | (~b & d), word = i; break;
        case 1: f = (d & b) | (~d & c), word = (5 * i + 1) & 15; break;
        case 2: f = b ^ c ^ d, word = (3 * i + 5) & 15; break;
        default: f = c ^ (b | ~d), word = (7 * i) & 15; break;
        }
        f += a + constants[i] + load_le32(block + 4 * word);
        a = d, d = c, c = b, b += rotl32(f, turns[i >> 4][i & 3]);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

int main(int argc, char **argv) {
    static uint8_t message[MESSAGE_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {13};
    Digest digest = {0};
    uint64_t h[8];
    uint32_t constants[64], state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    blake2b(h, (const uint8_t *)"abc", 3);
    require(h[0] == 0x0d4d1c983fa580bau, "BLAKE2b");
    for (int i = 0; i < 64; i++)
        constants[i] = (uint32_t)random_u64(&random);
    random_bytes(&random, message, sizeof message);
    while (rounds--) {
        size_t len = MESSAGE_BYTES - random_below(&random, 256);
        blake2b(h, message, len);
        for (size_t at = 0; at + 64 <= len; at += 64)
            md5_like(state, message + at, constants);
        digest_u64(&digest, h[0] ^ h[7]);
        digest_u64(&digest, (uint64_t)state[0] << 32 | state[3]);
        store_le32(message + random_below(&random, MESSAGE_BYTES - 4), (uint32_t)h[1]);
    }
    return digest_print(&digest);
}
