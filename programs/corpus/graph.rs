//! Graph algorithms on adjacency lists: Dijkstra, breadth-first search, Kruskal with union-find,
//! strongly connected components, topological order, a maze by depth-first search.

mod common;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 60;

const VERTICES: usize = 600;

type Graph = Vec<Vec<(usize, u32)>>;

fn random_graph(random: &mut Random) -> Graph {
    let mut graph = vec![Vec::new(); VERTICES];
    for from in 0..VERTICES {
        for _ in 0..4 {
            let to = random.below(VERTICES as u32) as usize;
            graph[from].push((to, 1 + random.below(100)));
        }
    }
    graph
}

fn dijkstra(graph: &Graph, start: usize) -> Vec<u32> {
    let mut distance = vec![u32::MAX; graph.len()];
    let mut queue = BinaryHeap::from([Reverse((0, start))]);
    distance[start] = 0;
    while let Some(Reverse((so_far, at))) = queue.pop() {
        if so_far > distance[at] {
            continue;
        }
        for &(to, length) in &graph[at] {
            let total = so_far + length;
            if total < distance[to] {
                distance[to] = total;
                queue.push(Reverse((total, to)));
            }
        }
    }
    distance
}

fn breadth_first(graph: &Graph, start: usize) -> Vec<u32> {
    let mut level = vec![u32::MAX; graph.len()];
    let mut queue = VecDeque::from([start]);
    level[start] = 0;
    while let Some(at) = queue.pop_front() {
        for &(to, _) in &graph[at] {
            if level[to] == u32::MAX {
                level[to] = level[at] + 1;
                queue.push_back(to);
            }
        }
    }
    level
}

fn find(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

fn spanning_tree(graph: &Graph) -> u32 {
    let edges = graph.iter().enumerate();
    let mut edges: Vec<(u32, usize, usize)> = edges
        .flat_map(|(from, list)| list.iter().map(move |&(to, length)| (length, from, to)))
        .collect();
    edges.sort_unstable();
    let mut parent: Vec<usize> = (0..graph.len()).collect();
    let mut total = 0;
    for (length, from, to) in edges {
        let (a, b) = (find(&mut parent, from), find(&mut parent, to));
        if a != b {
            parent[a] = b;
            total += length;
        }
    }
    total
}

/// Tarjan's algorithm: the number of strongly connected components.
fn components(graph: &Graph) -> usize {
    struct State<'a> {
        graph: &'a Graph,
        index: Vec<usize>,
        low: Vec<usize>,
        stack: Vec<usize>,
        on_stack: Vec<bool>,
        next: usize,
        count: usize,
    }
    fn visit(state: &mut State<'_>, at: usize) {
        state.next += 1;
        (state.index[at], state.low[at]) = (state.next, state.next);
        state.stack.push(at);
        state.on_stack[at] = true;
        for &(to, _) in &state.graph[at] {
            if state.index[to] == 0 {
                visit(state, to);
                state.low[at] = state.low[at].min(state.low[to]);
            } else if state.on_stack[to] {
                state.low[at] = state.low[at].min(state.index[to]);
            }
        }
        if state.low[at] == state.index[at] {
            state.count += 1;
            while let Some(top) = state.stack.pop() {
                state.on_stack[top] = false;
                if top == at {
                    break;
                }
            }
        }
    }
    let none = vec![0; graph.len()];
    let mut state = State {
        graph,
        index: none.clone(),
        low: none,
        stack: Vec::new(),
        on_stack: vec![false; graph.len()],
        next: 0,
        count: 0,
    };
    for at in 0..graph.len() {
        if state.index[at] == 0 {
            visit(&mut state, at);
        }
    }
    state.count
}

fn maze(random: &mut Random, side: usize) -> usize {
    let mut seen = vec![vec![false; side]; side];
    let (mut path, mut turns) = (vec![(0_usize, 0_usize)], 0);
    seen[0][0] = true;
    while let Some(&(x, y)) = path.last() {
        let sides = [
            (x + 1, y),
            (x.wrapping_sub(1), y),
            (x, y + 1),
            (x, y.wrapping_sub(1)),
        ];
        let free = |&(x, y): &(usize, usize)| x < side && y < side && !seen[y][x];
        let open: Vec<_> = sides.into_iter().filter(free).collect();
        if open.is_empty() {
            path.pop();
            continue;
        }
        let next = open[random.below(open.len() as u32) as usize];
        seen[next.1][next.0] = true;
        turns += path.len();
        path.push(next);
    }
    turns
}

fn main() {
    let mut random = Random::new(32);
    run(STANDARD_ROUNDS, |digest| {
        let graph = random_graph(&mut random);
        let (distance, level) = (dijkstra(&graph, 0), breadth_first(&graph, 0));
        for (distance, level) in distance.iter().zip(&level) {
            assert!(distance >= level, "every edge is at least 1 long");
            digest.add(u64::from(*distance) << 32 | u64::from(*level));
        }
        digest.add(u64::from(spanning_tree(&graph)));
        digest.add(components(&graph) as u64);
        digest.add(maze(&mut random, 30) as u64);
    });
}
