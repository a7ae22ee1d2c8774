/* Arithmetic modulo 2^255 - 19 in limbs of 26 and 25 bits, as curve libraries for 32-bit machines do
 * it, and X25519's ladder (RFC 7748): 32-bit times 32-bit to 64-bit products with carries. */
#include "../common.h"

enum { STANDARD_ROUNDS = 20 };

typedef int32_t Field[10];

static void carry(Field out, int64_t h[10]) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 10; i++) {
            int bits = i & 1 ? 25 : 26;
            int64_t over = (h[i] + ((int64_t)1 << (bits - 1))) >> bits;
            h[i] -= over * ((int64_t)1 << bits);
            h[i == 9 ? 0 : i + 1] += i == 9 ? 19 * over : over;
        }
    for (int i = 0; i < 10; i++)
        out[i] = (int32_t)h[i];
}

static void multiply(Field out, const Field f, const Field g) {
    int64_t h[10] = {0};
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            int64_t product = (int64_t)f[i] * g[j];
            if (i & j & 1)
                product *= 2;
            if (i + j >= 10)
                h[i + j - 10] += 19 * product;
            else
                h[i + j] += product;
        }
    carry(out, h);
}

static void add(Field out, const Field f, const Field g) {
    for (int i = 0; i < 10; i++)
        out[i] = f[i] + g[i];
}

static void subtract(Field out, const Field f, const Field g) {
    for (int i = 0; i < 10; i++)
        out[i] = f[i] - g[i];
}

static void scale(Field out, const Field f, int32_t factor) {
    int64_t h[10];
    for (int i = 0; i < 10; i++)
        h[i] = (int64_t)f[i] * factor;
    carry(out, h);
}

static void swap(Field f, Field g, uint32_t bit) {
    for (int i = 0; i < 10; i++) {
        uint32_t x = (0 - bit) & ((uint32_t)f[i] ^ (uint32_t)g[i]);
        f[i] = (int32_t)((uint32_t)f[i] ^ x), g[i] = (int32_t)((uint32_t)g[i] ^ x);
    }
}

static void invert(Field out, const Field z) { /* z^(2^255 - 21) */
    Field power;
    memcpy(power, z, sizeof power);
    for (int bit = 253; bit >= 0; bit--) {
        multiply(power, power, power);
        if (bit != 2 && bit != 4)
            multiply(power, power, z);
    }
    memcpy(out, power, sizeof power);
}

static void to_bytes(uint8_t out[32], const Field f) {
    int64_t h[10];
    Field g;
    for (int i = 0; i < 10; i++)
        h[i] = f[i];
    carry(g, h);
    /* How often the modulus fits, by the carry out of the top; then ordinary carries. */
    int32_t q = (19 * g[9] + (1 << 24)) >> 25;
    for (int i = 0; i < 10; i++)
        q = (g[i] + q) >> (i & 1 ? 25 : 26);
    g[0] += 19 * q;
    int position = 0;
    memset(out, 0, 32);
    for (int i = 0; i < 10; i++) {
        int bits = i & 1 ? 25 : 26;
        int32_t over = g[i] >> bits;
        g[i] -= over * (1 << bits);
        if (i < 9)
            g[i + 1] += over;
        for (int bit = 0; bit < bits; bit++, position++)
            out[position >> 3] |= (uint8_t)((g[i] >> bit & 1) << (position & 7));
    }
}

static void from_bytes(Field out, const uint8_t in[32]) {
    int position = 0;
    for (int i = 0; i < 10; i++) {
        out[i] = 0;
        for (int bit = 0; bit < (i & 1 ? 25 : 26); bit++, position++)
            out[i] |= (in[position >> 3] >> (position & 7) & 1) << bit;
    }
}

static void x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]) {
    Field x1, x2 = {1}, z2 = {0}, x3, z3 = {1}, a, b, c, d;
    uint32_t swapped = 0;
    from_bytes(x1, point);
    memcpy(x3, x1, sizeof x3);
    for (int bit = 254; bit >= 0; bit--) {
        uint32_t now = bit == 254 ? 1 : bit < 3 ? 0 : scalar[bit >> 3] >> (bit & 7) & 1;
        swap(x2, x3, swapped ^ now), swap(z2, z3, swapped ^ now);
        swapped = now;
        add(a, x2, z2), subtract(b, x2, z2), add(c, x3, z3), subtract(d, x3, z3);
        multiply(d, d, a), multiply(c, c, b);
        add(x3, d, c), multiply(x3, x3, x3);
        subtract(z3, d, c), multiply(z3, z3, z3), multiply(z3, z3, x1);
        multiply(a, a, a), multiply(b, b, b);
        multiply(x2, a, b);
        subtract(c, a, b), scale(z2, c, 121665), add(z2, z2, a), multiply(z2, z2, c);
    }
    swap(x2, x3, swapped), swap(z2, z3, swapped);
    invert(z2, z2);
    multiply(x2, x2, z2);
    to_bytes(out, x2);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    uint8_t k[32] = {9}, u[32] = {9}, r[32];
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        x25519(r, k, u);
        if (round == 0)
            require(r[0] == 0x42 && r[1] == 0x2c && r[31] == 0x79, "RFC 7748, 5.2");
        memcpy(u, k, 32), memcpy(k, r, 32);
        digest_bytes(&digest, r, 32);
    }
    return digest_print(&digest);
}
