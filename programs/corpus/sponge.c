/* Sponges: SHA3-256 and SHAKE128 on Keccak-f[1600] by locals, by tables, by interleaved halves of
 * 32 bits; a cipher on Keccak-f[200] of bytes, a code of authentication on Keccak-f[400] of halfwords. */
#include "../common.h"

enum { STANDARD_ROUNDS = 275, BYTES = 2400, LEAVES = 4, SHA3_RATE = 136, SHAKE_RATE = 168 };

static uint64_t constants[24], spread_constants[24];
static uint8_t turns[24], places[24]; /* Rho and pi in the order in which pi visits the lanes. */

static uint8_t next_bit(uint8_t *state) {
    uint8_t bit = *state & 1;
    *state = (uint8_t)(*state << 1 ^ (*state & 0x80 ? 0x71 : 0));
    return bit;
}

/* Even bits to the low half, odd bits to the high half: a rotation by 2n is then one of each half by n.
 * With `first` 4 instead of 0 it takes the steps in the opposite order, which leads back. */
static uint64_t interleave(uint64_t lane, int first) {
    static const uint64_t masks[5] = {0x2222222222222222u, 0x0c0c0c0c0c0c0c0cu, 0x00f000f000f000f0u,
                                      0x0000ff000000ff00u, 0x00000000ffff0000u};
    for (int i = 0; i < 5; i++) {
        int step = first ? first - i : i, shift = 1 << step;
        uint64_t t = (lane ^ lane >> shift) & masks[step];
        lane ^= t ^ t << shift;
    }
    return lane;
}

static void prepare(void) {
    uint8_t state = 1, x = 1, y = 0;
    for (int i = 0; i < 24; i++) {
        for (int j = 0; j < 7; j++)
            constants[i] |= (uint64_t)next_bit(&state) << ((1 << j) - 1);
        spread_constants[i] = interleave(constants[i], 0);
        uint8_t row = (uint8_t)((2 * x + 3 * y) % 5);
        turns[i] = (uint8_t)((i + 1) * (i + 2) / 2 % 64);
        x = y, y = row, places[i] = (uint8_t)(5 * y + x);
    }
}

/* One round from one array into the other; all indices are known, so both end up in locals. */
#define ROW(y, i0, r0, i1, r1, i2, r2, i3, r3, i4, r4) do { \
        uint64_t b0 = r0 ? rotl64(from[i0] ^ d[i0 % 5], r0 ? r0 : 1) : from[i0] ^ d[i0 % 5]; \
        uint64_t b1 = rotl64(from[i1] ^ d[i1 % 5], r1), b2 = rotl64(from[i2] ^ d[i2 % 5], r2); \
        uint64_t b3 = rotl64(from[i3] ^ d[i3 % 5], r3), b4 = rotl64(from[i4] ^ d[i4 % 5], r4); \
        to[5 * y] = b0 ^ (~b1 & b2), to[5 * y + 1] = b1 ^ (~b2 & b3), to[5 * y + 2] = b2 ^ (~b3 & b4); \
        to[5 * y + 3] = b3 ^ (~b4 & b0), to[5 * y + 4] = b4 ^ (~b0 & b1); \
    } while (0)
#define COLUMN(x) (from[x] ^ from[x + 5] ^ from[x + 10] ^ from[x + 15] ^ from[x + 20])

static inline void one_round(uint64_t *restrict to, const uint64_t *restrict from, uint64_t constant) {
    uint64_t c0 = COLUMN(0), c1 = COLUMN(1), c2 = COLUMN(2), c3 = COLUMN(3), c4 = COLUMN(4);
    uint64_t d[5] = {c4 ^ rotl64(c1, 1), c0 ^ rotl64(c2, 1), c1 ^ rotl64(c3, 1), c2 ^ rotl64(c4, 1),
                     c3 ^ rotl64(c0, 1)};
    ROW(0, 0, 0, 6, 44, 12, 43, 18, 21, 24, 14);
    ROW(1, 3, 28, 9, 20, 10, 3, 16, 45, 22, 61);
    ROW(2, 1, 1, 7, 6, 13, 25, 19, 8, 20, 18);
    ROW(3, 4, 27, 5, 36, 11, 10, 17, 15, 23, 56);
    ROW(4, 2, 62, 8, 55, 14, 39, 15, 41, 21, 2);
    to[0] ^= constant;
}

static void permute(uint64_t lanes[25]) {
    uint64_t a[25], b[25];
    memcpy(a, lanes, sizeof a);
    for (int i = 0; i < 24; i += 2)
        one_round(b, a, constants[i]), one_round(a, b, constants[i + 1]);
    memcpy(lanes, a, sizeof a);
}

/* The same in few instructions, for lanes of any type that `turn` rotates. */
#define COMPACT(name, Lane, turn, rounds) \
    static void name(Lane lanes[25]) { \
        Lane c[5], d, kept, row[5]; \
        for (int round = 0; round < rounds; round++) { \
            for (int x = 0; x < 5; x++) \
                c[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]; \
            for (int x = 0; x < 5; x++) { \
                d = (Lane)(c[(x + 4) % 5] ^ turn(c[(x + 1) % 5], 1)); \
                for (int i = x; i < 25; i += 5) \
                    lanes[i] ^= d; \
            } \
            kept = lanes[1]; \
            for (int i = 0; i < 24; i++) \
                d = lanes[places[i]], lanes[places[i]] = turn(kept, turns[i]), kept = d; \
            for (Lane *at = lanes; at < lanes + 25; at += 5) { \
                memcpy(row, at, sizeof row); \
                for (int x = 0; x < 5; x++) \
                    at[x] = (Lane)(row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])); \
            } \
            lanes[0] ^= (Lane)constants[round]; \
        } \
    }

static uint8_t turn8(uint8_t value, unsigned count) {
    return (uint8_t)(value << (count & 7) | value >> (-count & 7));
}

static uint16_t turn16(uint16_t value, unsigned count) {
    return (uint16_t)(value << (count & 15) | value >> (-count & 15));
}

COMPACT(permute_small, uint64_t, rotl64, 24)
COMPACT(permute_bytes, uint8_t, turn8, 18)
COMPACT(permute_halfwords, uint16_t, turn16, 20)

/* For processors of 32 bits: each lane is two interleaved halves. */
typedef struct {
    uint32_t even, odd;
} Lane;

static inline Lane turn_lane(Lane lane, unsigned count) {
    unsigned half = count / 2, more = (half + 1) & 31;
    if (count & 1)
        return (Lane){more ? rotl32(lane.odd, more) : lane.odd, half ? rotl32(lane.even, half) : lane.even};
    return half ? (Lane){rotl32(lane.even, half), rotl32(lane.odd, half)} : lane;
}

static void permute_halves(uint64_t words[25]) {
    Lane s[25], c[5], b[25];
    for (int i = 0; i < 25; i++) {
        uint64_t spread = interleave(words[i], 0);
        s[i] = (Lane){(uint32_t)spread, (uint32_t)(spread >> 32)};
    }
    for (int round = 0; round < 24; round++) {
        for (int x = 0; x < 5; x++) {
            c[x] = s[x];
            for (int i = x + 5; i < 25; i += 5)
                c[x].even ^= s[i].even, c[x].odd ^= s[i].odd;
        }
        for (int x = 0; x < 5; x++) {
            const Lane *left = &c[x ? x - 1 : 4], *right = &c[x < 4 ? x + 1 : 0];
            uint32_t even = left->even ^ rotl32(right->odd, 1), odd = left->odd ^ right->even;
            for (int i = x; i < 25; i += 5)
                s[i].even ^= even, s[i].odd ^= odd;
        }
        b[0] = s[0];
        for (int i = 0; i < 24; i++)
            b[places[i]] = turn_lane(s[i ? places[i - 1] : 1], turns[i]);
        for (int y = 0; y < 25; y += 5)
            for (int x = 0; x < 5; x++) {
                const Lane *next = &b[y + (x + 1) % 5], *after = &b[y + (x + 2) % 5];
                s[y + x].even = b[y + x].even ^ (~next->even & after->even);
                s[y + x].odd = b[y + x].odd ^ (~next->odd & after->odd);
            }
        s[0].even ^= (uint32_t)spread_constants[round];
        s[0].odd ^= (uint32_t)(spread_constants[round] >> 32);
    }
    for (int i = 0; i < 25; i++)
        words[i] = interleave((uint64_t)s[i].odd << 32 | s[i].even, 4);
}

typedef struct {
    uint64_t lanes[25];
    void (*permute)(uint64_t *);
    uint32_t rate, at;
} Sponge;

static void absorb(Sponge *sponge, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        uint32_t step = sponge->at % 8 == 0 && len >= 8 ? 8 : 1;
        uint64_t word = step == 8 ? load_le64(bytes) : *bytes;
        sponge->lanes[sponge->at / 8] ^= word << (sponge->at % 8 * 8);
        bytes += step, len -= step, sponge->at += step;
        if (sponge->at == sponge->rate)
            sponge->permute(sponge->lanes), sponge->at = 0;
    }
}

static void finish(Sponge *sponge, uint8_t suffix) {
    sponge->lanes[sponge->at / 8] ^= (uint64_t)suffix << (sponge->at % 8 * 8);
    sponge->lanes[sponge->rate / 8 - 1] ^= (uint64_t)1 << 63;
    sponge->at = sponge->rate;
}

static void squeeze(Sponge *sponge, uint8_t *out, size_t len) {
    while (len-- > 0) {
        if (sponge->at == sponge->rate)
            sponge->permute(sponge->lanes), sponge->at = 0;
        *out++ = (uint8_t)(sponge->lanes[sponge->at / 8] >> (sponge->at % 8 * 8)), sponge->at++;
    }
}

static void hash(Sponge *sponge, const uint8_t *bytes, size_t len, uint8_t suffix, uint8_t *out,
                 size_t want) {
    memset(sponge->lanes, 0, sizeof sponge->lanes), sponge->at = 0;
    absorb(sponge, bytes, len), finish(sponge, suffix), squeeze(sponge, out, want);
}

/* A duplex on bytes: each call encrypts or decrypts up to 8 bytes; the state ends as the tag. */
static void duplex(uint8_t state[25], uint8_t *bytes, size_t len, int decrypt) {
    for (size_t at = 0; at < len; at += 8) {
        size_t part = len - at < 8 ? len - at : 8;
        for (size_t i = 0; i < part; i++) {
            uint8_t out = bytes[at + i] ^ state[i];
            state[i] = decrypt ? bytes[at + i] : out, bytes[at + i] = out;
        }
        state[part] ^= 1, state[24] ^= 0x80;
        permute_bytes(state);
    }
}

static uint64_t authenticate(const uint8_t *bytes, size_t len, uint16_t key) {
    uint16_t state[25] = {key};
    for (size_t i = 0, lane = 1; i + 1 < len; i += 2) {
        state[lane] ^= (uint16_t)(bytes[i] | bytes[i + 1] << 8);
        if (++lane == 10)
            permute_halfwords(state), lane = 1;
    }
    permute_halfwords(state);
    return (uint64_t)state[0] << 48 | (uint64_t)state[1] << 32 | (uint32_t)state[2] << 16 | state[3];
}

int main(int argc, char **argv) {
    static uint8_t bytes[BYTES], copy[BYTES], stream[BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {83};
    Digest digest = {0};
    uint8_t leaves[LEAVES * 32], other[32];
    prepare();
    Sponge sha3 = {.permute = permute, .rate = SHA3_RATE};
    Sponge halves = {.permute = permute_halves, .rate = SHA3_RATE};
    Sponge shake = {.permute = permute_small, .rate = SHAKE_RATE};
    hash(&sha3, bytes, 0, 6, other, 32);
    require(load_le64(other) == 0x66d71ebff8c6ffa7u, "SHA3-256 of nothing");
    hash(&shake, bytes, 0, 0x1f, other, 32);
    require(load_le64(other) == 0x7d828fe8a42b9c7fu, "SHAKE128 of nothing");
    for (uint32_t round = 0; round < rounds; round++) {
        size_t len = BYTES - random_below(&random, 200);
        random_bytes(&random, bytes, len / 4);
        /* The leaves of a tree and its root; one leaf once more, in halves. */
        for (uint32_t i = 0; i < LEAVES; i++)
            hash(&sha3, bytes + i * len / LEAVES, len / LEAVES, 6, leaves + 32 * i, 32);
        hash(&halves, bytes, len / LEAVES, 6, other, 32);
        require(memcmp(leaves, other, 32) == 0, "SHA3-256 in halves");
        hash(&sha3, leaves, sizeof leaves, 6, other, 32);
        hash(&halves, leaves, sizeof leaves, 6, leaves + 32, 32);
        require(memcmp(leaves + 32, other, 32) == 0, "SHA3-256 of the leaves");
        digest_bytes(&digest, other, 32);
        hash(&sha3, bytes, len, 6, other, 32);
        digest_bytes(&digest, other, 32);
        hash(&shake, bytes, len / 2, 0x1f, stream, 500);
        digest_bytes(&digest, stream, 500);

        uint8_t state[25] = {(uint8_t)round}, back[25] = {(uint8_t)round};
        memcpy(copy, bytes, 64);
        duplex(state, copy, 60, 0);
        digest_bytes(&digest, copy, 60);
        duplex(back, copy, 60, 1);
        require(memcmp(copy, bytes, 64) == 0 && memcmp(state, back, 25) == 0, "there and back");
        digest_u64(&digest, authenticate(stream, 240, (uint16_t)round));
    }
    return digest_print(&digest);
}
