/* Block ciphers and permutations of additions, rotations and exclusive ors: Threefish-256 and -512, Speck64
 * and Speck128, XTEA, RC5 and RC6, Sparkle. Long stretches on many locals, words of 32 and 64 bits. */
#include "../common.h"

enum { STANDARD_ROUNDS = 315, WORDS = 256, BYTES = 768 };

static inline uint32_t rotr32(uint32_t value, unsigned count) {
    return value >> count | value << (32 - count);
}

static inline uint64_t rotr64(uint64_t value, unsigned count) {
    return value >> count | value << (64 - count);
}

/* By as many places as the data say, of which only the last five bits count. */
static inline uint32_t turn_left(uint32_t value, uint32_t count) {
    return value << (count & 31) | value >> (-count & 31);
}

static inline uint32_t turn_right(uint32_t value, uint32_t count) {
    return value >> (count & 31) | value << (-count & 31);
}

/* Threefish: `words` words of key and their parity, two of tweak and theirs. */
typedef struct {
    uint64_t key[9], tweak[3];
    unsigned words;
} Fish;

static void fish_key(Fish *fish, const uint64_t *key, unsigned words, uint64_t t0, uint64_t t1) {
    fish->words = words, fish->key[words] = 0x1bd11bdaa9fc1a22u;
    for (unsigned i = 0; i < words; i++)
        fish->key[i] = key[i], fish->key[words] ^= key[i];
    fish->tweak[0] = t0, fish->tweak[1] = t1, fish->tweak[2] = t0 ^ t1;
}

#define MIX(a, b, count) (a += b, b = rotl64(b, count) ^ a)
#define UNMIX(a, b, count) (b = rotr64(b ^ a, count), a -= b)
#define KEY4(s, op) \
    (a op k[(s) % 5], b op k[((s) + 1) % 5] + t[(s) % 3], c op k[((s) + 2) % 5] + t[((s) + 1) % 3], \
     d op k[((s) + 3) % 5] + (s))
#define MIX4(r0, r1, r2, r3) (MIX(a, b, r0), MIX(c, d, r1), MIX(a, d, r2), MIX(c, b, r3))
#define UNMIX4(r0, r1, r2, r3) (UNMIX(c, b, r3), UNMIX(a, d, r2), UNMIX(c, d, r1), UNMIX(a, b, r0))

static void fish256(const Fish *fish, uint64_t block[4]) {
    const uint64_t *k = fish->key, *t = fish->tweak;
    uint64_t a = block[0], b = block[1], c = block[2], d = block[3];
    for (unsigned s = 0; s < 18; s += 2) {
        KEY4(s, +=);
        MIX4(14, 16, 52, 57), MIX4(23, 40, 5, 37);
        KEY4(s + 1, +=);
        MIX4(25, 33, 46, 12), MIX4(58, 22, 32, 32);
    }
    KEY4(18u, +=);
    block[0] = a, block[1] = b, block[2] = c, block[3] = d;
}

static void fish256_back(const Fish *fish, uint64_t block[4]) {
    const uint64_t *k = fish->key, *t = fish->tweak;
    uint64_t a = block[0], b = block[1], c = block[2], d = block[3];
    KEY4(18u, -=);
    for (unsigned s = 18; s > 0;) {
        s -= 2;
        UNMIX4(58, 22, 32, 32), UNMIX4(25, 33, 46, 12);
        KEY4(s + 1, -=);
        UNMIX4(23, 40, 5, 37), UNMIX4(14, 16, 52, 57);
        KEY4(s, -=);
    }
    block[0] = a, block[1] = b, block[2] = c, block[3] = d;
}

#define MIX8(r0, r1, r2, r3, p1, p3, p5, p7) (MIX(a, p1, r0), MIX(c, p3, r1), MIX(e, p5, r2), MIX(g, p7, r3))

/* The key's words shift by one for each of the 19 additions: laid out twice, they need no remainder. */
static void fish512(const Fish *fish, uint64_t block[8]) {
    uint64_t a = block[0], b = block[1], c = block[2], d = block[3];
    uint64_t e = block[4], f = block[5], g = block[6], h = block[7], doubled[18];
    memcpy(doubled, fish->key, sizeof fish->key), memcpy(doubled + 9, fish->key, sizeof fish->key);
    for (unsigned s = 0, first = 0, tweak = 0;; s++) {
        const uint64_t *k = doubled + first;
        a += k[0], b += k[1], c += k[2], d += k[3], e += k[4];
        f += k[5] + fish->tweak[tweak], tweak = tweak == 2 ? 0 : tweak + 1;
        g += k[6] + fish->tweak[tweak], h += k[7] + s;
        first = first == 8 ? 0 : first + 1;
        if (s == 18)
            break;
        if (s % 2 == 0) {
            MIX8(46, 36, 19, 37, b, d, f, h), MIX(c, b, 33), MIX(e, h, 27), MIX(g, f, 14), MIX(a, d, 42);
            MIX(e, b, 17), MIX(g, d, 49), MIX(a, f, 36), MIX(c, h, 39);
            MIX(g, b, 44), MIX(a, h, 9), MIX(c, f, 54), MIX(e, d, 56);
        } else {
            MIX8(39, 30, 34, 24, b, d, f, h), MIX(c, b, 13), MIX(e, h, 50), MIX(g, f, 10), MIX(a, d, 17);
            MIX(e, b, 25), MIX(g, d, 29), MIX(a, f, 39), MIX(c, h, 43);
            MIX(g, b, 8), MIX(a, h, 35), MIX(c, f, 56), MIX(e, d, 22);
        }
    }
    block[0] = a, block[1] = b, block[2] = c, block[3] = d;
    block[4] = e, block[5] = f, block[6] = g, block[7] = h;
}

/* A chain as Skein has it: each block is enciphered under the last result, and added to it. */
static void chain512(uint64_t state[8], const uint64_t *words, size_t blocks) {
    for (size_t i = 0; i < blocks; i++, words += 8) {
        Fish fish;
        uint64_t block[8];
        fish_key(&fish, state, 8, 64 * (i + 1), i == 0 ? (uint64_t)112 << 56 : (uint64_t)48 << 56);
        memcpy(block, words, sizeof block);
        fish512(&fish, block);
        for (int j = 0; j < 8; j++)
            state[j] = block[j] ^ words[j];
    }
}

/* Speck: round and key schedule are the same. */
static void speck64_keys(uint32_t keys[27], const uint32_t key[4]) {
    uint32_t l[3] = {key[1], key[2], key[3]}, k = key[0];
    for (uint32_t i = 0; i < 27; i++) {
        keys[i] = k;
        l[i % 3] = (rotr32(l[i % 3], 8) + k) ^ i, k = rotl32(k, 3) ^ l[i % 3];
    }
}

static void speck64(const uint32_t keys[27], uint32_t *x, uint32_t *y) {
    for (int i = 0; i < 27; i++)
        *x = (rotr32(*x, 8) + *y) ^ keys[i], *y = rotl32(*y, 3) ^ *x;
}

static void speck64_back(const uint32_t keys[27], uint32_t *x, uint32_t *y) {
    for (int i = 26; i >= 0; i--)
        *y = rotr32(*y ^ *x, 3), *x = rotl32((*x ^ keys[i]) - *y, 8);
}

static void speck128_keys(uint64_t keys[32], uint64_t k, uint64_t l) {
    for (uint64_t i = 0; i < 32; i++)
        keys[i] = k, l = (rotr64(l, 8) + k) ^ i, k = rotl64(k, 3) ^ l;
}

#define SPECK(x, y) (x = (rotr64(x, 8) + y) ^ k, y = rotl64(y, 3) ^ x)

/* Four counters side by side. */
static void speck128_counters(const uint64_t keys[32], uint64_t nonce, uint64_t *words, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        uint64_t a = nonce, b = i, c = nonce, d = i + 1, e = nonce, f = i + 2, g = nonce, h = i + 3;
        for (int j = 0; j < 32; j++) {
            uint64_t k = keys[j];
            SPECK(a, b), SPECK(c, d), SPECK(e, f), SPECK(g, h);
        }
        words[i] ^= a, words[i + 1] ^= b, words[i + 2] ^= c, words[i + 3] ^= d;
        words[i + 4] ^= e, words[i + 5] ^= f, words[i + 6] ^= g, words[i + 7] ^= h;
    }
}

static uint32_t load_be32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void store_be32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24), at[1] = (uint8_t)(value >> 16), at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* XTEA with chained blocks of bytes. */
static void xtea(const uint32_t key[4], uint8_t *bytes, size_t len, int decrypt) {
    uint32_t before0 = 0, before1 = 0;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint32_t x = load_be32(bytes), y = load_be32(bytes + 4), sum = 0, old0 = x, old1 = y;
        if (decrypt) {
            for (sum = 0xc6ef3720u; sum != 0;) {
                y -= ((x << 4 ^ x >> 5) + x) ^ (sum + key[sum >> 11 & 3]), sum -= 0x9e3779b9u;
                x -= ((y << 4 ^ y >> 5) + y) ^ (sum + key[sum & 3]);
            }
            x ^= before0, y ^= before1, before0 = old0, before1 = old1;
        } else {
            for (x ^= before0, y ^= before1; sum != 0xc6ef3720u;) {
                x += ((y << 4 ^ y >> 5) + y) ^ (sum + key[sum & 3]), sum += 0x9e3779b9u;
                y += ((x << 4 ^ x >> 5) + x) ^ (sum + key[sum >> 11 & 3]);
            }
            before0 = x, before1 = y;
        }
        store_be32(bytes, x), store_be32(bytes + 4, y);
    }
}

/* The schedule that RC5 and RC6 share: three times over the longer of the two arrays. */
static void rivest_keys(uint32_t *keys, uint32_t count, const uint32_t key[4]) {
    uint32_t l[4], a = 0, b = 0, i, j = 0, step;
    memcpy(l, key, sizeof l);
    for (keys[0] = 0xb7e15163u, i = 1; i < count; i++)
        keys[i] = keys[i - 1] + 0x9e3779b9u;
    for (i = 0, step = 0; step < 3 * count; step++) {
        a = keys[i] = rotl32(keys[i] + a + b, 3);
        b = l[j] = turn_left(l[j] + a + b, a + b);
        i = i + 1 == count ? 0 : i + 1, j = (j + 1) & 3;
    }
}

static void rc5(const uint32_t keys[26], uint32_t *words, size_t count, int decrypt) {
    for (uint32_t *end = words + count; words < end; words += 2) {
        uint32_t a = words[0], b = words[1];
        if (decrypt) {
            for (const uint32_t *k = keys + 24; k > keys; k -= 2)
                b = turn_right(b - k[1], a) ^ a, a = turn_right(a - k[0], b) ^ b;
            a -= keys[0], b -= keys[1];
        } else {
            a += keys[0], b += keys[1];
            for (const uint32_t *k = keys + 2; k < keys + 26; k += 2)
                a = turn_left(a ^ b, b) + k[0], b = turn_left(b ^ a, a) + k[1];
        }
        words[0] = a, words[1] = b;
    }
}

/* Four rounds a turn: the words change their names instead of their places. */
#define RC6(a, b, c, d, k) \
    (t = rotl32(b * (2 * b + 1), 5), u = rotl32(d * (2 * d + 1), 5), \
     a = turn_left(a ^ t, u) + (k)[0], c = turn_left(c ^ u, t) + (k)[1])

static void rc6(const uint32_t keys[44], uint32_t *words, size_t count) {
    for (uint32_t *end = words + count; words < end; words += 4) {
        uint32_t a = words[0], b = words[1] + keys[0], c = words[2], d = words[3] + keys[1], t, u;
        for (const uint32_t *k = keys + 2; k < keys + 42; k += 8)
            RC6(a, b, c, d, k), RC6(b, c, d, a, k + 2), RC6(c, d, a, b, k + 4), RC6(d, a, b, c, k + 6);
        words[0] = a + keys[42], words[1] = b, words[2] = c + keys[43], words[3] = d;
    }
}

/* Sparkle on 384 bits: a small box on each pair of words, then a linear layer that turns the pairs. */
static const uint32_t SPARKLE[8] = {0xb7e15162u, 0xbf715880u, 0x38b4da56u, 0x324e7738u,
                                    0xbb1185ebu, 0x4f7c7b57u, 0xcfbfa1c8u, 0xc2b3293du};

#define BOX(x, y, c) \
    (x += rotr32(y, 31), y ^= rotr32(x, 24), x ^= c, x += rotr32(y, 17), y ^= rotr32(x, 17), x ^= c, \
     x += y, y ^= rotr32(x, 31), x ^= c, x += rotr32(y, 24), y ^= rotr32(x, 16), x ^= c)

static void sparkle(uint32_t s[12], uint32_t steps) {
    uint32_t x0 = s[0], y0 = s[1], x1 = s[2], y1 = s[3], x2 = s[4], y2 = s[5];
    uint32_t x3 = s[6], y3 = s[7], x4 = s[8], y4 = s[9], x5 = s[10], y5 = s[11];
    for (uint32_t i = 0; i < steps; i++) {
        y0 ^= SPARKLE[i & 7], y1 ^= i;
        BOX(x0, y0, SPARKLE[0]), BOX(x1, y1, SPARKLE[1]), BOX(x2, y2, SPARKLE[2]);
        BOX(x3, y3, SPARKLE[3]), BOX(x4, y4, SPARKLE[4]), BOX(x5, y5, SPARKLE[5]);
        uint32_t tx = x0 ^ x1 ^ x2, ty = y0 ^ y1 ^ y2, kx = x0, ky = y0;
        tx = rotl32(tx ^ tx << 16, 16), ty = rotl32(ty ^ ty << 16, 16);
        y3 ^= y0 ^ tx, y4 ^= y1 ^ tx, y5 ^= y2 ^ tx, x3 ^= x0 ^ ty, x4 ^= x1 ^ ty, x5 ^= x2 ^ ty;
        x0 = x4, x4 = x1, x1 = x5, x5 = x2, x2 = x3, x3 = kx;
        y0 = y4, y4 = y1, y1 = y5, y5 = y2, y2 = y3, y3 = ky;
    }
    s[0] = x0, s[1] = y0, s[2] = x1, s[3] = y1, s[4] = x2, s[5] = y2;
    s[6] = x3, s[7] = y3, s[8] = x4, s[9] = y4, s[10] = x5, s[11] = y5;
}

static void check_vectors(void) {
    Fish fish;
    uint64_t zeros[8] = {0}, block[8] = {0}, keys64[32];
    uint32_t keys[44], words[4] = {0}, speck_key[4] = {0x03020100, 0x0b0a0908, 0x13121110, 0x1b1a1918};
    uint32_t xtea_key[4] = {0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f}, x = 0x3b726574, y = 0x7475432d;
    uint8_t letters[8] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'};
    fish_key(&fish, zeros, 4, 0, 0), fish256(&fish, block);
    require(block[0] == 0x94eeea8b1f2ada84u, "Threefish-256");
    memset(block, 0, sizeof block), fish_key(&fish, zeros, 8, 0, 0), fish512(&fish, block);
    require(block[0] == 0xbc2560efc6bba2b1u, "Threefish-512");
    speck64_keys(keys, speck_key), speck64(keys, &x, &y);
    require(x == 0x8c6fa548 && y == 0x454e028b, "Speck64");
    speck128_keys(keys64, 0x0706050403020100u, 0x0f0e0d0c0b0a0908u);
    require(keys64[1] == 0x37253b31171d0309u, "Speck128");
    xtea(xtea_key, letters, 8, 0);
    require(load_be32(letters) == 0x497df3d0 && load_be32(letters + 4) == 0x72612cb5, "XTEA");
    uint32_t none[4] = {0};
    rivest_keys(keys, 26, none), rc5(keys, words, 2, 0);
    require(words[0] == 0xeedba521 && words[1] == 0x6d8f4b15, "RC5");
    memset(words, 0, sizeof words), rivest_keys(keys, 44, none), rc6(keys, words, 4);
    require(words[0] == 0x36a5c38f && words[1] == 0x78f7b156, "RC6");
}

int main(int argc, char **argv) {
    static uint64_t words[WORDS], kept[WORDS];
    static uint32_t half[2 * WORDS];
    static uint8_t bytes[BYTES], copy[BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS), keys[44], key[4];
    Random random = {101};
    Digest digest = {0};
    uint64_t state[8] = {0}, keys64[32];
    check_vectors();
    for (uint32_t round = 0; round < rounds; round++) {
        Fish fish;
        for (int i = 0; i < WORDS; i++)
            kept[i] = words[i] = random_u64(&random);
        for (int i = 0; i < 4; i++)
            key[i] = (uint32_t)words[i];
        fish_key(&fish, kept + 9, 4, round, ~round);
        for (int i = 0; i < WORDS; i += 4)
            fish256(&fish, words + i);
        digest_u64(&digest, words[round % WORDS]);
        chain512(state, words, WORDS / 8);
        digest_u64(&digest, state[round % 8]);
        speck128_keys(keys64, state[0], state[1]);
        speck128_counters(keys64, state[2], words, WORDS);
        digest_u64(&digest, words[round % WORDS]);
        speck128_counters(keys64, state[2], words, WORDS);
        for (int i = 0; i < WORDS; i += 4)
            fish256_back(&fish, words + i);
        require(memcmp(words, kept, sizeof words) == 0, "Speck128 and Threefish-256 there and back");

        for (int i = 0; i < WORDS; i++)
            half[2 * i] = (uint32_t)words[i], half[2 * i + 1] = (uint32_t)(words[i] >> 32);
        speck64_keys(keys, key);
        for (int i = 0; i < 2 * WORDS; i += 2)
            speck64(keys, &half[i], &half[i + 1]);
        digest_u64(&digest, half[round % WORDS]);
        rivest_keys(keys, 26, key), rc5(keys, half, 2 * WORDS, 0);
        digest_u64(&digest, half[round % WORDS]);
        rc5(keys, half, 2 * WORDS, 1);
        speck64_keys(keys, key);
        for (int i = 0; i < 2 * WORDS; i += 2) {
            speck64_back(keys, &half[i], &half[i + 1]);
            require(half[i] == (uint32_t)kept[i / 2], "RC5 and Speck64 there and back");
        }
        rivest_keys(keys, 44, key), rc6(keys, half, 2 * WORDS);
        for (int i = 0; i + 12 <= 2 * WORDS; i += 12)
            sparkle(half + i, i % 24 ? 7 : 11);
        for (int i = 0; i < 2 * WORDS; i += 31)
            digest_u64(&digest, half[i]);
        for (int i = 0; i < BYTES / 4; i++)
            store_le32(bytes + 4 * i, half[i]);
        memcpy(copy, bytes, sizeof bytes);
        xtea(key, bytes, sizeof bytes, 0);
        digest_bytes(&digest, bytes + BYTES - 16, 16);
        xtea(key, bytes, sizeof bytes, 1);
        require(memcmp(bytes, copy, sizeof bytes) == 0, "XTEA there and back");
    }
    return digest_print(&digest);
}
