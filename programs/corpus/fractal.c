/* The Mandelbrot set in f64, a Julia set in f32, the first by fixed point too; the spectral norm of
 * an infinite matrix's corner. Floating point held in locals. */
#include "../common.h"

enum { STANDARD_ROUNDS = 20, SIZE = 64, LIMIT = 60, CORNER = 60 };

double sqrt(double);

static int mandelbrot(double cr, double ci) {
    double r = 0, i = 0;
    int count = 0;
    while (count < LIMIT) {
        double rr = r * r, ii = i * i;
        if (rr + ii > 4.0)
            break;
        i = 2 * r * i + ci;
        r = rr - ii + cr;
        count++;
    }
    return count;
}

static int mandelbrot_fixed(int64_t cr, int64_t ci) {
    int64_t r = 0, i = 0;
    int count = 0;
    for (; count < LIMIT; count++) {
        int64_t rr = r * r >> 28, ii = i * i >> 28;
        if (rr + ii > (int64_t)4 << 28)
            break;
        i = (r * i >> 27) + ci;
        r = rr - ii + cr;
    }
    return count;
}

static int julia(float r, float i) {
    for (int count = 0; count < LIMIT; count++) {
        float next = r * r - i * i - 0.8f;
        i = 2.0f * r * i + 0.156f;
        r = next;
        if (r * r + i * i > 4.0f)
            return count;
    }
    return LIMIT;
}

static double entry(int i, int j) {
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void multiply(double *out, const double *in, int transposed) {
    for (int i = 0; i < CORNER; i++) {
        double sum = 0;
        for (int j = 0; j < CORNER; j++)
            sum += (transposed ? entry(j, i) : entry(i, j)) * in[j];
        out[i] = sum;
    }
}

static double spectral_norm(void) {
    double u[CORNER], v[CORNER], t[CORNER];
    for (int i = 0; i < CORNER; i++)
        u[i] = 1;
    for (int i = 0; i < 5; i++) {
        multiply(t, u, 0), multiply(v, t, 1);
        multiply(t, v, 0), multiply(u, t, 1);
    }
    double uv = 0, vv = 0;
    for (int i = 0; i < CORNER; i++)
        uv += u[i] * v[i], vv += v[i] * v[i];
    return sqrt(uv / vv);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        double zoom = 1.0 / (1 + round % 16);
        uint32_t row = 0;
        for (int y = 0; y < SIZE; y++) {
            for (int x = 0; x < SIZE; x++) {
                double cr = -0.7 + (x - SIZE / 2) * zoom * 3 / SIZE;
                double ci = 0.1 + (y - SIZE / 2) * zoom * 3 / SIZE;
                row = row * 31 + (uint32_t)mandelbrot(cr, ci);
                row = row * 31 + (uint32_t)julia((float)cr, (float)ci);
                row = row * 31 + (uint32_t)mandelbrot_fixed((int64_t)(cr * (1 << 28)),
                                                            (int64_t)(ci * (1 << 28)));
            }
            digest_u64(&digest, row);
        }
        double norm = spectral_norm();
        require(norm > 1.274 && norm < 1.275, "spectral norm");
        digest_f64(&digest, norm);
    }
    return digest_print(&digest);
}
