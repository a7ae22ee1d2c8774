/* Planets by symplectic integration, in f64, and a cloud of particles with a softened force in f32.
 * Floating point with square roots and divisions. */
#include "../common.h"

enum { STANDARD_ROUNDS = 40, BODIES = 5, STEPS = 3000, PARTICLES = 120 };

double sqrt(double);
float sqrtf(float);

typedef struct {
    double x[3], v[3], mass;
} Body;

static Body bodies[BODIES];
static float px[PARTICLES], py[PARTICLES], vx[PARTICLES], vy[PARTICLES];

static void advance(double dt) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = bodies + i;
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = bodies + j;
            double dx = a->x[0] - b->x[0], dy = a->x[1] - b->x[1], dz = a->x[2] - b->x[2];
            double square = dx * dx + dy * dy + dz * dz;
            double factor = dt / (square * sqrt(square));
            a->v[0] -= dx * b->mass * factor, b->v[0] += dx * a->mass * factor;
            a->v[1] -= dy * b->mass * factor, b->v[1] += dy * a->mass * factor;
            a->v[2] -= dz * b->mass * factor, b->v[2] += dz * a->mass * factor;
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].x[k] += dt * bodies[i].v[k];
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        Body *a = bodies + i;
        sum += a->mass * (a->v[0] * a->v[0] + a->v[1] * a->v[1] + a->v[2] * a->v[2]) / 2;
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += (a->x[k] - bodies[j].x[k]) * (a->x[k] - bodies[j].x[k]);
            sum -= a->mass * bodies[j].mass / sqrt(square);
        }
    }
    return sum;
}

static void attract(float dt) {
    for (int i = 0; i < PARTICLES; i++) {
        float ax = 0, ay = 0;
        for (int j = 0; j < PARTICLES; j++) {
            float dx = px[j] - px[i], dy = py[j] - py[i];
            float square = dx * dx + dy * dy + 0.25f;
            float inverse = 1.0f / (square * sqrtf(square));
            ax += dx * inverse, ay += dy * inverse;
        }
        vx[i] += ax * dt, vy[i] += ay * dt;
    }
    for (int i = 0; i < PARTICLES; i++)
        px[i] += vx[i] * dt, py[i] += vy[i] * dt;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {17};
    Digest digest = {0};
    for (int i = 0; i < BODIES; i++) {
        double radius = i * 4.0;
        bodies[i] = (Body){{radius, i * 0.1, i * -0.2}, {0, 0, 0}, i ? 0.001 * i : 40};
        if (i)
            bodies[i].v[1] = sqrt(40 / radius);
    }
    for (int i = 0; i < PARTICLES; i++) {
        px[i] = (float)random_below(&random, 1000) / 50.0f;
        py[i] = (float)random_below(&random, 1000) / 50.0f;
    }
    double before = energy();
    while (rounds--) {
        for (int step = 0; step < STEPS; step++)
            advance(0.001);
        for (int step = 0; step < 10; step++)
            attract(0.01f);
        double change = energy() - before;
        require(change < 1e-3 && change > -1e-3, "energy is kept");
        for (int i = 0; i < BODIES; i++)
            digest_f64(&digest, bodies[i].x[0]);
        for (int i = 0; i < PARTICLES; i++)
            digest_f32(&digest, px[i]), digest_f32(&digest, vy[i]);
    }
    return digest_print(&digest);
}
