/* Image filters on bytes: box blur, Sobel edges, a histogram's equalisation, bilinear scaling in
 * fixed point and in f32, dithering by error diffusion, alpha blending, RGB to YUV. */
#include "../common.h"

enum { STANDARD_ROUNDS = 60, W = 128, H = 96 };

static uint8_t image[H][W], other[H][W], rgb[H][W][3];
static int16_t errors[H + 1][W + 2];

static uint8_t clamp(int value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void blur(void) {
    for (int y = 1; y < H - 1; y++)
        for (int x = 1; x < W - 1; x++) {
            int sum = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    sum += image[y + dy][x + dx];
            other[y][x] = (uint8_t)(sum / 9);
        }
}

static void sobel(void) {
    for (int y = 1; y < H - 1; y++)
        for (int x = 1; x < W - 1; x++) {
            const uint8_t *above = image[y - 1] + x, *here = image[y] + x, *below = image[y + 1] + x;
            int gx = above[1] + 2 * here[1] + below[1] - above[-1] - 2 * here[-1] - below[-1];
            int gy = below[-1] + 2 * below[0] + below[1] - above[-1] - 2 * above[0] - above[1];
            other[y][x] = clamp((gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy));
        }
}

static void equalise(void) {
    uint32_t histogram[256] = {0}, sum = 0;
    uint8_t map[256];
    for (int i = 0; i < W * H; i++)
        histogram[image[i / W][i % W]]++;
    for (int i = 0; i < 256; i++)
        sum += histogram[i], map[i] = (uint8_t)(sum * 255 / (W * H));
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            image[y][x] = map[image[y][x]];
}

static void scale_fixed(int step) {
    for (int y = 0, sy = 0; y < H; y++, sy = (sy + step) % ((H - 1) << 8))
        for (int x = 0, sx = 0; x < W; x++, sx = (sx + step) % ((W - 1) << 8)) {
            const uint8_t *p = &image[sy >> 8][sx >> 8];
            int fx = sx & 255, fy = sy & 255;
            int top = p[0] * (256 - fx) + p[1] * fx, low = p[W] * (256 - fx) + p[W + 1] * fx;
            other[y][x] = (uint8_t)((top * (256 - fy) + low * fy) >> 16);
        }
}

static float scale_float(float step) {
    float total = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            float sx = (float)x * step, sy = (float)y * step;
            int ix = (int)sx, iy = (int)sy;
            float fx = sx - (float)ix, fy = sy - (float)iy;
            const uint8_t *p = &image[iy][ix];
            float top = (float)p[0] + (float)(p[1] - p[0]) * fx;
            float low = (float)p[W] + (float)(p[W + 1] - p[W]) * fx;
            total += top + (low - top) * fy;
        }
    return total;
}

static void dither(void) {
    memset(errors, 0, sizeof errors);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int wanted = other[y][x] + errors[y][x + 1] / 16;
            int got = wanted < 128 ? 0 : 255, error = wanted - got;
            other[y][x] = (uint8_t)got;
            errors[y][x + 2] = (int16_t)(errors[y][x + 2] + error * 7);
            errors[y + 1][x] = (int16_t)(errors[y + 1][x] + error * 3);
            errors[y + 1][x + 1] = (int16_t)(errors[y + 1][x + 1] + error * 5);
            errors[y + 1][x + 2] = (int16_t)(errors[y + 1][x + 2] + error);
        }
}

static void colour(void) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int r = rgb[y][x][0], g = rgb[y][x][1], b = rgb[y][x][2], alpha = other[y][x];
            int luma = (77 * r + 150 * g + 29 * b) >> 8;
            rgb[y][x][1] = clamp(((b - luma) * 144 >> 8) + 128);
            rgb[y][x][2] = clamp(((r - luma) * 183 >> 8) + 128);
            rgb[y][x][0] = (uint8_t)((luma * alpha + r * (255 - alpha)) / 255);
        }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {23};
    Digest digest = {0};
    random_bytes(&random, &rgb[0][0][0], sizeof rgb);
    while (rounds--) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                image[y][x] = clamp((int)random_below(&random, 100) + x + (y * y & 63));
        blur();
        digest_bytes(&digest, &other[0][0], sizeof other);
        equalise();
        sobel();
        digest_bytes(&digest, &other[0][0], sizeof other);
        scale_fixed(100 + (int)random_below(&random, 150));
        digest_f32(&digest, scale_float(0.7f));
        colour();
        dither();
        digest_bytes(&digest, &other[0][0], sizeof other);
        digest_bytes(&digest, &rgb[0][0][0], sizeof rgb);
    }
    return digest_print(&digest);
}
