/* Geometry in f32 and in integers: points through matrices, clipped and drawn as triangles with depths,
 * lines, circles, polygons, a hull, boxes in a tree met by rays, noise and a landscape walked by rays. */
#include "../common.h"

enum { STANDARD_ROUNDS = 165, WIDTH = 96, HEIGHT = 64, TRIANGLES = 90, POINTS = 150, CORNERS = 11,
       SEGMENTS = 60, BOXES = 128, GRID = 8, RAYS = 60 };

float sqrtf(float);

typedef struct {
    float x, y, z, w;
} Vector;

typedef struct {
    int32_t x, y;
} Point;

typedef struct {
    uint8_t pixels[HEIGHT][WIDTH];
    float depths[HEIGHT][WIDTH];
    uint32_t drawn;
} Canvas;

static float uniform(Random *random, float low, float high) {
    return low + (high - low) * ((float)(random_u64(random) >> 40) * 0x1p-24f);
}

static Point random_point(Random *random, uint32_t width, uint32_t height) {
    Point point;
    point.x = (int32_t)random_below(random, width);
    point.y = (int32_t)random_below(random, height);
    return point;
}

/* Matrices by rows. */
static void product(float out[16], const float a[16], const float b[16]) {
    for (int row = 0; row < 4; row++)
        for (int col = 0; col < 4; col++) {
            float sum = 0;
            for (int k = 0; k < 4; k++)
                sum += a[4 * row + k] * b[4 * k + col];
            out[4 * row + col] = sum;
        }
}

static Vector transform(const float m[16], const Vector *v) {
    return (Vector){m[0] * v->x + m[1] * v->y + m[2] * v->z + m[3] * v->w,
                    m[4] * v->x + m[5] * v->y + m[6] * v->z + m[7] * v->w,
                    m[8] * v->x + m[9] * v->y + m[10] * v->z + m[11] * v->w,
                    m[12] * v->x + m[13] * v->y + m[14] * v->z + m[15] * v->w};
}

/* A rotation about two axes by angles whose half tangents are given, before a camera. */
static void camera(float out[16], float tan1, float tan2) {
    float c1 = (1 - tan1 * tan1) / (1 + tan1 * tan1), s1 = 2 * tan1 / (1 + tan1 * tan1);
    float c2 = (1 - tan2 * tan2) / (1 + tan2 * tan2), s2 = 2 * tan2 / (1 + tan2 * tan2);
    float turn[16] = {c1, 0, s1, 0, 0, 1, 0, 0, -s1, 0, c1, 0, 0, 0, 0, 1};
    float tilt[16] = {1, 0, 0, 0, 0, c2, -s2, 0, 0, s2, c2, 2.5f, 0, 0, 0, 1};
    float view[16] = {1.2f, 0, 0, 0, 0, 1.8f, 0, 0, 0, 0, 1.05f, -0.2f, 0, 0, 1, 0}, both[16];
    product(both, tilt, turn);
    product(out, view, both);
}

/* How far a corner is inside one of the six planes of the view. */
static float inside(const Vector *v, int plane) {
    switch (plane) {
    case 0: return v->w + v->x;
    case 1: return v->w - v->x;
    case 2: return v->w + v->y;
    case 3: return v->w - v->y;
    case 4: return v->z;
    default: return v->w - v->z;
    }
}

static int clip(Vector *corners, int len) {
    Vector copy[12];
    for (int plane = 0; plane < 6 && len > 0; plane++) {
        int kept = 0;
        for (int i = 0; i < len; i++) {
            const Vector *a = &corners[i], *b = &corners[i + 1 < len ? i + 1 : 0];
            float from = inside(a, plane), to = inside(b, plane);
            if (from >= 0)
                copy[kept++] = *a;
            if ((from >= 0) == (to >= 0))
                continue;
            float t = from / (from - to);
            copy[kept++] = (Vector){a->x + t * (b->x - a->x), a->y + t * (b->y - a->y),
                                    a->z + t * (b->z - a->z), a->w + t * (b->w - a->w)};
        }
        memcpy(corners, copy, (size_t)kept * sizeof *copy);
        len = kept;
    }
    return len;
}

/* Edge functions on sixteenths of pixels, stepped by additions. */
static void fill_triangle(Canvas *canvas, const Vector *a, const Vector *b, const Vector *c, uint8_t shade) {
    int32_t ax = (int32_t)(a->x * 16), ay = (int32_t)(a->y * 16), bx = (int32_t)(b->x * 16);
    int32_t by = (int32_t)(b->y * 16), cx = (int32_t)(c->x * 16), cy = (int32_t)(c->y * 16);
    int32_t area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
    if (area == 0)
        return;
    if (area < 0) {
        const Vector *swap = b;
        int32_t x = bx, y = by;
        b = c, bx = cx, by = cy, c = swap, cx = x, cy = y, area = -area;
    }
    int32_t left = ax < bx ? ax : bx, right = ax > bx ? ax : bx;
    int32_t top = ay < by ? ay : by, low = ay > by ? ay : by;
    left = (left < cx ? left : cx) >> 4, right = (right > cx ? right : cx) >> 4;
    top = (top < cy ? top : cy) >> 4, low = (low > cy ? low : cy) >> 4;
    right = right < WIDTH ? right : WIDTH - 1, low = low < HEIGHT ? low : HEIGHT - 1;
    int32_t px = left * 16 + 8, py = top * 16 + 8;
    int32_t row1 = (cx - bx) * (py - by) - (cy - by) * (px - bx);
    int32_t row2 = (ax - cx) * (py - cy) - (ay - cy) * (px - cx);
    int32_t row3 = (bx - ax) * (py - ay) - (by - ay) * (px - ax);
    float scale = 1 / (float)area;
    for (int32_t y = top; y <= low; y++) {
        int32_t e1 = row1, e2 = row2, e3 = row3;
        for (int32_t x = left; x <= right; x++) {
            if ((e1 | e2 | e3) >= 0) {
                float depth = ((float)e1 * a->z + (float)e2 * b->z + (float)e3 * c->z) * scale;
                if (depth < canvas->depths[y][x])
                    canvas->depths[y][x] = depth, canvas->pixels[y][x] = shade, canvas->drawn++;
            }
            e1 -= (cy - by) * 16, e2 -= (ay - cy) * 16, e3 -= (by - ay) * 16;
        }
        row1 += (cx - bx) * 16, row2 += (ax - cx) * 16, row3 += (bx - ax) * 16;
    }
}

static void scene(Canvas *canvas, Random *random) {
    float matrix[16];
    float tan1 = uniform(random, -1, 1);
    camera(matrix, tan1, uniform(random, -1, 1));
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        canvas->depths[i / WIDTH][i % WIDTH] = 2;
    for (int i = 0; i < TRIANGLES; i++) {
        Vector corners[12];
        float x = uniform(random, -2, 2), y = uniform(random, -2, 2), z = uniform(random, -2, 2);
        for (int k = 0; k < 3; k++) {
            Vector corner = {x, y, z, 1};
            corner.x += uniform(random, -1, 1), corner.y += uniform(random, -1, 1);
            corners[k] = transform(matrix, &corner);
        }
        int len = clip(corners, 3);
        for (int k = 0; k < len; k++) {
            Vector *v = &corners[k];
            float inverse = v->w > 0.01f ? 1 / v->w : 100;
            float across = v->x * inverse, down = v->y * inverse;
            across = across < -1 ? -1 : across > 1 ? 1 : across, down = down < -1 ? -1 : down > 1 ? 1 : down;
            *v = (Vector){(across + 1) * (WIDTH / 2), (down + 1) * (HEIGHT / 2), v->z * inverse, 1};
        }
        for (int k = 2; k < len; k++)
            fill_triangle(canvas, &corners[0], &corners[k - 1], &corners[k], (uint8_t)(i * 5 + 1));
    }
}

static void plot(Canvas *canvas, int32_t x, int32_t y, uint8_t shade) {
    if ((uint32_t)x < WIDTH && (uint32_t)y < HEIGHT)
        canvas->pixels[y][x] ^= shade, canvas->drawn++;
}

static int line(Canvas *canvas, Point from, Point to, uint8_t shade) {
    int32_t dx = to.x > from.x ? to.x - from.x : from.x - to.x, sx = to.x > from.x ? 1 : -1;
    int32_t dy = to.y > from.y ? from.y - to.y : to.y - from.y, sy = to.y > from.y ? 1 : -1;
    int32_t error = dx + dy, steps = 0;
    for (;; steps++) {
        plot(canvas, from.x, from.y, shade);
        if (from.x == to.x && from.y == to.y)
            return steps;
        int32_t twice = 2 * error;
        if (twice >= dy)
            error += dy, from.x += sx;
        if (twice <= dx)
            error += dx, from.y += sy;
    }
}

static void circle(Canvas *canvas, Point at, int32_t radius, uint8_t shade) {
    for (int32_t x = radius, y = 0, error = 1 - radius; x >= y; y++) {
        for (int i = 0; i < 8; i++) {
            int32_t a = i & 4 ? x : y, b = i & 4 ? y : x;
            plot(canvas, at.x + (i & 1 ? -a : a), at.y + (i & 2 ? -b : b), shade);
        }
        if (error >= 0)
            x--, error -= 2 * x;
        error += 2 * y + 3;
    }
}

/* Whether the point is inside by the number of edges right of it. */
static int encloses(const Point *corners, int len, Point point) {
    int odd = 0;
    for (int i = 0, j = len - 1; i < len; j = i++) {
        const Point *a = &corners[i], *b = &corners[j];
        if ((a->y > point.y) == (b->y > point.y))
            continue;
        int32_t side = (b->x - a->x) * (point.y - a->y) - (point.x - a->x) * (b->y - a->y);
        odd ^= side != 0 && (side > 0) == (b->y > a->y);
    }
    return odd;
}

static int32_t ceiling(int32_t a, int32_t b) {
    return a > 0 ? (a + b - 1) / b : -(-a / b);
}

/* Line by line: where the edges cross it, sorted, then from every other one to the next. */
static uint32_t fill_polygon(Canvas *canvas, const Point *corners, int len, uint8_t shade) {
    int32_t crossings[CORNERS];
    uint32_t filled = 0;
    for (int32_t y = 0; y < HEIGHT; y++) {
        int count = 0;
        for (int i = 0, j = len - 1; i < len; j = i++) {
            Point a = corners[i], b = corners[j];
            if ((a.y > y) == (b.y > y))
                continue;
            if (a.y > b.y)
                a = corners[j], b = corners[i];
            int32_t x = a.x + ceiling((b.x - a.x) * (y - a.y), b.y - a.y), at = count++;
            for (; at > 0 && crossings[at - 1] > x; at--)
                crossings[at] = crossings[at - 1];
            crossings[at] = x;
        }
        for (int i = 0; i + 1 < count; i += 2)
            for (int32_t x = crossings[i]; x < crossings[i + 1]; x++)
                canvas->pixels[y][x] ^= shade, filled++;
    }
    return filled;
}

static int64_t cross(const Point *o, const Point *a, const Point *b) {
    return (int64_t)(a->x - o->x) * (b->y - o->y) - (int64_t)(a->y - o->y) * (b->x - o->x);
}

static int compare_points(const void *left, const void *right) {
    const Point *a = left, *b = right;
    return a->x != b->x ? (a->x > b->x) - (a->x < b->x) : (a->y > b->y) - (a->y < b->y);
}

static int hull(Point *points, int len, Point *out) {
    int count = 0;
    qsort(points, (size_t)len, sizeof *points, compare_points);
    for (int i = 0; i < len; out[count++] = points[i++])
        while (count > 1 && cross(&out[count - 2], &out[count - 1], &points[i]) <= 0)
            count--;
    for (int i = len - 2, lower = count + 1; i >= 0; out[count++] = points[i--])
        while (count >= lower && cross(&out[count - 2], &out[count - 1], &points[i]) <= 0)
            count--;
    return count - 1;
}

static void points_and_polygons(Canvas *canvas, Random *random, Digest *digest) {
    static uint8_t before[HEIGHT][WIDTH];
    Point points[POINTS], around[POINTS + 1], corners[CORNERS], ends[SEGMENTS][2];
    for (int i = 0; i < CORNERS; i++)
        corners[i] = random_point(random, WIDTH, HEIGHT);
    memcpy(before, canvas->pixels, sizeof before);
    uint32_t filled = fill_polygon(canvas, corners, CORNERS, 0x55), counted = 0, met = 0;
    for (int32_t y = 1; y < HEIGHT; y += 7)
        for (int32_t x = 1; x < WIDTH; x += 3) {
            int within = encloses(corners, CORNERS, (Point){x, y});
            require(within == (before[y][x] != canvas->pixels[y][x]), "what is inside was filled");
            counted += (uint32_t)within;
        }
    for (int i = 0; i < POINTS; i++)
        points[i] = random_point(random, 20000, 20000);
    int count = hull(points, POINTS, around);
    int64_t area = 0;
    for (int i = 0; i < count; i++)
        area += cross(&points[0], &around[i], &around[i + 1]);
    for (int i = 0; i < POINTS; i += 10)
        for (int k = 0; k < count; k++)
            require(cross(&around[k], &around[k + 1], &points[i]) >= 0, "the hull is around all");
    for (int i = 0; i < SEGMENTS; i++) {
        Point *a = ends[i];
        a[0] = random_point(random, 1000, 1000), a[1] = random_point(random, 1000, 1000);
        for (int k = 0; k < i; k++) {
            const Point *b = ends[k];
            met += (cross(&a[0], &a[1], &b[0]) > 0) != (cross(&a[0], &a[1], &b[1]) > 0)
                   && (cross(&b[0], &b[1], &a[0]) > 0) != (cross(&b[0], &b[1], &a[1]) > 0);
        }
    }
    digest_u64(digest, (uint64_t)filled << 40 | counted << 20 | met);
    digest_u64(digest, (uint64_t)area << 8 | (uint32_t)count);
}

/* Boxes in a tree of boxes. Leaves have a count; the right child is at `first`, the left one next. */
typedef struct {
    float low[3], high[3];
} Box;

typedef struct {
    Box box;
    uint16_t first, count;
} Node;

static void extend(Box *box, const Box *by) {
    for (int axis = 0; axis < 3; axis++) {
        box->low[axis] = by->low[axis] < box->low[axis] ? by->low[axis] : box->low[axis];
        box->high[axis] = by->high[axis] > box->high[axis] ? by->high[axis] : box->high[axis];
    }
}

static uint32_t grow(Node *nodes, uint32_t used, Box *boxes, uint32_t first, uint32_t count) {
    Node *node = &nodes[used++];
    *node = (Node){boxes[first], (uint16_t)first, (uint16_t)count};
    for (uint32_t i = 1; i < count; i++)
        extend(&node->box, &boxes[first + i]);
    if (count <= 2)
        return used;
    int axis = 0;
    for (int other = 1; other < 3; other++)
        if (node->box.high[other] - node->box.low[other] > node->box.high[axis] - node->box.low[axis])
            axis = other;
    float middle = (node->box.low[axis] + node->box.high[axis]) / 2;
    uint32_t left = first, right = first + count;
    while (left < right)
        if (boxes[left].low[axis] + boxes[left].high[axis] < 2 * middle) {
            left++;
        } else {
            Box swap = boxes[--right];
            boxes[right] = boxes[left], boxes[left] = swap;
        }
    if (left == first || left == first + count)
        left = first + count / 2;
    used = grow(nodes, used, boxes, first, left - first);
    node->first = (uint16_t)used, node->count = 0;
    return grow(nodes, used, boxes, left, first + count - left);
}

/* Where the ray enters the box, or a negative number. */
static float entry(const Box *box, const float *from, const float *inverse, float nearest) {
    float enter = 0, leave = nearest;
    for (int axis = 0; axis < 3; axis++) {
        float a = (box->low[axis] - from[axis]) * inverse[axis];
        float b = (box->high[axis] - from[axis]) * inverse[axis];
        enter = (a < b ? a : b) > enter ? (a < b ? a : b) : enter;
        leave = (a < b ? b : a) < leave ? (a < b ? b : a) : leave;
    }
    return enter <= leave ? enter : -1;
}

static void boxes_and_rays(Random *random, Digest *digest) {
    static Box boxes[BOXES];
    static Node nodes[2 * BOXES];
    uint32_t visited = 0;
    for (int i = 0; i < BOXES; i++)
        for (int axis = 0; axis < 3; axis++) {
            boxes[i].low[axis] = uniform(random, 0, 10);
            boxes[i].high[axis] = boxes[i].low[axis] + uniform(random, 0.1f, 1);
        }
    require(grow(nodes, 0, boxes, 0, BOXES) < 2 * BOXES, "a tree");
    for (int ray = 0; ray < RAYS; ray++) {
        float from[3], inverse[3], nearest = 1000, checked = 1000;
        uint32_t stack[64], top = 0;
        for (int axis = 0; axis < 3; axis++) {
            from[axis] = axis == 0 ? -1 : uniform(random, 0, 10);
            inverse[axis] = 1 / uniform(random, 0.1f, 1);
        }
        for (stack[top++] = 0; top > 0;) {
            uint32_t at = stack[--top];
            const Node *node = &nodes[at];
            visited++;
            if (entry(&node->box, from, inverse, nearest) < 0)
                continue;
            for (uint32_t i = node->first; i < (uint32_t)node->first + node->count; i++) {
                float hit = entry(&boxes[i], from, inverse, nearest);
                nearest = hit >= 0 ? hit : nearest;
            }
            if (node->count == 0)
                stack[top++] = node->first, stack[top++] = at + 1;
        }
        for (int i = 0; ray % 8 == 0 && i < BOXES; i++) {
            float hit = entry(&boxes[i], from, inverse, checked);
            checked = hit >= 0 ? hit : checked;
        }
        require(ray % 8 != 0 || checked == nearest, "the tree hides no box");
        digest_f32(digest, nearest);
    }
    digest_u64(digest, visited);
}

/* Gradient noise: slopes at the corners of squares by a hash, blended smoothly. */
static float slope_at(int32_t x, int32_t y, uint32_t seed, float dx, float dy) {
    uint32_t hash = (uint32_t)x * 0x85ebca6bu ^ (uint32_t)y * 0xc2b2ae35u ^ seed;
    hash = (hash ^ hash >> 15) * 0x2c1b3c6du, hash ^= hash >> 12;
    float u = hash & 1 ? dx : dy, v = hash & 1 ? dy : dx;
    return (hash & 2 ? -u : u) + (hash & 4 ? -v : v) / 2;
}

static float noise(float x, float y, uint32_t seed) {
    int32_t cx = (int32_t)x - (x < 0), cy = (int32_t)y - (y < 0);
    float dx = x - (float)cx, dy = y - (float)cy;
    float sx = dx * dx * (3 - 2 * dx), sy = dy * dy * (3 - 2 * dy);
    float a = slope_at(cx, cy, seed, dx, dy), b = slope_at(cx + 1, cy, seed, dx - 1, dy);
    float c = slope_at(cx, cy + 1, seed, dx, dy - 1), d = slope_at(cx + 1, cy + 1, seed, dx - 1, dy - 1);
    float upper = a + sx * (b - a), lower = c + sx * (d - c);
    return upper + sy * (lower - upper);
}

static float height_at(float x, float y, uint32_t seed) {
    float sum = 0, size = 1;
    for (int octave = 0; octave < 3; octave++, x *= 2, y *= 2, size /= 2)
        sum += size * noise(x, y, seed + (uint32_t)octave);
    return sum;
}

static void landscape(Random *random, Digest *digest) {
    uint32_t seed = (uint32_t)random_u64(random), steps = 0;
    require(noise(3, -4, seed) == 0, "no height at the corners");
    for (int ray = 0; ray < 2 * GRID; ray++) {
        float x = uniform(random, -8, 8), y = uniform(random, -8, 8), z = 2, step = 0.4f;
        float dx = uniform(random, -1, 1), dy = uniform(random, -1, 1), dz = -0.5f;
        float scale = 1 / sqrtf(dx * dx + dy * dy + dz * dz);
        /* Steps as long as the height above the ground allows, and halved once below it. */
        for (int i = 0; i < 40 && step > 0.001f; i++, steps++) {
            float above = z + step * dz * scale;
            above -= height_at(x + step * dx * scale, y + step * dy * scale, seed);
            if (above < 0)
                step /= 2;
            else
                x += step * dx * scale, y += step * dy * scale, z += step * dz * scale;
        }
        digest_f32(digest, x + y + z);
    }
    digest_u64(digest, steps);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    static Canvas canvas;
    Random random = {37};
    Digest digest = {0};
    while (rounds--) {
        scene(&canvas, &random);
        for (int i = 0; i < 24; i++) {
            Point from = random_point(&random, WIDTH, HEIGHT), to = random_point(&random, 2 * WIDTH, HEIGHT);
            int32_t across = from.x > to.x ? from.x - to.x : to.x - from.x;
            require(line(&canvas, from, to, (uint8_t)(i * 9)) >= across, "a line without gaps");
            circle(&canvas, from, 3 + i, (uint8_t)(i * 7));
        }
        points_and_polygons(&canvas, &random, &digest);
        digest_bytes(&digest, canvas.pixels[0], sizeof canvas.pixels);
        digest_u64(&digest, canvas.drawn);
        boxes_and_rays(&random, &digest);
        landscape(&random, &digest);
    }
    return digest_print(&digest);
}
