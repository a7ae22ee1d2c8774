/* Fast Fourier transforms in f64 and f32, forth and back. Strided floating point. */
#include "../common.h"

enum { STANDARD_ROUNDS = 150, LOG = 11, POINTS = 1 << LOG };

double sqrt(double);

#define DEFINE_FFT(TYPE)                                                                          \
    typedef struct {                                                                              \
        TYPE re, im;                                                                              \
    } Complex_##TYPE;                                                                             \
    static Complex_##TYPE roots_##TYPE[POINTS / 2], data_##TYPE[POINTS];                          \
    static void fft_##TYPE(Complex_##TYPE *x, int inverse) {                                      \
        for (unsigned i = 0, j = 0; i < POINTS; i++) {                                            \
            if (i < j) {                                                                          \
                Complex_##TYPE swap = x[i];                                                       \
                x[i] = x[j], x[j] = swap;                                                         \
            }                                                                                     \
            unsigned bit = POINTS >> 1;                                                           \
            for (; j & bit; bit >>= 1)                                                            \
                j ^= bit;                                                                         \
            j |= bit;                                                                             \
        }                                                                                         \
        for (unsigned half = 1; half < POINTS; half <<= 1) {                                      \
            unsigned step = POINTS / 2 / half;                                                    \
            for (unsigned base = 0; base < POINTS; base += 2 * half)                              \
                for (unsigned k = 0; k < half; k++) {                                             \
                    Complex_##TYPE w = roots_##TYPE[k * step];                                    \
                    TYPE wi = inverse ? -w.im : w.im;                                             \
                    Complex_##TYPE *a = x + base + k, *b = a + half;                              \
                    TYPE re = b->re * w.re - b->im * wi, im = b->re * wi + b->im * w.re;          \
                    b->re = a->re - re, b->im = a->im - im;                                       \
                    a->re += re, a->im += im;                                                     \
                }                                                                                 \
        }                                                                                         \
    }

DEFINE_FFT(double)
DEFINE_FFT(float)

/* Roots of unity by halving angles, since sine and cosine do not round alike everywhere. */
static void make_roots(void) {
    Complex_double power[LOG];
    double re = -1, im = 0;
    for (int k = 0; k < LOG; k++) {
        power[LOG - 1 - k] = (Complex_double){re, im};
        double next = sqrt((1 + re) / 2);
        im = k == 0 ? -1 : -sqrt((1 - re) / 2);
        re = k == 0 ? 0 : next;
    }
    for (unsigned i = 0; i < POINTS / 2; i++) {
        Complex_double root = {1, 0};
        for (unsigned bit = 0; bit < LOG - 1; bit++)
            if (i >> bit & 1) {
                Complex_double p = power[bit];
                root = (Complex_double){root.re * p.re - root.im * p.im,
                                        root.re * p.im + root.im * p.re};
            }
        roots_double[i] = root;
        roots_float[i] = (Complex_float){(float)root.re, (float)root.im};
    }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {16};
    Digest digest = {0};
    make_roots();
    while (rounds--) {
        for (int i = 0; i < POINTS; i++) {
            data_double[i] = (Complex_double){(double)random_below(&random, 2000) - 1000, 0};
            data_float[i] = (Complex_float){(float)data_double[i].re, 1};
        }
        double first = data_double[1].re;
        fft_double(data_double, 0);
        fft_float(data_float, 0);
        for (int i = 0; i < POINTS; i += 37) {
            digest_f64(&digest, data_double[i].re);
            digest_f32(&digest, data_float[i].im);
        }
        fft_double(data_double, 1);
        fft_float(data_float, 1);
        double error = data_double[1].re / POINTS - first;
        require(error < 1e-6 && error > -1e-6, "there and back");
        digest_f32(&digest, data_float[3].re);
    }
    return digest_print(&digest);
}
