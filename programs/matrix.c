/* Dense linear algebra: products in f64 and f32, LU factorisation with row exchanges, the solution
 * of a linear system with its residual, and the orthonormal columns of a QR factorisation. Regular
 * loops over floating point in memory.
 *
 * Only + - * / and sqrt are used, each rounded once, so every build agrees bit for bit, provided
 * that the compiler contracts nothing into fused operations (-ffp-contract=off). */
#include "common.h"
#include <float.h>
#include <math.h>

_Static_assert(FLT_EVAL_METHOD == 0, "each operation must be rounded to its own type");

enum { STANDARD_ROUNDS = 360, N = 40 };

typedef double Matrix[N][N];
typedef float MatrixF32[N][N];

/* A number in -1..1 with 24 significant bits: exact in f32 as well. */
static double random_entry(Random *random) {
    return (double)((int32_t)(random_u64(random) >> 39) - (1 << 24)) / (double)(1 << 24);
}

static void random_matrix(Random *random, Matrix out) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            out[i][j] = random_entry(random);
}

static void multiply(Matrix out, Matrix a, Matrix b) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i][k] * b[k][j];
            out[i][j] = sum;
        }
}

/* The same in single precision and with the loops exchanged: rows of the result are summed up in
 * memory instead of one sum in a local. */
static void multiply_f32(MatrixF32 out, MatrixF32 a, MatrixF32 b) {
    memset(out, 0, sizeof(MatrixF32));
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            float factor = a[i][k];
            for (int j = 0; j < N; j++)
                out[i][j] += factor * b[k][j];
        }
}

/* Factors `lu` in place; `row_of[i]` becomes the original row at place i. Returns the number of
 * exchanges, or -1 for a singular matrix. */
static int lu_factor(Matrix lu, int row_of[N]) {
    int exchanges = 0;
    for (int i = 0; i < N; i++)
        row_of[i] = i;
    for (int column = 0; column < N; column++) {
        int pivot = column;
        for (int i = column + 1; i < N; i++)
            if (fabs(lu[i][column]) > fabs(lu[pivot][column]))
                pivot = i;
        if (lu[pivot][column] == 0)
            return -1;
        if (pivot != column) {
            double row[N];
            memcpy(row, lu[pivot], sizeof row);
            memcpy(lu[pivot], lu[column], sizeof row);
            memcpy(lu[column], row, sizeof row);
            int original = row_of[pivot];
            row_of[pivot] = row_of[column];
            row_of[column] = original;
            exchanges++;
        }
        for (int i = column + 1; i < N; i++) {
            double factor = lu[i][column] /= lu[column][column];
            for (int j = column + 1; j < N; j++)
                lu[i][j] -= factor * lu[column][j];
        }
    }
    return exchanges;
}

static void lu_solve(Matrix lu, const int row_of[N], const double right[N], double x[N]) {
    for (int i = 0; i < N; i++) {
        x[i] = right[row_of[i]];
        for (int j = 0; j < i; j++)
            x[i] -= lu[i][j] * x[j];
    }
    for (int i = N - 1; i >= 0; i--) {
        for (int j = i + 1; j < N; j++)
            x[i] -= lu[i][j] * x[j];
        x[i] /= lu[i][i];
    }
}

/* The largest difference between a * x and `right`. */
static double residual(Matrix a, const double x[N], const double right[N]) {
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            sum += a[i][j] * x[j];
        double difference = fabs(sum - right[i]);
        worst = difference > worst ? difference : worst;
    }
    return worst;
}

/* Makes the columns orthonormal by the modified Gram-Schmidt process. */
static void orthonormalise(Matrix q) {
    for (int column = 0; column < N; column++) {
        double square = 0;
        for (int i = 0; i < N; i++)
            square += q[i][column] * q[i][column];
        double length = sqrt(square);
        for (int i = 0; i < N; i++)
            q[i][column] /= length;
        for (int other = column + 1; other < N; other++) {
            double dot = 0;
            for (int i = 0; i < N; i++)
                dot += q[i][column] * q[i][other];
            for (int i = 0; i < N; i++)
                q[i][other] -= dot * q[i][column];
        }
    }
}

int main(int argc, char **argv) {
    static Matrix a, b, product, lu;
    static MatrixF32 a32, b32, product32;
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {3};
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        random_matrix(&random, a);
        random_matrix(&random, b);
        multiply(product, a, b);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                a32[i][j] = (float)a[i][j];
                b32[i][j] = (float)b[i][j];
            }
        multiply_f32(product32, a32, b32);

        double right[N], x[N];
        int row_of[N];
        for (int i = 0; i < N; i++)
            right[i] = random_entry(&random);
        memcpy(lu, product, sizeof lu);
        int exchanges = lu_factor(lu, row_of);
        require(exchanges >= 0, "a random matrix is regular");
        lu_solve(lu, row_of, right, x);
        double error = residual(product, x, right);
        require(error < 1e-3, "the solution solves the system");
        orthonormalise(a);

        digest_u64(&digest, (uint64_t)exchanges);
        digest_f64(&digest, error);
        for (int i = 0; i < N; i++) {
            digest_f64(&digest, x[i]);
            for (int j = 0; j < N; j++) {
                digest_f64(&digest, product[i][j]);
                digest_f32(&digest, product32[i][j]);
                digest_f64(&digest, a[i][j]);
            }
        }
    }
    return digest_print(&digest);
}
