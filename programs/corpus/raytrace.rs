//! A ray tracer for spheres and a plane in f64, and k-means clustering in f32. Structures of floats
//! passed and returned by value.

mod common;

use std::ops::{Add, Mul, Sub};

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 70;

#[derive(Clone, Copy)]
struct Vector {
    x: f64,
    y: f64,
    z: f64,
}

const fn vector(x: f64, y: f64, z: f64) -> Vector {
    Vector { x, y, z }
}

impl Add for Vector {
    type Output = Vector;
    fn add(self, o: Vector) -> Vector {
        vector(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for Vector {
    type Output = Vector;
    fn sub(self, o: Vector) -> Vector {
        vector(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f64> for Vector {
    type Output = Vector;
    fn mul(self, k: f64) -> Vector {
        vector(self.x * k, self.y * k, self.z * k)
    }
}

impl Vector {
    fn dot(self, o: Vector) -> f64 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    fn unit(self) -> Vector {
        self * (1.0 / self.dot(self).sqrt())
    }
}

struct Sphere {
    centre: Vector,
    radius: f64,
    shine: f64,
}

fn hit(spheres: &[Sphere], from: Vector, direction: Vector) -> Option<(f64, &Sphere)> {
    let mut nearest: Option<(f64, &Sphere)> = None;
    for sphere in spheres {
        let offset = sphere.centre - from;
        let along = offset.dot(direction);
        let square = sphere.radius * sphere.radius - (offset.dot(offset) - along * along);
        if square > 0.0 {
            let distance = along - square.sqrt();
            if distance > 1e-6 && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, sphere));
            }
        }
    }
    nearest
}

fn trace(spheres: &[Sphere], from: Vector, direction: Vector, depth: u32) -> f64 {
    const LIGHT: Vector = vector(0.48, 0.64, -0.6);
    let (point, normal, shine) = match hit(spheres, from, direction) {
        Some((distance, sphere)) => {
            let point = from + direction * distance;
            (point, (point - sphere.centre).unit(), sphere.shine)
        }
        None if direction.y < 0.0 => {
            let point = from + direction * (-1.0 - from.y).min(0.0) * (1.0 / direction.y);
            (point, vector(0.0, 1.0, 0.0), 0.2)
        }
        None => return 0.3 + 0.5 * direction.y,
    };
    let lit = normal.dot(LIGHT);
    let shade = if lit <= 0.0 || hit(spheres, point, LIGHT).is_some() {
        0.1
    } else {
        0.1 + 0.8 * lit
    };
    if depth == 0 {
        return shade;
    }
    let mirrored = direction - normal * (2.0 * direction.dot(normal));
    shade * (1.0 - shine) + shine * trace(spheres, point + normal * 1e-6, mirrored, depth - 1)
}

/// The sum of squared distances after a few steps.
fn k_means(points: &[[f32; 3]], centres: &mut [[f32; 3]]) -> f32 {
    let mut total = 0.0;
    for _ in 0..4 {
        let mut sums = vec![([0.0_f32; 3], 0_u32); centres.len()];
        total = 0.0;
        for point in points {
            let distance = |centre: &[f32; 3]| -> f32 {
                centre
                    .iter()
                    .zip(point)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum()
            };
            let (mut best, mut least) = (0, f32::INFINITY);
            for (index, centre) in centres.iter().enumerate() {
                let square = distance(centre);
                if square < least {
                    (best, least) = (index, square);
                }
            }
            total += least;
            sums[best].1 += 1;
            for (sum, x) in sums[best].0.iter_mut().zip(point) {
                *sum += x;
            }
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(sums) {
            if count > 0 {
                *centre = sum.map(|sum| sum / count as f32);
            }
        }
    }
    total
}

fn main() {
    let mut random = Random::new(35);
    run(STANDARD_ROUNDS, |digest| {
        let mut unit = || f64::from(random.below(1000)) / 500.0 - 1.0;
        let spheres: Vec<Sphere> = (0..6)
            .map(|_| Sphere {
                centre: vector(unit() * 2.0, unit(), 3.0 + unit()),
                radius: 0.6 + unit() * 0.3,
                shine: 0.4 + unit() * 0.3,
            })
            .collect();
        for y in 0..40 {
            for x in 0..48 {
                let (x, y) = (f64::from(x - 24) / 24.0, f64::from(20 - y) / 24.0);
                let light = trace(
                    &spheres,
                    vector(0.0, 0.0, -1.0),
                    vector(x, y, 1.5).unit(),
                    3,
                );
                digest.add(light.to_bits());
            }
        }
        let mut points = Vec::new();
        for _ in 0..600 {
            points.push([unit() as f32, unit() as f32, unit() as f32]);
        }
        let mut centres = points[..8].to_vec();
        digest.add(u64::from(k_means(&points, &mut centres).to_bits()));
        digest.add(u64::from(centres[3][1].to_bits()));
    });
}
