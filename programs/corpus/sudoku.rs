//! Search with backtracking: sudoku by candidate masks, a knight's tour by Warnsdorff's rule, subset
//! sums, permutations in order, exact cover of a rectangle with dominoes.

mod common;

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 200;

const PUZZLE: &str =
    "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";

fn place(
    grid: &mut [u8; 81],
    rows: &mut [u16; 9],
    columns: &mut [u16; 9],
    boxes: &mut [u16; 9],
) -> u32 {
    // The empty cell with the fewest candidates.
    let mut best: Option<(usize, u16)> = None;
    for (cell, value) in grid.iter().enumerate() {
        if *value == 0 {
            let (row, column) = (cell / 9, cell % 9);
            let free = 0x3fe & !(rows[row] | columns[column] | boxes[row / 3 * 3 + column / 3]);
            if best.is_none_or(|(_, least)| free.count_ones() < least.count_ones()) {
                best = Some((cell, free));
            }
        }
    }
    let Some((cell, mut free)) = best else {
        return 1;
    };
    let (row, column) = (cell / 9, cell % 9);
    let square = row / 3 * 3 + column / 3;
    let mut solutions = 0;
    while free != 0 {
        let bit = free & free.wrapping_neg();
        free ^= bit;
        grid[cell] = bit.trailing_zeros() as u8;
        (rows[row], columns[column], boxes[square]) =
            (rows[row] | bit, columns[column] | bit, boxes[square] | bit);
        solutions += place(grid, rows, columns, boxes);
        (rows[row], columns[column], boxes[square]) =
            (rows[row] ^ bit, columns[column] ^ bit, boxes[square] ^ bit);
        grid[cell] = 0;
    }
    solutions
}

fn sudoku(hidden: &mut Random) -> u32 {
    let (mut grid, mut rows, mut columns, mut boxes) = ([0; 81], [0; 9], [0; 9], [0; 9]);
    for (cell, character) in PUZZLE.bytes().enumerate() {
        if character != b'.' && hidden.below(30) != 0 {
            let bit = 1 << (character - b'0');
            grid[cell] = character - b'0';
            rows[cell / 9] |= bit;
            columns[cell % 9] |= bit;
            boxes[cell / 27 * 3 + cell % 9 / 3] |= bit;
        }
    }
    place(&mut grid, &mut rows, &mut columns, &mut boxes)
}

fn knight(start: (i32, i32)) -> usize {
    const MOVES: [(i32, i32); 8] = [
        (1, 2),
        (2, 1),
        (2, -1),
        (1, -2),
        (-1, -2),
        (-2, -1),
        (-2, 1),
        (-1, 2),
    ];
    let mut seen = [[false; 8]; 8];
    let (mut at, mut count) = (start, 1);
    seen[at.1 as usize][at.0 as usize] = true;
    loop {
        let moves = |from: (i32, i32)| {
            let free = move |to: &(i32, i32)| {
                (0..8).contains(&to.0)
                    && (0..8).contains(&to.1)
                    && !seen[to.1 as usize][to.0 as usize]
            };
            MOVES
                .iter()
                .map(move |(dx, dy)| (from.0 + dx, from.1 + dy))
                .filter(free)
        };
        let Some(next) = moves(at).min_by_key(|to| moves(*to).count()) else {
            return count;
        };
        seen[next.1 as usize][next.0 as usize] = true;
        (at, count) = (next, count + 1);
    }
}

fn next_permutation(items: &mut [u8]) -> bool {
    let Some(pivot) = items.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    if let Some(larger) = items.iter().rposition(|item| *item > items[pivot]) {
        items.swap(pivot, larger);
    }
    items[pivot + 1..].reverse();
    true
}

fn dominoes(width: u32, height: u32) -> u64 {
    let mut ways = vec![0_u64; 1 << width];
    ways[0] = 1;
    for cell in 0..width * height {
        let column = cell % width;
        let mut next = vec![0_u64; 1 << width];
        for (mask, count) in ways.iter().enumerate().filter(|(_, count)| **count > 0) {
            if mask >> column & 1 == 1 {
                next[mask ^ 1 << column] += count;
            } else {
                next[mask | 1 << column] += count;
                if column + 1 < width && mask >> (column + 1) & 1 == 0 {
                    next[mask | 1 << (column + 1)] += count;
                }
            }
        }
        ways = next;
    }
    ways[0]
}

fn main() {
    let mut random = Random::new(36);
    run(STANDARD_ROUNDS, |digest| {
        digest.add(u64::from(sudoku(&mut random)));
        digest.add(knight((random.below(8) as i32, random.below(8) as i32)) as u64);
        let mut items = *b"abcdefg";
        let (mut permutations, mut fixed) = (1_u32, 0_u32);
        while next_permutation(&mut items) {
            permutations += 1;
            fixed += items.iter().zip(b"abcdefg").filter(|(a, b)| a == b).count() as u32;
        }
        assert_eq!(permutations, 5040);
        digest.add(u64::from(fixed));
        assert_eq!(dominoes(8, 8), 12_988_816);
        digest.add(dominoes(7, 10));
    });
}
