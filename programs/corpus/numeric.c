/* Numerical methods in f64: Cholesky, sparse systems by Gauss-Seidel and by conjugate gradients,
 * Runge-Kutta, splines, quadrature, roots of polynomials, eigenvalues by powers and by rotations. */
#include "../common.h"

enum { STANDARD_ROUNDS = 130, DENSE = 24, SIDE = 11, CELLS = SIDE * SIDE, KNOTS = 120, DEGREE = 7,
       SMALL = 8 };

double sqrt(double);
double fabs(double);

static double uniform(Random *random, double low, double high) {
    return low + (high - low) * ((double)(random_u64(random) >> 11) * 0x1p-53);
}

static double dot(const double *a, const double *b, int len) {
    double sum = 0;
    for (int i = 0; i < len; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The lower triangle becomes the factor. Whether the matrix is positive definite. */
static int cholesky(double a[DENSE][DENSE], int len) {
    for (int i = 0; i < len; i++) {
        for (int j = 0; j < i; j++)
            a[i][j] = (a[i][j] - dot(a[i], a[j], j)) / a[j][j];
        double rest = a[i][i] - dot(a[i], a[i], i);
        if (!(rest > 0))
            return 0;
        a[i][i] = sqrt(rest);
    }
    return 1;
}

static void cholesky_solve(double a[DENSE][DENSE], int len, double *x) {
    for (int i = 0; i < len; i++)
        x[i] = (x[i] - dot(a[i], x, i)) / a[i][i];
    for (int i = len - 1; i >= 0; i--) {
        x[i] /= a[i][i];
        for (int j = 0; j < i; j++)
            x[j] -= a[i][j] * x[i];
    }
}

static void dense(Random *random, Digest *digest) {
    static double a[DENSE][DENSE];
    double x[DENSE], wanted[DENSE];
    int len = DENSE - (int)random_below(random, 5);
    for (int i = 0; i < len; i++) {
        wanted[i] = uniform(random, -1, 1);
        for (int j = 0; j < i; j++)
            a[i][j] = a[j][i] = uniform(random, -1, 1);
        a[i][i] = len;
    }
    for (int i = 0; i < len; i++)
        x[i] = dot(a[i], wanted, len);
    require(cholesky(a, len), "positive definite");
    cholesky_solve(a, len, x);
    for (int i = 0; i < len; i++)
        require(fabs(x[i] - wanted[i]) < 1e-10, "solved by Cholesky"), digest_f64(digest, x[i]);
    a[1][0] = a[1][1] = 1, a[0][0] = 0.5;
    require(!cholesky(a, 2), "not positive definite");
}

/* Rows one after the other: those of row i are at starts[i] .. starts[i + 1]. */
typedef struct {
    int32_t rows, starts[CELLS + 1], columns[5 * CELLS];
    double values[5 * CELLS];
} Sparse;

/* Heat in a square plate whose conductivity differs from place to place. */
static void fill_plate(Sparse *plate, Random *random) {
    static double across[CELLS], down[CELLS];
    int32_t len = 0;
    for (int i = 0; i < CELLS; i++)
        across[i] = uniform(random, 0.5, 2), down[i] = uniform(random, 0.5, 2);
    plate->rows = CELLS;
    for (int i = 0; i < CELLS; i++) {
        int x = i % SIDE, y = i / SIDE, self = -1;
        double sum = 0.05;
        plate->starts[i] = len;
        for (int k = 0; k < 5; k++) {
            static const int8_t steps[5] = {-SIDE, -1, 0, 1, SIDE};
            if ((k == 0 && y == 0) || (k == 1 && x == 0) || (k == 3 && x == SIDE - 1)
                || (k == 4 && y == SIDE - 1))
                continue;
            int other = i + steps[k], first = other < i ? other : i;
            double weight = k == 2 ? 0 : k == 1 || k == 3 ? across[first] : down[first];
            self = k == 2 ? len : self, sum += weight;
            plate->columns[len] = other, plate->values[len++] = -weight;
        }
        plate->values[self] = sum;
    }
    plate->starts[CELLS] = len;
}

static void sparse_product(const Sparse *a, const double *restrict x, double *restrict out) {
    for (int32_t i = 0; i < a->rows; i++) {
        double sum = 0;
        for (int32_t k = a->starts[i]; k < a->starts[i + 1]; k++)
            sum += a->values[k] * x[a->columns[k]];
        out[i] = sum;
    }
}

static double gauss_seidel(const Sparse *a, const double *b, double *x) {
    double change = 0;
    for (int32_t i = 0; i < a->rows; i++) {
        double sum = b[i], diagonal = 1;
        for (int32_t k = a->starts[i]; k < a->starts[i + 1]; k++) {
            int32_t column = a->columns[k];
            if (column == i)
                diagonal = a->values[k];
            else
                sum -= a->values[k] * x[column];
        }
        sum /= diagonal;
        change += (sum - x[i]) * (sum - x[i]), x[i] = sum;
    }
    return sqrt(change);
}

static int conjugate_gradients(const Sparse *a, const double *b, double *x, double tolerance) {
    static double rest[CELLS], way[CELLS], image[CELLS];
    int steps = 0;
    sparse_product(a, x, image);
    for (int i = 0; i < a->rows; i++)
        way[i] = rest[i] = b[i] - image[i];
    double norm = dot(rest, rest, a->rows);
    for (; norm > tolerance * tolerance && steps < 4 * a->rows; steps++) {
        sparse_product(a, way, image);
        double along = norm / dot(way, image, a->rows), before = norm;
        for (int i = 0; i < a->rows; i++)
            x[i] += along * way[i], rest[i] -= along * image[i];
        norm = dot(rest, rest, a->rows);
        for (int i = 0; i < a->rows; i++)
            way[i] = rest[i] + norm / before * way[i];
    }
    return steps;
}

static void sparse(Random *random, Digest *digest) {
    static Sparse plate;
    static double b[CELLS], x[CELLS], y[CELLS];
    fill_plate(&plate, random);
    for (int i = 0; i < CELLS; i++)
        b[i] = uniform(random, -1, 1), x[i] = y[i] = 0;
    double first = gauss_seidel(&plate, b, x), last = first;
    for (int i = 0; i < 30; i++)
        last = gauss_seidel(&plate, b, x);
    require(last < first, "the sweeps converge");
    int steps = conjugate_gradients(&plate, b, x, 1e-9);
    sparse_product(&plate, x, y);
    for (int i = 0; i < CELLS; i++)
        require(fabs(y[i] - b[i]) < 1e-8, "solved by conjugate gradients");
    digest_f64(digest, last), digest_f64(digest, x[CELLS / 2]), digest_u64(digest, (uint64_t)steps);
}

/* Differential equations by Runge-Kutta's fourth order. */
typedef struct {
    double x, y, z;
} Point;

static Point lorenz(const Point *p) {
    return (Point){10 * (p->y - p->x), p->x * (28 - p->z) - p->y, p->x * p->y - 8.0 / 3 * p->z};
}

static Point predator(const Point *p) {
    return (Point){p->x * (1.1 - 0.4 * p->y), p->y * (0.1 * p->x - 0.4), 1};
}

static Point moved(const Point *p, const Point *slope, double time) {
    return (Point){p->x + time * slope->x, p->y + time * slope->y, p->z + time * slope->z};
}

static void integrate(Point *p, Point (*slope)(const Point *), double time, int steps) {
    while (steps--) {
        Point k1 = slope(p), a = moved(p, &k1, time / 2), k2 = slope(&a), b = moved(p, &k2, time / 2);
        Point k3 = slope(&b), c = moved(p, &k3, time), k4 = slope(&c);
        p->x += time / 6 * (k1.x + 2 * (k2.x + k3.x) + k4.x);
        p->y += time / 6 * (k1.y + 2 * (k2.y + k3.y) + k4.y);
        p->z += time / 6 * (k1.z + 2 * (k2.z + k3.z) + k4.z);
    }
}

/* A natural cubic spline: its second derivatives solve a tridiagonal system. */
typedef struct {
    double x, y, bend;
} Knot;

static void fit(Knot *knots, int len) {
    static double upper[KNOTS];
    knots[0].bend = upper[0] = 0, knots[len - 1].bend = 0;
    for (int i = 1; i < len - 1; i++) {
        Knot *k = knots + i;
        double left = k->x - k[-1].x, right = k[1].x - k->x;
        double pivot = 2 * (left + right) - left * upper[i - 1];
        double value = 6 * ((k[1].y - k->y) / right - (k->y - k[-1].y) / left);
        upper[i] = right / pivot, k->bend = (value - left * k[-1].bend) / pivot;
    }
    for (int i = len - 2; i > 0; i--)
        knots[i].bend -= upper[i] * knots[i + 1].bend;
}

static double interpolated(const Knot *knots, int len, double x) {
    int low = 0, high = len - 1;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (knots[middle].x <= x)
            low = middle;
        else
            high = middle;
    }
    const Knot *k = knots + low;
    double width = k[1].x - k->x, a = (k[1].x - x) / width, b = 1 - a;
    double bends = (a * a - 1) * a * k->bend + (b * b - 1) * b * k[1].bend;
    return a * k->y + b * k[1].y + bends * width * width / 6;
}

static void splines(Random *random, Digest *digest) {
    static Knot knots[KNOTS];
    double x = 0, sum = 0;
    for (int i = 0; i < KNOTS; i++, x += uniform(random, 0.5, 1.5))
        knots[i] = (Knot){x, uniform(random, -1, 1), 0};
    fit(knots, KNOTS);
    for (int i = 0; i < KNOTS; i++)
        require(fabs(interpolated(knots, KNOTS, knots[i].x) - knots[i].y) < 1e-12, "through the knots");
    for (int i = 0; i < 250; i++)
        sum += interpolated(knots, KNOTS, uniform(random, 0, knots[KNOTS - 1].x));
    digest_f64(digest, sum);
}

/* Simpson's rule, halved until the halves agree with the whole. */
static double witch(double x) {
    return 4 / (1 + x * x);
}

static double humps(double x) {
    return 1 / ((x - 0.3) * (x - 0.3) + 0.01) + 1 / ((x - 0.9) * (x - 0.9) + 0.04) - 6;
}

static double simpson(double (*f)(double), double a, double b, const double *at, double whole, double error,
                      int depth) {
    double middle = (a + b) / 2, left = f((a + middle) / 2), right = f((middle + b) / 2);
    double low[3] = {at[0], left, at[1]}, high[3] = {at[1], right, at[2]};
    double first = (b - a) / 12 * (at[0] + 4 * left + at[1]);
    double second = (b - a) / 12 * (at[1] + 4 * right + at[2]);
    double change = first + second - whole;
    if (depth == 0 || fabs(change) < 15 * error)
        return first + second + change / 15;
    return simpson(f, a, middle, low, first, error / 2, depth - 1)
           + simpson(f, middle, b, high, second, error / 2, depth - 1);
}

static double area(double (*f)(double), double a, double b, double error) {
    double at[3] = {f(a), f((a + b) / 2), f(b)};
    return simpson(f, a, b, at, (b - a) / 6 * (at[0] + 4 * at[1] + at[2]), error, 20);
}

/* Real roots from the greatest down: from above, Newton's steps do not overshoot; then deflated. */
static void roots(double *coefficients, int degree, double start, double *out) {
    for (; degree > 0; degree--) {
        double x = start, step = 1;
        for (int i = 0; i < 200 && fabs(step) > 1e-13; i++) {
            double value = coefficients[degree], slope = 0;
            for (int k = degree - 1; k >= 0; k--)
                slope = slope * x + value, value = value * x + coefficients[k];
            step = slope == 0 ? 0 : value / slope, x -= step;
        }
        *out++ = x, start = x + 0.5;
        double carry = coefficients[degree];
        for (int k = degree - 1; k >= 0; k--) {
            double next = coefficients[k] + x * carry;
            coefficients[k] = carry, carry = next;
        }
    }
}

static void polynomial(Random *random, Digest *digest) {
    double coefficients[DEGREE + 1] = {1}, wanted[DEGREE], found[DEGREE];
    for (int i = 0; i < DEGREE; i++) {
        wanted[i] = 3 - i + uniform(random, -0.3, 0.3);
        for (int k = i + 1; k > 0; k--)
            coefficients[k] = coefficients[k - 1] - wanted[i] * coefficients[k];
        coefficients[0] *= -wanted[i];
    }
    roots(coefficients, DEGREE, 4, found);
    for (int i = 0; i < DEGREE; i++)
        require(fabs(found[i] - wanted[i]) < 1e-6, "roots"), digest_f64(digest, found[i]);
}

/* Rotations that make one element beside the diagonal zero each. Returns the sweeps it took. */
static int jacobi(double a[SMALL][SMALL]) {
    for (int sweeps = 0;; sweeps++) {
        double beside = 0;
        for (int i = 0; i < SMALL; i++)
            for (int j = 0; j < i; j++)
                beside += a[i][j] * a[i][j];
        if (beside < 1e-22 || sweeps == 30)
            return sweeps;
        for (int p = 0; p < SMALL - 1; p++)
            for (int q = p + 1; q < SMALL; q++) {
                if (fabs(a[p][q]) < 1e-30)
                    continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < SMALL; k++) {
                    double left = a[k][p], right = a[k][q];
                    a[k][p] = c * left - s * right, a[k][q] = s * left + c * right;
                }
                for (int k = 0; k < SMALL; k++) {
                    double upper = a[p][k], lower = a[q][k];
                    a[p][k] = c * upper - s * lower, a[q][k] = s * upper + c * lower;
                }
            }
    }
}

static void eigenvalues(Random *random, Digest *digest) {
    double a[SMALL][SMALL], x[SMALL], image[SMALL], greatest = 0, trace = 0, found = 0;
    for (int i = 0; i < SMALL; i++) {
        x[i] = 1;
        for (int j = 0; j <= i; j++)
            a[i][j] = a[j][i] = uniform(random, 0, 1);
        trace += a[i][i];
    }
    for (int step = 0; step < 60; step++) {
        for (int i = 0; i < SMALL; i++)
            image[i] = dot(a[i], x, SMALL);
        greatest = sqrt(dot(image, image, SMALL) / dot(x, x, SMALL));
        for (int i = 0; i < SMALL; i++)
            x[i] = image[i] / greatest;
    }
    int sweeps = jacobi(a);
    for (int i = 0; i < SMALL; i++)
        found = a[i][i] > found ? a[i][i] : found, trace -= a[i][i];
    require(fabs(found - greatest) < 1e-8 && fabs(trace) < 1e-10, "eigenvalues by powers and rotations");
    digest_f64(digest, found), digest_u64(digest, (uint64_t)sweeps);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {53};
    Digest digest = {0};
    Point butterfly = {1, 1, 20};
    while (rounds--) {
        for (int i = 0; i < 6; i++)
            dense(&random, &digest);
        sparse(&random, &digest);
        integrate(&butterfly, lorenz, 0.005, 500);
        digest_f64(&digest, butterfly.x), digest_f64(&digest, butterfly.z);
        Point prey = {10, uniform(&random, 3, 6), 0};
        integrate(&prey, predator, 0.01, 500);
        require(prey.x > 0 && prey.y > 0 && fabs(prey.z - 5) < 1e-9, "both kinds survive");
        digest_f64(&digest, prey.x);
        splines(&random, &digest);
        require(fabs(area(witch, 0, 1, 1e-10) - 3.14159265358979) < 1e-9, "the area is pi");
        double from = uniform(&random, -1, 0);
        digest_f64(&digest, area(humps, from, 1 + uniform(&random, 0, 1), 1e-8));
        for (int i = 0; i < 6; i++)
            polynomial(&random, &digest), eigenvalues(&random, &digest);
    }
    return digest_print(&digest);
}
