/* Authenticated encryption from RFC 8439's parts: ChaCha20 (32-bit additions, exclusive ors and
 * rotations on sixteen words) and Poly1305 (64-bit products of 26-bit limbs). A message is
 * encrypted, tagged, decrypted and compared. */
#include "common.h"

enum { STANDARD_ROUNDS = 1400, MESSAGE_BYTES = 8000, TAG_BYTES = 16 };

/* --- ChaCha20, RFC 8439 section 2.3 and 2.4 --- */

static inline void quarter_round(uint32_t s[16], int a, int b, int c, int d) {
    s[a] += s[b], s[d] = rotl32(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = rotl32(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = rotl32(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = rotl32(s[b] ^ s[c], 7);
}

static void chacha20_block(uint8_t out[64], const uint32_t input[16]) {
    uint32_t s[16];
    memcpy(s, input, sizeof s);
    for (int i = 0; i < 10; i++) {
        for (int column = 0; column < 4; column++)
            quarter_round(s, column, 4 + column, 8 + column, 12 + column);
        quarter_round(s, 0, 5, 10, 15);
        quarter_round(s, 1, 6, 11, 12);
        quarter_round(s, 2, 7, 8, 13);
        quarter_round(s, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        store_le32(out + 4 * i, s[i] + input[i]);
}

static void chacha20_xor(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[32],
                         const uint8_t nonce[12], uint32_t counter) {
    /* The first four words spell "expand 32-byte k". */
    uint32_t input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (int i = 0; i < 8; i++)
        input[4 + i] = load_le32(key + 4 * i);
    for (int i = 0; i < 3; i++)
        input[13 + i] = load_le32(nonce + 4 * i);
    for (size_t at = 0; at < len; at += 64) {
        uint8_t stream[64];
        input[12] = counter++;
        chacha20_block(stream, input);
        size_t part = len - at < 64 ? len - at : 64;
        for (size_t i = 0; i < part; i++)
            out[at + i] = in[at + i] ^ stream[i];
    }
}

/* --- Poly1305, RFC 8439 section 2.5 --- */

#define LIMB 0x3ffffffu /* 26 bits: a product of two and a sum of five of them fit 64 bits. */

/* Adds a block of 16 bytes and its top bit to the accumulator. */
static void poly1305_add(uint32_t h[5], const uint8_t block[16], uint32_t top) {
    h[0] += load_le32(block) & LIMB;
    h[1] += load_le32(block + 3) >> 2 & LIMB;
    h[2] += load_le32(block + 6) >> 4 & LIMB;
    h[3] += load_le32(block + 9) >> 6;
    h[4] += load_le32(block + 12) >> 8 | top << 24;
}

/* h = h * r modulo 2^130 - 5, partly reduced. 2^130 is 5 there, so a limb product that passes the
 * top comes back at the bottom times five. */
static void poly1305_multiply(uint32_t h[5], const uint32_t r[5]) {
    uint64_t product[5];
    for (int i = 0; i < 5; i++) {
        product[i] = 0;
        for (int j = 0; j < 5; j++)
            product[i] += (uint64_t)h[j] * (i >= j ? r[i - j] : 5 * r[5 + i - j]);
    }
    uint64_t carry = 0;
    for (int i = 0; i < 5; i++) {
        carry += product[i];
        h[i] = (uint32_t)carry & LIMB;
        carry >>= 26;
    }
    carry = h[0] + 5 * carry;
    h[0] = (uint32_t)carry & LIMB;
    h[1] += (uint32_t)(carry >> 26);
}

static void poly1305(uint8_t tag[TAG_BYTES], const uint8_t *message, size_t len,
                     const uint8_t key[32]) {
    uint32_t h[5] = {0}, r[5] = {0};
    uint8_t clamped[16];
    for (int i = 0; i < 16; i++)
        clamped[i] = key[i] & (i % 4 == 3 ? 0x0f : i > 0 && i % 4 == 0 ? 0xfc : 0xff);
    poly1305_add(r, clamped, 0);
    for (; len >= 16; message += 16, len -= 16) {
        poly1305_add(h, message, 1);
        poly1305_multiply(h, r);
    }
    if (len > 0) {
        uint8_t last[16] = {0};
        memcpy(last, message, len);
        last[len] = 1;
        poly1305_add(h, last, 0);
        poly1305_multiply(h, r);
    }
    /* Full carries; then h + 5 reaches 2^130 exactly if h is not below the modulus. */
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 5; i++) {
            uint32_t carry = h[i] >> 26;
            h[i] &= LIMB;
            h[(i + 1) % 5] += i == 4 ? 5 * carry : carry;
        }
    uint32_t reduced[5], carry = 5;
    for (int i = 0; i < 5; i++) {
        carry += h[i];
        reduced[i] = carry & LIMB;
        carry >>= 26;
    }
    const uint32_t *chosen = carry ? reduced : h;
    /* Back to 32-bit words, plus the second half of the key modulo 2^128. */
    uint64_t sum = 0, pending = 0;
    for (int word = 0, limb = 0, bits = 0; word < 4; word++) {
        for (; bits < 32 && limb < 5; bits += 26)
            pending |= (uint64_t)chosen[limb++] << bits;
        sum += (pending & 0xffffffffu) + load_le32(key + 16 + 4 * word);
        store_le32(tag + 4 * word, (uint32_t)sum);
        sum >>= 32, pending >>= 32, bits -= 32;
    }
}

/* The RFC's examples: section 2.4.2 (start of the ciphertext) and section 2.5.2. */
static void check_known_answers(void) {
    static const char text[] = "Ladies and Gentlemen of the class of '99";
    static const uint8_t nonce[12] = {0, 0, 0, 0, 0, 0, 0, 0x4a};
    static const uint8_t cipher_start[16] = {0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80,
                                             0x41, 0xba, 0x07, 0x28, 0xdd, 0x0d, 0x69, 0x81};
    uint8_t key[32], out[sizeof text];
    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    chacha20_xor(out, (const uint8_t *)text, sizeof text - 1, key, nonce, 1);
    require(memcmp(out, cipher_start, 16) == 0, "ChaCha20");

    static const char forum[] = "Cryptographic Forum Research Group";
    static const uint8_t forum_key[32] = {
        0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33, 0x7f, 0x44, 0x52, 0xfe, 0x42, 0xd5, 0x06, 0xa8,
        0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d, 0xb2, 0xfd, 0x4a, 0xbf, 0xf6, 0xaf, 0x41, 0x49, 0xf5, 0x1b};
    static const uint8_t forum_tag[16] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6,
                                          0xc2, 0x2b, 0x8b, 0xaf, 0x0c, 0x01, 0x27, 0xa9};
    uint8_t tag[TAG_BYTES];
    poly1305(tag, (const uint8_t *)forum, sizeof forum - 1, forum_key);
    require(memcmp(tag, forum_tag, TAG_BYTES) == 0, "Poly1305");
}

int main(int argc, char **argv) {
    static uint8_t plain[MESSAGE_BYTES], sealed[MESSAGE_BYTES], opened[MESSAGE_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {2};
    Digest digest = {0};
    check_known_answers();
    random_bytes(&random, plain, sizeof plain);
    for (uint32_t round = 0; round < rounds; round++) {
        static const uint8_t zeros[32];
        uint8_t key[32], nonce[12], tag_key[32], tag[TAG_BYTES];
        size_t len = MESSAGE_BYTES - random_below(&random, 100);
        random_bytes(&random, key, sizeof key);
        random_bytes(&random, nonce, sizeof nonce);
        /* As in section 2.6: the tag's one-time key is the start of block 0 of the stream. */
        chacha20_xor(tag_key, zeros, sizeof tag_key, key, nonce, 0);
        chacha20_xor(sealed, plain, len, key, nonce, 1);
        poly1305(tag, sealed, len, tag_key);
        digest_bytes(&digest, tag, TAG_BYTES);
        chacha20_xor(opened, sealed, len, key, nonce, 1);
        require(memcmp(opened, plain, len) == 0, "decryption gives the message back");
        memcpy(plain, sealed, len);
    }
    digest_bytes(&digest, plain, sizeof plain);
    return digest_print(&digest);
}
