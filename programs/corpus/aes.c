/* AES-128 (FIPS 197), byte by byte with computed tables, in counter mode and CBC. Byte arithmetic
 * in small arrays. */
#include "../common.h"

enum { STANDARD_ROUNDS = 45, MESSAGE_BYTES = 4096 };

static uint8_t sbox[256], inverse[256], round_keys[176];

static uint8_t twice(uint8_t x) {
    return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint8_t times(uint8_t x, uint8_t y) {
    uint8_t product = 0;
    for (; y; y >>= 1, x = twice(x))
        if (y & 1)
            product ^= x;
    return product;
}

static void prepare(const uint8_t key[16]) {
    uint8_t p = 1, q = 1;
    do { /* p runs through all powers of 3, q through their inverses. */
        p = (uint8_t)(p ^ twice(p));
        q ^= (uint8_t)(q << 1), q ^= (uint8_t)(q << 2), q ^= (uint8_t)(q << 4);
        if (q & 0x80)
            q ^= 0x09;
        uint8_t s = (uint8_t)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^
                              (q << 4 | q >> 4) ^ 0x63);
        sbox[p] = s, inverse[s] = p;
    } while (p != 1);
    sbox[0] = 0x63, inverse[0x63] = 0;
    memcpy(round_keys, key, 16);
    uint8_t constant = 1;
    for (int i = 16; i < 176; i += 4) {
        uint8_t word[4];
        memcpy(word, round_keys + i - 4, 4);
        if (i % 16 == 0) {
            uint8_t first = word[0];
            word[0] = (uint8_t)(sbox[word[1]] ^ constant), word[1] = sbox[word[2]];
            word[2] = sbox[word[3]], word[3] = sbox[first];
            constant = twice(constant);
        }
        for (int j = 0; j < 4; j++)
            round_keys[i + j] = round_keys[i + j - 16] ^ word[j];
    }
}

static void add_key(uint8_t s[16], int round) {
    for (int i = 0; i < 16; i++)
        s[i] ^= round_keys[16 * round + i];
}

static void encrypt(uint8_t s[16]) {
    add_key(s, 0);
    for (int round = 1; round <= 10; round++) {
        uint8_t t[16];
        for (int i = 0; i < 16; i++)
            t[i] = sbox[s[(i * 5) & 15]];
        if (round == 10) {
            memcpy(s, t, 16);
        } else {
            for (int c = 0; c < 16; c += 4) {
                uint8_t all = t[c] ^ t[c + 1] ^ t[c + 2] ^ t[c + 3];
                for (int r = 0; r < 4; r++)
                    s[c + r] = t[c + r] ^ all ^ twice(t[c + r] ^ t[c + ((r + 1) & 3)]);
            }
        }
        add_key(s, round);
    }
}

static void decrypt(uint8_t s[16]) {
    for (int round = 10; round >= 1; round--) {
        uint8_t t[16];
        add_key(s, round);
        if (round < 10) {
            for (int c = 0; c < 16; c += 4)
                for (int r = 0; r < 4; r++)
                    t[c + r] = times(s[c + r], 14) ^ times(s[c + ((r + 1) & 3)], 11) ^
                               times(s[c + ((r + 2) & 3)], 13) ^ times(s[c + ((r + 3) & 3)], 9);
        } else {
            memcpy(t, s, 16);
        }
        for (int i = 0; i < 16; i++)
            s[(i * 5) & 15] = inverse[t[i]];
    }
    add_key(s, 0);
}

int main(int argc, char **argv) {
    static uint8_t message[MESSAGE_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {12};
    Digest digest = {0};
    uint8_t key[16], block[16];
    for (int i = 0; i < 16; i++)
        key[i] = (uint8_t)i, block[i] = (uint8_t)(17 * i);
    prepare(key);
    encrypt(block);
    require(block[0] == 0x69 && block[15] == 0x5a, "FIPS 197, C.1");
    random_bytes(&random, message, sizeof message);
    while (rounds--) {
        random_bytes(&random, key, sizeof key);
        prepare(key);
        for (uint32_t at = 0; at < MESSAGE_BYTES; at += 16) {
            memset(block, 0, sizeof block);
            store_le32(block + 12, at);
            encrypt(block);
            for (int i = 0; i < 16; i++)
                message[at + i] ^= block[i];
        }
        for (uint32_t at = 0; at < MESSAGE_BYTES / 4; at += 16) {
            memcpy(block, message + at, 16);
            decrypt(block);
            encrypt(block);
            require(memcmp(block, message + at, 16) == 0, "decrypt and encrypt");
        }
        digest_bytes(&digest, message, sizeof message);
    }
    return digest_print(&digest);
}
