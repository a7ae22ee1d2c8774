/* Ciphers by substitution: DES (permutations by tables), a Feistel cipher of Camellia's shape on tables of
 * words, RC4, Serpent (its boxes in slices of bits), PRESENT (four bits at a time). */
#include "../common.h"

enum { STANDARD_ROUNDS = 360, BYTES = 1024 };

/* DES. Tables name the source of each bit, counted from 1 at the top, as the standard does. */
static const uint8_t CHOICE1[56] = {
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3,
    60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6,
    61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4};
static const uint8_t CHOICE2[48] = {
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32};
static const uint8_t SCATTER[32] = {16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
                                    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25};
static const char *const DES_BOXES[8] = {
    "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
    "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
    "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
    "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
    "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
    "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
    "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
    "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b"};

static uint64_t initial[8][256], final[8][256];
static uint32_t scattered[8][64];

static uint64_t permute(uint64_t value, unsigned width, const uint8_t *from, unsigned count) {
    uint64_t out = 0;
    for (unsigned i = 0; i < count; i++)
        out = out << 1 | (value >> (width - from[i]) & 1);
    return out;
}

static unsigned digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void des_prepare(void) {
    uint8_t first[64], last[64];
    for (unsigned i = 0; i < 64; i++) {
        first[i] = (uint8_t)((i < 32 ? 58 : 57) + 2 * (i / 8 % 4) - 8 * (i % 8));
        last[first[i] - 1] = (uint8_t)(i + 1);
    }
    for (unsigned byte = 0; byte < 8; byte++)
        for (unsigned i = 0; i < 256; i++) {
            initial[byte][i] = permute((uint64_t)i << (8 * byte), 64, first, 64);
            final[byte][i] = permute((uint64_t)i << (8 * byte), 64, last, 64);
        }
    for (unsigned box = 0; box < 8; box++)
        for (unsigned i = 0; i < 64; i++) { /* The outer two bits choose the row. */
            unsigned row = (i >> 4 & 2) | (i & 1), out = digit(DES_BOXES[box][16 * row + (i >> 1 & 15)]);
            scattered[box][i] = (uint32_t)permute(out << (28 - 4 * box), 32, SCATTER, 32);
        }
}

static void des_keys(uint8_t keys[16][8], uint64_t key) {
    uint64_t chosen = permute(key, 64, CHOICE1, 56);
    uint32_t c = (uint32_t)(chosen >> 28), d = chosen & 0xfffffff;
    for (int i = 0; i < 16; i++) {
        int turn = i < 2 || i == 8 || i == 15 ? 1 : 2;
        c = (c << turn | c >> (28 - turn)) & 0xfffffff, d = (d << turn | d >> (28 - turn)) & 0xfffffff;
        uint64_t round_key = permute((uint64_t)c << 28 | d, 56, CHOICE2, 48);
        for (int box = 0; box < 8; box++)
            keys[i][box] = round_key >> (42 - 6 * box) & 63;
    }
}

static uint64_t by_bytes(uint64_t tables[8][256], uint64_t value) {
    uint64_t out = 0;
    for (int i = 0; i < 8; i++, value >>= 8)
        out |= tables[i][value & 255];
    return out;
}

static uint64_t des(uint8_t keys[16][8], uint64_t block, int decrypt) {
    block = by_bytes(initial, block);
    uint32_t left = (uint32_t)(block >> 32), right = (uint32_t)block;
    for (int i = 0; i < 16; i++) {
        const uint8_t *key = keys[decrypt ? 15 - i : i];
        uint32_t out = 0;
        for (unsigned box = 0; box < 8; box++) /* Six bits each, of which two are the neighbours'. */
            out |= scattered[box][(rotl32(right, (4 * box + 5) & 31) & 63) ^ key[box]];
        out ^= left, left = right, right = out;
    }
    return by_bytes(final, (uint64_t)right << 32 | left);
}

/* A Feistel cipher of Camellia's shape. Four boxes that derive from one; each table spreads the outcome over
 * three bytes of a word, and one rotation makes the other half from that. */
static uint32_t spread[4][256];

static uint8_t times(uint8_t x, uint8_t y) {
    uint8_t product = 0;
    for (; y; y >>= 1, x = (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1d : 0)))
        product ^= y & 1 ? x : 0;
    return product;
}

static void feistel_prepare(uint8_t box[256]) {
    static const uint32_t masks[4] = {0x01010100, 0x00010101, 0x01000101, 0x01010001};
    for (int i = 0; i < 256; i++) { /* The inverse is the power 254. */
        uint8_t x = (uint8_t)(i ^ 0xc5), square = x, inverse = 1;
        for (int j = 0; j < 7; j++)
            square = times(square, square), inverse = times(inverse, square);
        box[i] = (uint8_t)(times(inverse, 0x35) ^ 0x6e);
    }
    for (unsigned i = 0; i < 256; i++) {
        uint8_t out = box[i], turned = box[(i << 1 | i >> 7) & 255];
        spread[0][i] = out * masks[0], spread[3][i] = turned * masks[3];
        spread[1][i] = (uint8_t)(out << 1 | out >> 7) * masks[1];
        spread[2][i] = (uint8_t)(out << 7 | out >> 1) * masks[2];
    }
}

static inline uint64_t feistel(uint64_t half, uint64_t key) {
    uint32_t l = (uint32_t)((half ^ key) >> 32), r = (uint32_t)(half ^ key);
    uint32_t d = spread[0][l >> 24] ^ spread[1][l >> 16 & 255]
                 ^ spread[2][l >> 8 & 255] ^ spread[3][l & 255];
    uint32_t u = spread[1][r >> 24] ^ spread[2][r >> 16 & 255]
                 ^ spread[3][r >> 8 & 255] ^ spread[0][r & 255];
    return (uint64_t)(d ^ u) << 32 | (d ^ u ^ rotl32(d, 24));
}

/* The layer between each six rounds, and its inverse. */
static uint64_t layer(uint64_t half, uint64_t key, int inverse) {
    uint32_t l = (uint32_t)(half >> 32), r = (uint32_t)half, kl = (uint32_t)(key >> 32), kr = (uint32_t)key;
    if (inverse)
        l ^= r | kr, r ^= rotl32(l & kl, 1);
    else
        r ^= rotl32(l & kl, 1), l ^= r | kr;
    return (uint64_t)l << 32 | r;
}

static void feistel_blocks(const uint64_t keys[22], uint64_t *words, size_t count, int decrypt) {
    for (uint64_t *end = words + count; words < end; words += 2) {
        uint64_t a = words[0], b = words[1];
        for (int i = 0; i < 18; i += 2) {
            if (i == 6 || i == 12) { /* Backwards the keys come in the opposite order. */
                const uint64_t *key = keys + (decrypt == (i == 6) ? 20 : 18);
                a = layer(a, key[decrypt], 0), b = layer(b, key[!decrypt], 1);
            }
            b ^= feistel(a, keys[decrypt ? 17 - i : i]), a ^= feistel(b, keys[decrypt ? 16 - i : i + 1]);
        }
        words[0] = b, words[1] = a;
    }
}

/* RC4. The first bytes of the stream can be passed over. */
typedef struct {
    uint8_t box[256], i, j;
} Stream;

static void rc4_start(Stream *s, const uint8_t *key, unsigned len) {
    for (int i = 0; i < 256; i++)
        s->box[i] = (uint8_t)i;
    uint8_t j = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t kept = s->box[i];
        j = (uint8_t)(j + kept + key[i % len]);
        s->box[i] = s->box[j], s->box[j] = kept;
    }
    s->i = s->j = 0;
}

static void rc4(Stream *s, uint8_t *bytes, size_t len) {
    uint8_t i = s->i, j = s->j;
    for (; len > 0; len--) {
        uint8_t a = s->box[++i], b = s->box[j = (uint8_t)(j + a)];
        s->box[i] = b, s->box[j] = a;
        *bytes++ ^= s->box[(uint8_t)(a + b)];
    }
    s->i = i, s->j = j;
}

/* Serpent: 32 look-ups at once, each bit of the box a polynomial in the four bits that go in. */
static const char *const SERPENT_BOXES[8] = {
    "38f1a65bed42709c", "fc27905a1be86d34", "86793cafd1e40b52", "0fb8c963d124a75e",
    "1f83c0b6254a9e7d", "f52b4a9c03e8d671", "72c5846be91fd3a0", "1df0e82b74ca9356"};

#define SLICED(name, e0, e1, e2, e3) \
    static inline void name(uint32_t w[4]) { \
        uint32_t a = w[0], b = w[1], c = w[2], d = w[3]; \
        w[0] = e0, w[1] = e1, w[2] = e2, w[3] = e3; \
    }

SLICED(slice0, ~a ^ c ^ d ^ (c & (a ^ b ^ (a & b) ^ (a & d) ^ (b & d))) ^ (a & b),
       ~a ^ (c & (a ^ b ^ (a & b) ^ (a & d) ^ (b & d))) ^ (b & d),
       b ^ d ^ (b & (a ^ (a & c) ^ d ^ (c & d))) ^ (a & c), a ^ b ^ c ^ d ^ (a & d))
SLICED(slice1, ~a ^ b ^ (c & (b ^ d ^ (a & d) ^ (b & d))) ^ (a & d),
       ~a ^ c ^ d ^ (d & (b ^ (a & b) ^ (a & c) ^ (b & c))) ^ (a & (b ^ c)), ~b ^ c ^ d ^ (a & b),
       ~b ^ d ^ (d & (a ^ (a & b) ^ (a & c) ^ (b & c))) ^ (a & c))
SLICED(slice2, b ^ c ^ d ^ (a & c), a ^ b ^ c ^ (a & ((b & c) ^ d ^ (b & d) ^ (c & d))) ^ (c & (b ^ d)),
       a ^ b ^ d ^ (d & (b ^ (a & b) ^ c ^ (a & c))) ^ (b & c), ~a ^ b ^ c ^ (b & ((a & c) ^ d)))
SLICED(slice3, a ^ b ^ d ^ (c & (b ^ d ^ (a & d) ^ (b & d))) ^ (a & d),
       a ^ b ^ (a & (c ^ d ^ (b & d) ^ (c & d))) ^ (c & d), a ^ c ^ d ^ (b & (a ^ (a & c) ^ d ^ (a & d))),
       a ^ b ^ c ^ d ^ (a & (b ^ c ^ (b & c) ^ (c & d))) ^ (c & d))
SLICED(slice4, ~b ^ c ^ d ^ (a & (b ^ d)) ^ (b & d),
       a ^ d ^ (c & (a ^ b ^ d ^ (a & d) ^ (b & d))) ^ (b & d),
       a ^ c ^ (b & (a ^ c ^ (a & c) ^ d ^ (a & d) ^ (c & d))) ^ (c & d),
       a ^ b ^ c ^ (b & (c ^ d ^ (a & d))) ^ (a & d))
SLICED(slice5, ~b ^ c ^ d ^ (a & (b ^ d)) ^ (b & d), ~a ^ c ^ d ^ (b & (a ^ d ^ (a & d))) ^ (c & d),
       ~b ^ d ^ (d & ((a & b) ^ c ^ (a & c) ^ (b & c))) ^ (a & c),
       ~a ^ b ^ c ^ d ^ (a & ((b & c) ^ d ^ (c & d))))
SLICED(slice6, ~a ^ b ^ c ^ d ^ (b & (c ^ (a & c) ^ (a & d) ^ (c & d))) ^ (a & c), ~b ^ c ^ (a & d),
       ~a ^ c ^ (b & (a ^ c ^ (a & c) ^ d ^ (a & d) ^ (c & d))) ^ (c & d),
       b ^ c ^ d ^ (c & (a ^ (a & b) ^ d ^ (b & d))) ^ (a & b))
SLICED(slice7, ~c ^ (d & (a ^ b ^ c ^ (a & c) ^ (b & c))) ^ (a & b),
       b ^ c ^ d ^ (a & (b ^ c ^ d ^ (b & d) ^ (c & d))) ^ (b & c),
       a ^ b ^ c ^ d ^ (b & ((a & c) ^ d ^ (a & d) ^ (c & d))) ^ (a & d),
       a ^ b ^ c ^ (a & (c ^ (b & c) ^ d)))

static void slice(unsigned box, uint32_t w[4]) {
    switch (box) {
    case 0: slice0(w); break;
    case 1: slice1(w); break;
    case 2: slice2(w); break;
    case 3: slice3(w); break;
    case 4: slice4(w); break;
    case 5: slice5(w); break;
    case 6: slice6(w); break;
    default: slice7(w); break;
    }
}

static void serpent_keys(uint32_t keys[132], const uint32_t key[8]) {
    uint32_t w[140];
    memcpy(w, key, 32);
    for (uint32_t i = 8; i < 140; i++)
        w[i] = rotl32(w[i - 8] ^ w[i - 5] ^ w[i - 3] ^ w[i - 1] ^ 0x9e3779b9u ^ (i - 8), 11);
    memcpy(keys, w + 8, 132 * sizeof *keys);
    for (unsigned i = 0; i < 33; i++)
        slice((35 - i) & 7, keys + 4 * i);
}

static inline void serpent_mix(uint32_t w[4]) {
    uint32_t a = rotl32(w[0], 13), c = rotl32(w[2], 3);
    uint32_t b = rotl32(w[1] ^ a ^ c, 1), d = rotl32(w[3] ^ c ^ a << 3, 7);
    w[0] = rotl32(a ^ b ^ d, 5), w[1] = b, w[2] = rotl32(c ^ d ^ b << 7, 22), w[3] = d;
}

#define TURN(box, k) (w[0] ^= (k)[0], w[1] ^= (k)[1], w[2] ^= (k)[2], w[3] ^= (k)[3], box(w))

static void serpent(const uint32_t keys[132], uint32_t block[4]) {
    uint32_t w[4] = {block[0], block[1], block[2], block[3]};
    for (const uint32_t *k = keys;; k += 32) {
        TURN(slice0, k), serpent_mix(w), TURN(slice1, k + 4), serpent_mix(w);
        TURN(slice2, k + 8), serpent_mix(w), TURN(slice3, k + 12), serpent_mix(w);
        TURN(slice4, k + 16), serpent_mix(w), TURN(slice5, k + 20), serpent_mix(w);
        TURN(slice6, k + 24), serpent_mix(w), TURN(slice7, k + 28);
        if (k == keys + 96)
            break;
        serpent_mix(w);
    }
    for (int i = 0; i < 4; i++)
        block[i] = w[i] ^ keys[128 + i];
}

/* PRESENT: sixteen boxes of four bits, then bit i goes to 16i modulo 63. */
static const uint8_t NIBBLES[16] = {12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2};

static uint64_t present(uint64_t block, uint64_t high, uint16_t low) {
    for (uint64_t round = 1;; round++) {
        block ^= high;
        if (round == 32)
            return block;
        uint64_t out = 0;
        for (unsigned i = 0; i < 16; i++) {
            uint64_t four = NIBBLES[block >> (4 * i) & 15];
            out |= (four & 1) << i | (four >> 1 & 1) << (16 + i) | (four >> 2 & 1) << (32 + i)
                   | four >> 3 << (48 + i);
        }
        block = out;
        uint64_t top = high << 61 | (uint64_t)low << 45 | high >> 19; /* The key turns by 61 of 80 bits. */
        low = (uint16_t)(high >> 3);
        high = (top & ~((uint64_t)15 << 60)) | (uint64_t)NIBBLES[top >> 60] << 60;
        high ^= round >> 1, low ^= (uint16_t)(round << 15);
    }
}

static void check_vectors(const uint8_t box[256]) {
    uint8_t keys[16][8], text[9] = {'P', 'l', 'a', 'i', 'n', 't', 'e', 'x', 't'}, seen[256] = {0};
    Stream stream;
    des_keys(keys, 0x133457799bbcdff1u);
    require(des(keys, 0x0123456789abcdefu, 0) == 0x85e813540f0ab405u, "DES");
    require(present(0, 0, 0) == 0x5579c1387b228445u, "PRESENT");
    rc4_start(&stream, (const uint8_t *)"Key", 3), rc4(&stream, text, 9);
    require(load_le64(text) == 0x0aaf40d9e816f3bbu && text[8] == 0xd3, "RC4");
    for (int i = 0; i < 256; i++)
        require(seen[box[i]]++ == 0, "the box is a permutation");
    for (unsigned i = 0; i < 8; i++) {
        uint32_t w[4] = {0xaaaa, 0xcccc, 0xf0f0, 0xff00}; /* Position n holds n. */
        slice(i, w);
        for (int n = 0; n < 16; n++)
            require(((w[0] >> n & 1) | (w[1] >> n & 1) << 1 | (w[2] >> n & 1) << 2 | (w[3] >> n & 1) << 3)
                        == digit(SERPENT_BOXES[i][n]), "the slices are the boxes");
    }
}

int main(int argc, char **argv) {
    static uint8_t bytes[BYTES], box[256], des_schedule[16][8];
    static uint64_t words[BYTES / 8], kept[BYTES / 8];
    static uint32_t serpent_schedule[132];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {67};
    Digest digest = {0};
    uint64_t keys[22], chain = 0;
    uint32_t key[8];
    des_prepare(), feistel_prepare(box), check_vectors(box);
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < BYTES / 8; i++)
            kept[i] = words[i] = random_u64(&random);
        des_keys(des_schedule, kept[round % 16]);
        for (int i = 0; i < BYTES / 8; i++)
            chain = words[i] = des(des_schedule, words[i] ^ chain, 0);
        digest_u64(&digest, chain);

        memcpy(keys, kept, sizeof keys);
        for (int i = 1; i < 22; i++)
            keys[i] ^= feistel(keys[i - 1], 0xa09e667f3bcc908bu);
        feistel_blocks(keys, words, BYTES / 8, 0);
        digest_u64(&digest, words[round % (BYTES / 8)]);

        Stream stream;
        for (int i = 0; i < BYTES / 4; i++)
            store_le32(bytes + 4 * i, (uint32_t)(words[i / 2] >> (i % 2 * 32)));
        rc4_start(&stream, bytes, 16), rc4(&stream, bytes + 16, BYTES - 16);
        rc4(&stream, bytes + 16, BYTES - 16), rc4(&stream, bytes + 16, BYTES - 16);
        digest_bytes(&digest, bytes + BYTES - 64, 64);

        for (int i = 0; i < 8; i++)
            key[i] = load_le32(bytes + 100 + 4 * i);
        serpent_keys(serpent_schedule, key);
        for (uint32_t i = 0; i < BYTES / 16; i++) {
            uint32_t block[4] = {i, round, key[0], ~key[0]};
            serpent(serpent_schedule, block);
            digest_u64(&digest, (uint64_t)(block[0] ^ block[2]) << 32 | (block[1] ^ block[3]));
        }
        for (int i = 0; i < 12; i++)
            chain = present(chain ^ kept[i], kept[20], (uint16_t)round);
        digest_u64(&digest, chain);

        feistel_blocks(keys, words, BYTES / 8, 1);
        for (int i = BYTES / 8 - 1; i >= BYTES / 8 - 48; i--)
            require((des(des_schedule, words[i], 1) ^ words[i - 1]) == kept[i], "there and back");
    }
    return digest_print(&digest);
}
