/* Three hash functions over generated messages: SHA-256 (FIPS 180-4), SipHash-2-4 (Aumasson and
 * Bernstein) and XXH64 (the xxHash specification). Mostly 32- and 64-bit integer arithmetic with
 * rotations, loads and table look-ups; nearly no branches. */
#include "common.h"

enum { STANDARD_ROUNDS = 1800, MESSAGE_BYTES = 6000 };

/* --- SHA-256 --- */

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t load_be32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

static void sha256_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++)
        w[t] = load_be32(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t x = w[t - 15], y = w[t - 2];
        uint32_t sigma0 = rotl32(x, 25) ^ rotl32(x, 14) ^ x >> 3;
        uint32_t sigma1 = rotl32(y, 15) ^ rotl32(y, 13) ^ y >> 10;
        w[t] = w[t - 16] + sigma0 + w[t - 7] + sigma1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        uint32_t sum1 = rotl32(e, 26) ^ rotl32(e, 21) ^ rotl32(e, 7);
        uint32_t choice = g ^ (e & (f ^ g));
        uint32_t t1 = h + sum1 + choice + SHA256_K[t] + w[t];
        uint32_t sum0 = rotl32(a, 30) ^ rotl32(a, 19) ^ rotl32(a, 10);
        uint32_t majority = (a & b) | (c & (a | b));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + sum0 + majority;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void sha256(uint32_t state[8], const uint8_t *message, size_t len) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(state, start, sizeof start);
    size_t whole = len / 64 * 64;
    for (size_t at = 0; at < whole; at += 64)
        sha256_block(state, message + at);
    /* The rest, a one bit, zeros, and the length in bits fill one or two last blocks. */
    uint8_t last[128] = {0};
    size_t rest = len - whole, last_bytes = rest < 56 ? 64 : 128;
    memcpy(last, message + whole, rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++)
        last[last_bytes - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < last_bytes; at += 64)
        sha256_block(state, last + at);
}

/* --- SipHash-2-4 --- */

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotl64(v[1], 13) ^ v[0], v[0] = rotl64(v[0], 32);
    v[2] += v[3], v[3] = rotl64(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotl64(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotl64(v[1], 17) ^ v[2], v[2] = rotl64(v[2], 32);
}

static uint64_t siphash(uint64_t key0, uint64_t key1, const uint8_t *message, size_t len) {
    uint64_t v[4] = {key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du,
                     key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = len / 8 * 8; i < len; i++)
        last |= (uint64_t)message[i] << (8 * (i % 8));
    for (size_t word = 0; word <= len / 8; word++) {
        uint64_t m = word < len / 8 ? load_le64(message + 8 * word) : last;
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- XXH64 --- */

#define XXH_1 0x9e3779b185ebca87u
#define XXH_2 0xc2b2ae3d27d4eb4fu
#define XXH_3 0x165667b19e3779f9u
#define XXH_4 0x85ebca77c2b2ae63u
#define XXH_5 0x27d4eb2f165667c5u

static inline uint64_t xxh_lane(uint64_t lane, uint64_t word) {
    return rotl64(lane + word * XXH_2, 31) * XXH_1;
}

static uint64_t xxh64(uint64_t seed, const uint8_t *message, size_t len) {
    uint64_t hash = seed + XXH_5;
    size_t at = 0;
    if (len >= 32) {
        uint64_t lane[4] = {seed + XXH_1 + XXH_2, seed + XXH_2, seed, seed - XXH_1};
        for (; len - at >= 32; at += 32)
            for (int i = 0; i < 4; i++)
                lane[i] = xxh_lane(lane[i], load_le64(message + at + 8 * i));
        hash = rotl64(lane[0], 1) + rotl64(lane[1], 7) + rotl64(lane[2], 12) + rotl64(lane[3], 18);
        for (int i = 0; i < 4; i++)
            hash = (hash ^ xxh_lane(0, lane[i])) * XXH_1 + XXH_4;
    }
    hash += len;
    for (; len - at >= 8; at += 8)
        hash = rotl64(hash ^ xxh_lane(0, load_le64(message + at)), 27) * XXH_1 + XXH_4;
    if (len - at >= 4) {
        hash = rotl64(hash ^ load_le32(message + at) * XXH_1, 23) * XXH_2 + XXH_3;
        at += 4;
    }
    for (; at < len; at++)
        hash = rotl64(hash ^ message[at] * XXH_5, 11) * XXH_1;
    hash = (hash ^ hash >> 33) * XXH_2;
    hash = (hash ^ hash >> 29) * XXH_3;
    return hash ^ hash >> 32;
}

/* Published values: FIPS 180-4's "abc", the SipHash paper's appendix A, XXH64 of nothing. */
static void check_known_answers(void) {
    uint32_t abc[8];
    sha256(abc, (const uint8_t *)"abc", 3);
    require(abc[0] == 0xba7816bf && abc[3] == 0x5dae2223 && abc[7] == 0xf20015ad, "SHA-256");
    uint8_t counting[15];
    for (int i = 0; i < 15; i++)
        counting[i] = (uint8_t)i;
    require(siphash(0x0706050403020100u, 0x0f0e0d0c0b0a0908u, counting, 15) == 0xa129ca6149be45e5u,
            "SipHash-2-4");
    require(xxh64(0, counting, 0) == 0xef46db3751d8e999u, "XXH64");
}

int main(int argc, char **argv) {
    static uint8_t message[MESSAGE_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {1};
    Digest digest = {0};
    check_known_answers();
    random_bytes(&random, message, sizeof message);
    for (uint32_t round = 0; round < rounds; round++) {
        /* The length varies so that every tail of every function is met. */
        size_t len = MESSAGE_BYTES - random_below(&random, 256);
        uint32_t sha[8];
        sha256(sha, message, len);
        for (int i = 0; i < 8; i++)
            digest_u64(&digest, sha[i]);
        uint64_t sip = siphash(digest.state, round, message, len);
        uint64_t xxh = xxh64(sip, message, len);
        digest_u64(&digest, sip);
        digest_u64(&digest, xxh);
        /* The next message depends on this one's hashes. */
        store_le32(message + random_below(&random, MESSAGE_BYTES - 4), (uint32_t)xxh);
    }
    return digest_print(&digest);
}
