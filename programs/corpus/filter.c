/* Signals and matrices in 16-bit integers, as small processors do them: products and sums with
 * rounding and saturation, a filter with memory, a codec of 4 bits a sample, fields out of words. */
#include "../common.h"

enum { STANDARD_ROUNDS = 500, SAMPLES = 1500, TAPS = 24, SIDE = 18 };

static int16_t signal[SAMPLES + TAPS], filtered[SAMPLES], decoded[SAMPLES];
static int16_t taps[TAPS], left[SIDE * SIDE], right[SIDE * SIDE];
static int32_t product[SIDE * SIDE];
static uint8_t nibbles[SAMPLES];

static int16_t saturate(int32_t value) {
    return (int16_t)(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
}

static void convolve(void) {
    for (int i = 0; i < SAMPLES; i++) {
        int32_t sum = 1 << 14;
        for (int j = 0; j < TAPS; j++)
            sum += (signal[i + j] * taps[j]) >> 4;
        filtered[i] = saturate(sum >> 11);
    }
}

static void recur(int16_t a1, int16_t a2, int16_t b) {
    int32_t y1 = 0, y2 = 0;
    for (int i = 0; i < SAMPLES; i++) {
        int32_t y = (filtered[i] * b + (int32_t)((int64_t)a1 * y1 >> 1) - a2 * (y2 >> 2)) >> 14;
        y2 = y1;
        y1 = saturate(y);
        filtered[i] = (int16_t)y1;
    }
}

/* Differences in steps that grow and shrink with what they have to follow. */
static void encode(void) {
    int32_t guess = 0, step = 16;
    for (int i = 0; i < SAMPLES; i++) {
        int32_t difference = filtered[i] - guess, code = 0;
        if (difference < 0) {
            code = 8;
            difference = -difference;
        }
        if (difference >= step) {
            code |= 4;
            difference -= step;
        }
        if (difference >= step >> 1) {
            code |= 2;
            difference -= step >> 1;
        }
        if (difference >= step >> 2)
            code |= 1;
        nibbles[i] = (uint8_t)code;
        int32_t change = step >> 3;
        change += (code & 4 ? step : 0) + (code & 2 ? step >> 1 : 0) + (code & 1 ? step >> 2 : 0);
        guess = saturate(code & 8 ? guess - change : guess + change);
        step = code & 4 ? step + (step >> 1) : step - (step >> 3);
        step = step < 16 ? 16 : step > 16000 ? 16000 : step;
        decoded[i] = (int16_t)guess;
    }
}

static void multiply(int cut) {
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++) {
                int32_t term = left[i * SIDE + k] * right[k * SIDE + j];
                sum += cut ? (term >> 3 & 0x1f) * (term >> 7 & 0x3ff) : term;
            }
            product[i * SIDE + j] = sum;
        }
}

static void change(int16_t by) {
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            left[i * SIDE + j] = (int16_t)(left[i * SIDE + j] + by);
}

/* A running maximum that starts again when the sum has become large. */
static int32_t peaks(int32_t limit) {
    int32_t sum = 0, last = 0, count = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        int32_t now = product[i];
        sum += now >> 8;
        if (sum > limit) {
            count += 10;
            sum = 0;
        } else {
            count += now > last;
        }
        last = now;
    }
    return count;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {40};
    Digest digest = {0};
    for (int i = 0; i < SAMPLES + TAPS; i++)
        signal[i] = (int16_t)random_u64(&random);
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < TAPS; i++)
            taps[i] = (int16_t)(random_below(&random, 4096) - 2048);
        for (int i = 0; i < SIDE * SIDE; i++) {
            left[i] = (int16_t)(i * 7 + (int)round);
            right[i] = (int16_t)random_below(&random, 512);
        }
        convolve();
        recur(9000, 5000, 11000);
        encode();
        for (int i = 0; i < SAMPLES; i += 50)
            digest_u64(&digest, (uint64_t)(uint16_t)decoded[i] << 16 | (uint16_t)filtered[i]);
        for (int cut = 0; cut < 2; cut++) {
            multiply(cut);
            digest_u64(&digest, (uint32_t)peaks(3000 + (int32_t)round));
            change((int16_t)(cut ? -5 : 5));
            for (int i = 0; i < SIDE * SIDE; i += 11)
                digest_u64(&digest, (uint32_t)product[i]);
        }
    }
    return digest_print(&digest);
}
