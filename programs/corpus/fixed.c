/* Integer linear algebra and signals, as embedded code and small neural networks do them: matrices
 * of 8, 16 and 32 bits whose dimensions are known at run time only, a two-layer quantised network,
 * an 8x8 cosine transform with quantisation, running maxima, histograms. */
#include "../common.h"

enum { STANDARD_ROUNDS = 700, MOST = 24, INPUTS = 28, HIDDEN = 36, CLASSES = 10, WAVE = 900 };
enum { WIDTH = 40, HEIGHT = 24 };

static int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

static void multiply16(int32_t *out, const int16_t *a, const int16_t *b, int rows, int inner,
                       int cols) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            int32_t sum = 0;
            for (int k = 0; k < inner; k++)
                sum += (int32_t)a[i * inner + k] * b[k * cols + j];
            out[i * cols + j] = sum;
        }
}

/* Fractions with `point` binary places: sums in 64 bits, rounded once at the end. */
static void multiply32(int32_t *out, const int32_t *a, const int32_t *b, int rows, int inner,
                       int cols, int point) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            int64_t sum = (int64_t)1 << (point - 1);
            for (int k = 0; k < inner; k++)
                sum += (int64_t)a[i * inner + k] * b[k * cols + j];
            out[i * cols + j] = (int32_t)(sum >> point);
        }
}

/* The inner loop runs along rows of `b` and adds to a row of the result. */
static void multiply8(int32_t *out, const int8_t *a, const int8_t *b, int rows, int inner,
                      int cols) {
    memset(out, 0, (size_t)(rows * cols) * sizeof *out);
    for (int i = 0; i < rows; i++, a += inner, out += cols)
        for (int k = 0; k < inner; k++) {
            const int8_t *row = b + k * cols;
            for (int j = 0; j < cols; j++)
                out[j] += a[k] * row[j];
        }
}

static void by_vector(int64_t *out, const int32_t *a, const int16_t *x, int rows, int cols) {
    for (int i = 0; i < rows; i++) {
        out[i] = 0;
        for (int j = 0; j < cols; j++)
            out[i] += (int64_t)a[i * cols + j] * x[j];
    }
}

/* The same with the transposed matrix, which is walked down its columns. */
static void by_vector_down(int64_t *out, const int32_t *a, const int16_t *x, int rows, int cols) {
    for (int j = 0; j < cols; j++) {
        int64_t sum = 0;
        const int32_t *at = a + j;
        for (int i = 0; i < rows; i++, at += cols)
            sum += (int64_t)*at * x[i];
        out[j] = sum;
    }
}

static void add_constant(int16_t *a, int rows, int cols, int16_t constant) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            a[i * cols + j] = (int16_t)(a[i * cols + j] + constant);
}

static void by_constant(int32_t *out, const int16_t *a, int rows, int cols, int16_t constant) {
    for (int i = 0; i < rows * cols; i++)
        out[i] = (int32_t)a[i] * constant;
}

static void transpose8(int8_t *out, const int8_t *a, int rows, int cols) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            out[j * rows + i] = a[i * cols + j];
}

static void transpose16(int16_t *out, const int16_t *a, int rows, int cols) {
    for (int j = 0; j < cols; j++)
        for (int i = 0; i < rows; i++)
            *out++ = a[i * cols + j];
}

static void transpose32(int32_t *out, const int32_t *a, int rows, int cols) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            out[j * rows + i] = a[i * cols + j];
}

/* One fully connected layer: sums in 32 bits, scaled back to 8 bits by a product and a shift. */
static void layer(int8_t *out, const int8_t *in, const int8_t *weights, const int32_t *bias,
                  int outs, int ins, int32_t scale, int shift, int least) {
    for (int i = 0; i < outs; i++) {
        int32_t sum = bias[i];
        for (int j = 0; j < ins; j++)
            sum += (in[j] + 3) * weights[i * ins + j];
        int64_t scaled = ((int64_t)sum * scale + ((int64_t)1 << (shift - 1))) >> shift;
        out[i] = (int8_t)clamp((int)scaled, least, 127);
    }
}

static int greatest(const int8_t *values, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* Halves of the cosines of multiples of a sixteenth of pi, with 12 binary places. */
enum { C1 = 2009, C2 = 1892, C3 = 1703, C4 = 1448, C5 = 1138, C6 = 784, C7 = 400 };

static int32_t rounded(int32_t value) {
    return (value + 2048) >> 12;
}

static void cosine(int32_t *at, int step) {
    int32_t s[4], d[4];
    for (int i = 0; i < 4; i++) {
        s[i] = at[i * step] + at[(7 - i) * step];
        d[i] = at[i * step] - at[(7 - i) * step];
    }
    at[0] = rounded(C4 * (s[0] + s[1] + s[2] + s[3]));
    at[step] = rounded(C1 * d[0] + C3 * d[1] + C5 * d[2] + C7 * d[3]);
    at[2 * step] = rounded(C2 * (s[0] - s[3]) + C6 * (s[1] - s[2]));
    at[3 * step] = rounded(C3 * d[0] - C7 * d[1] - C1 * d[2] - C5 * d[3]);
    at[4 * step] = rounded(C4 * (s[0] - s[1] - s[2] + s[3]));
    at[5 * step] = rounded(C5 * d[0] - C1 * d[1] + C7 * d[2] + C3 * d[3]);
    at[6 * step] = rounded(C6 * (s[0] - s[3]) - C2 * (s[1] - s[2]));
    at[7 * step] = rounded(C7 * d[0] - C5 * d[1] + C3 * d[2] - C1 * d[3]);
}

static void cosine_back(int32_t *at, int step) {
    int32_t x1 = at[step], x3 = at[3 * step], x5 = at[5 * step], x7 = at[7 * step];
    int32_t sum = C4 * (at[0] + at[4 * step]), rest = C4 * (at[0] - at[4 * step]);
    int32_t wide = C2 * at[2 * step] + C6 * at[6 * step];
    int32_t narrow = C6 * at[2 * step] - C2 * at[6 * step];
    int32_t even[4] = {sum + wide, rest + narrow, rest - narrow, sum - wide};
    int32_t odd[4] = {C1 * x1 + C3 * x3 + C5 * x5 + C7 * x7, C3 * x1 - C7 * x3 - C1 * x5 - C5 * x7,
                      C5 * x1 - C1 * x3 + C7 * x5 + C3 * x7, C7 * x1 - C5 * x3 + C3 * x5 - C1 * x7};
    for (int i = 0; i < 4; i++) {
        at[i * step] = rounded(even[i] + odd[i]);
        at[(7 - i) * step] = rounded(even[i] - odd[i]);
    }
}

static uint8_t zigzag[64];

/* Along the diagonals of an 8x8 block, up and down in turn. */
static void lay_zigzag(void) {
    int count = 0;
    for (int diagonal = 0; diagonal < 15; diagonal++)
        for (int i = 0; i <= diagonal; i++) {
            int row = diagonal & 1 ? i : diagonal - i, col = diagonal - row;
            if (row < 8 && col < 8)
                zigzag[count++] = (uint8_t)(row * 8 + col);
        }
    require(count == 64, "zigzag");
}

/* Transforms, quantises and restores a block of an image in place. Returns the largest error. */
static int recode(uint8_t *image, int stride, int coarse, Digest *digest) {
    int32_t block[64];
    int16_t coded[64];
    int worst = 0, last = 0;
    for (int i = 0; i < 64; i++)
        block[i] = (image[(i >> 3) * stride + (i & 7)] - 128) * 8;
    for (int i = 0; i < 8; i++)
        cosine(block + 8 * i, 1);
    for (int i = 0; i < 8; i++)
        cosine(block + i, 8);
    for (int i = 0; i < 64; i++) {
        int32_t step = 1 + coarse * (i + 8) / 8, inverse = 8192 / step;
        coded[i] = (int16_t)((block[zigzag[i]] * inverse + 32768) >> 16);
        last = coded[i] != 0 ? i : last;
        block[zigzag[i]] = coded[i] * step * 8;
    }
    digest_u64(digest, (uint32_t)last << 16 | (uint16_t)coded[last >> 1]);
    for (int i = 0; i < 8; i++)
        cosine_back(block + i, 8);
    for (int i = 0; i < 8; i++)
        cosine_back(block + 8 * i, 1);
    for (int i = 0; i < 64; i++) {
        uint8_t *pixel = image + (i >> 3) * stride + (i & 7);
        int value = clamp(((block[i] + 4) >> 3) + 128, 0, 255);
        int error = value > *pixel ? value - *pixel : *pixel - value;
        worst = error > worst ? error : worst;
        *pixel = (uint8_t)value;
    }
    return worst;
}

/* Spreads the grey levels of an image evenly. */
static void equalise(uint8_t *image, int width, int height) {
    uint32_t counts[256] = {0}, total = 0, size = (uint32_t)(width * height);
    uint8_t levels[256];
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            counts[image[y * width + x]]++;
    for (int i = 0; i < 256; i++) {
        total += counts[i];
        levels[i] = (uint8_t)((total * 255 + size / 2) / size);
        require(i == 0 || levels[i] >= levels[i - 1], "levels in order");
    }
    require(total == size, "histogram");
    for (uint32_t i = 0; i < size; i++)
        image[i] = levels[image[i]];
}

/* Follows the peaks of a signal with a maximum that fades, and clips at three quarters of it. */
static int clip(int16_t *wave, int count, int fade) {
    int32_t peak = 256, clipped = 0, highest = INT16_MIN, records = 0;
    for (int i = 0; i < count; i++) {
        int32_t value = wave[i], size = value < 0 ? -value : value;
        peak -= peak >> fade;
        peak = size > peak ? size : peak;
        int32_t limit = (peak >> 1) + (peak >> 2);
        wave[i] = (int16_t)clamp(value, -limit, limit);
        clipped += wave[i] != value;
        if (value > highest)
            highest = value, records++;
    }
    return clipped * 64 + records;
}

int main(int argc, char **argv) {
    static int8_t a8[MOST * MOST], b8[MOST * MOST], c8[MOST * MOST], d8[MOST * MOST];
    static int16_t a16[MOST * MOST], b16[MOST * MOST], c16[MOST * MOST], x16[MOST];
    static int32_t a32[MOST * MOST], b32[MOST * MOST], c32[MOST * MOST], d32[MOST * MOST];
    static int64_t v[MOST], w[MOST];
    static int8_t weights1[HIDDEN * INPUTS], weights2[CLASSES * HIDDEN];
    static int32_t bias1[HIDDEN], bias2[CLASSES];
    static int16_t wave[WAVE];
    static uint8_t image[WIDTH * HEIGHT];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {71};
    Digest digest = {0};
    lay_zigzag();
    random_bytes(&random, (uint8_t *)weights1, sizeof weights1);
    random_bytes(&random, (uint8_t *)weights2, sizeof weights2);
    for (int i = 0; i < HIDDEN; i++)
        bias1[i] = (int32_t)random_below(&random, 8000) - 4000;
    for (int i = 0; i < CLASSES; i++)
        bias2[i] = (int32_t)random_below(&random, 8000) - 4000;
    for (uint32_t round = 0; round < rounds; round++) {
        int rows = 10 + (int)random_below(&random, 7), inner = 10 + (int)random_below(&random, 7);
        int cols = 10 + (int)random_below(&random, 7), most = MOST * MOST;
        for (int i = 0; i < most; i++) {
            uint64_t bits = random_u64(&random);
            a8[i] = (int8_t)bits, b8[i] = (int8_t)(bits >> 8);
            a16[i] = (int16_t)((int16_t)(bits >> 16) >> 2);
            b16[i] = (int16_t)((int16_t)(bits >> 32) >> 3);
            a32[i] = (int32_t)(bits >> 20) >> 9, b32[i] = (int32_t)(bits >> 32) >> 9;
        }
        for (int i = 0; i < MOST; i++)
            x16[i] = (int16_t)(a16[i] ^ b16[MOST + i]);

        /* Products in all widths, one of them once more transposed: (ab)' = b'a'. */
        multiply8(c32, a8, b8, rows, inner, cols);
        transpose8(c8, a8, rows, inner);
        transpose8(d8, b8, inner, cols);
        multiply8(d32, d8, c8, cols, inner, rows);
        for (int i = 0; i < rows; i++)
            require(c32[i * cols + i % cols] == d32[i % cols * rows + i], "transposed product");
        digest_u64(&digest, (uint32_t)c32[random_below(&random, (uint32_t)(rows * cols))]);
        multiply16(c32, a16, b16, rows, inner, cols);
        add_constant(a16, rows, inner, (int16_t)round);
        multiply16(d32, a16, b16, rows, inner, cols);
        add_constant(a16, rows, inner, (int16_t)-round);
        for (int i = 0; i < rows * cols; i += 9)
            digest_u64(&digest, (uint64_t)(uint32_t)c32[i] << 32 | (uint32_t)d32[i]);
        multiply32(c32, a32, b32, rows, inner, cols, 20);
        digest_u64(&digest, (uint32_t)c32[rows * cols / 2]);

        /* Element by element, and by a vector that changes on the way. */
        for (int step = 0; step < 8; step++) {
            add_constant(a16, rows, cols, (int16_t)(step * 3 - 8));
            by_constant(a32, a16, rows, cols, (int16_t)(round % 200 - 100));
            by_vector(v, a32, x16, rows, cols);
            transpose32(d32, a32, rows, cols);
            by_vector_down(w, d32, x16, cols, rows);
            require(memcmp(v, w, (size_t)rows * sizeof *v) == 0, "by a vector, along and down");
            digest_u64(&digest, (uint64_t)v[step] ^ (uint32_t)d32[step]);
            transpose16(c16, a16, rows, cols);
            transpose16(a16, c16, cols, rows);
            x16[step] = (int16_t)(v[rows - 1] >> 12);
        }
        for (int i = 0; i < 6; i++) {
            int8_t hidden[HIDDEN], out[CLASSES];
            layer(hidden, a8 + i * INPUTS, weights1, bias1, HIDDEN, INPUTS, 1518500250, 39, 0);
            layer(out, hidden, weights2, bias2, CLASSES, HIDDEN, 1840700270, 38, -128);
            digest_u64(&digest, (uint32_t)greatest(out, CLASSES) << 8 | (uint8_t)out[i]);
        }

        for (int y = 0, i = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++, i++)
                image[i] = (uint8_t)clamp(60 + x * 2 + y + (b8[i % most] >> 2), 0, 255);
        equalise(image, WIDTH, HEIGHT);
        for (int y = 0; y + 8 <= HEIGHT; y += 8)
            for (int x = 0; x + 8 <= WIDTH; x += 8) {
                int coarse = (int)(round % 4) * 2;
                int error = recode(image + y * WIDTH + x, WIDTH, coarse, &digest);
                require(coarse > 0 || error <= 4, "cosine transform there and back");
            }
        equalise(image, WIDTH, HEIGHT);
        digest_bytes(&digest, image + round % WIDTH * 8, 96);

        for (int i = 0, level = 0; i < WAVE; i++) {
            level += a16[i % most] - (level >> 3);
            wave[i] = (int16_t)clamp(level, INT16_MIN, INT16_MAX);
        }
        for (int fade = 4; fade < 10; fade += 3)
            digest_u64(&digest, (uint32_t)clip(wave, WAVE, fade));
        for (int i = 0; i < WAVE; i += 60)
            digest_u64(&digest, (uint16_t)wave[i]);
    }
    return digest_print(&digest);
}
