//! Trees in arenas: a quadtree with range queries, a trie, a ring buffer of events, an interning
//! table; indices instead of pointers, checked accesses.

mod common;

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 100;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Quad {
    children: [u32; 4],
    point: Option<(u16, u16)>,
    count: u32,
}

#[derive(Default)]
struct Quads {
    nodes: Vec<Quad>,
}

impl Quads {
    fn node(&mut self) -> u32 {
        self.nodes.push(Quad {
            children: [NONE; 4],
            point: None,
            count: 0,
        });
        self.nodes.len() as u32 - 1
    }

    fn insert(&mut self, point: (u16, u16)) {
        let (mut at, mut bit, mut moved) = (0, 1 << 15, point);
        loop {
            self.nodes[at].count += 1;
            let quad = self.nodes[at];
            if quad.count == 1 || bit == 0 {
                self.nodes[at].point = Some(moved);
                return;
            }
            if let Some(old) = self.nodes[at].point.take() {
                let index = Self::side(old, bit);
                let child = self.node();
                self.nodes[at].children[index] = child;
                let below = &mut self.nodes[child as usize];
                (below.point, below.count) = (Some(old), 1);
            }
            let index = Self::side(moved, bit);
            if self.nodes[at].children[index] == NONE {
                let child = self.node();
                self.nodes[at].children[index] = child;
            }
            at = self.nodes[at].children[index] as usize;
            (bit, moved) = (bit >> 1, point);
        }
    }

    fn side(point: (u16, u16), bit: u16) -> usize {
        usize::from(point.0 & bit != 0) | usize::from(point.1 & bit != 0) << 1
    }

    /// Counts points with both coordinates in the range.
    fn count(
        &self,
        at: u32,
        corner: (u32, u32),
        size: u32,
        low: (u32, u32),
        high: (u32, u32),
    ) -> u32 {
        let Some(quad) = self.nodes.get(at as usize) else {
            return 0;
        };
        let far = (corner.0 + size, corner.1 + size);
        if far.0 <= low.0 || far.1 <= low.1 || corner.0 >= high.0 || corner.1 >= high.1 {
            return 0;
        }
        if corner.0 >= low.0 && corner.1 >= low.1 && far.0 <= high.0 && far.1 <= high.1 {
            return quad.count;
        }
        if let Some((x, y)) = quad.point {
            let (x, y) = (u32::from(x), u32::from(y));
            let inside = x >= low.0 && x < high.0 && y >= low.1 && y < high.1;
            return if inside { quad.count } else { 0 };
        }
        let half = size / 2;
        (0..4)
            .map(|index| {
                let corner = (
                    corner.0 + (index & 1) * half,
                    corner.1 + (index >> 1) * half,
                );
                self.count(quad.children[index as usize], corner, half, low, high)
            })
            .sum()
    }
}

fn trie(random: &mut Random) -> u64 {
    let mut nodes = vec![([0_u16; 8], 0_u32)];
    for _ in 0..800 {
        let mut at = 0;
        for _ in 0..1 + random.below(6) {
            let letter = random.below(8) as usize;
            if nodes[at].0[letter] == 0 {
                nodes[at].0[letter] = nodes.len() as u16;
                nodes.push(([0; 8], 0));
            }
            at = nodes[at].0[letter] as usize;
        }
        nodes[at].1 += 1;
    }
    let repeated = nodes.iter().filter(|node| node.1 > 1).count();
    (nodes.len() as u64) << 32 | repeated as u64
}

fn ring(random: &mut Random) -> u64 {
    let (mut ring, mut head, mut tail, mut sum) = ([0_u64; 64], 0_usize, 0_usize, 0_u64);
    for _ in 0..4000 {
        if head - tail < 64 && random.below(2) == 0 {
            ring[head & 63] = random.next() >> 40;
            head += 1;
        } else if tail < head {
            sum = sum.wrapping_mul(31).wrapping_add(ring[tail & 63]);
            tail += 1;
        }
    }
    sum
}

fn main() {
    let mut random = Random::new(38);
    run(STANDARD_ROUNDS, |digest| {
        let mut quads = Quads::default();
        quads.node();
        let mut points = Vec::new();
        for _ in 0..1200 {
            let point = (random.next() as u16, random.below(20_000) as u16);
            points.push((u32::from(point.0), u32::from(point.1)));
            quads.insert(point);
        }
        for _ in 0..20 {
            let low = (random.below(40_000), random.below(10_000));
            let high = (low.0 + random.below(30_000), low.1 + random.below(10_000));
            let found = quads.count(0, (0, 0), 1 << 16, low, high);
            let inside =
                |p: &&(u32, u32)| p.0 >= low.0 && p.1 >= low.1 && p.0 < high.0 && p.1 < high.1;
            assert_eq!(found as usize, points.iter().filter(inside).count());
            digest.add(u64::from(found));
        }
        digest.add(trie(&mut random));
        digest.add(ring(&mut random));
    });
}
