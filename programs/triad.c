/* Memory-dense floating point, after the STREAM benchmark's kernels: copy, scale, add and triad over
 * arrays of f64, a triad of f32 and one of 32-bit integers. Hardly anything but loads and stores. */
#include "common.h"

enum { STANDARD_ROUNDS = 1800, LENGTH = 16000 };

static double a[LENGTH], b[LENGTH], c[LENGTH];
static float p[LENGTH], q[LENGTH], r[LENGTH];
static uint32_t x[LENGTH], y[LENGTH], z[LENGTH];

static void copy(void) {
    for (int i = 0; i < LENGTH; i++)
        c[i] = a[i];
}

static void scale(double k) {
    for (int i = 0; i < LENGTH; i++)
        b[i] = k * c[i];
}

static void add(void) {
    for (int i = 0; i < LENGTH; i++)
        c[i] = a[i] + b[i];
}

static void triad(double k) {
    for (int i = 0; i < LENGTH; i++)
        a[i] = b[i] + k * c[i];
}

static void triad_f32(float k) {
    for (int i = 0; i < LENGTH; i++)
        p[i] = q[i] + k * r[i];
}

static void triad_u32(uint32_t k) {
    for (int i = 0; i < LENGTH; i++)
        x[i] = y[i] + k * z[i];
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {8};
    Digest digest = {0};
    for (int i = 0; i < LENGTH; i++) {
        a[i] = 1 + random_below(&random, 1000);
        q[i] = (float)a[i], r[i] = (float)(i % 100);
        y[i] = (uint32_t)random_u64(&random), z[i] = (uint32_t)i;
    }
    double first = a[7], expected = first;
    while (rounds--) {
        /* a = b + k (a + b) where b = j a, with powers of two: exact, and a stays in range. */
        double j = 0.5, k = rounds & 1 ? 2.0 : -0.25;
        copy();
        scale(j);
        add();
        triad(k);
        expected = j * expected + k * (expected + j * expected);
        triad_f32(0.5f);
        triad_u32(rounds);
        uint32_t at = random_below(&random, LENGTH);
        q[at] = p[at], y[at] ^= x[at];
        digest_f64(&digest, a[at]);
        digest_f32(&digest, p[at]);
        digest_u64(&digest, x[at]);
    }
    require(a[7] == expected, "triad");
    return digest_print(&digest);
}
