//! Where the nodes of a graph are drawn: stress majorization, the same picture each time.
//!
//! Two nodes should lie as far from each other as the way along the edges is long. Starting on a circle, each node moves
//! again and again to the mean of the places that the others would like it to have (Gansner, Koren and North, "Graph
//! Drawing by Stress Majorization", 2004). Rings become circles and chains lines. Parts that no edge joins are
//! drawn in rows.

use std::collections::VecDeque;

/// A place on the page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    pub fn distance(self, other: Point) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The point `by` of the way to `other`.
    pub fn toward(self, other: Point, by: f64) -> Point {
        Point { x: self.x + (other.x - self.x) * by, y: self.y + (other.y - self.y) * by }
    }

    /// The point `by` to the left of the way to `other`.
    pub fn aside(self, other: Point, by: f64) -> Point {
        let length = self.distance(other).max(1.0);
        Point { x: self.x + (other.y - self.y) / length * by, y: self.y - (other.x - self.x) / length * by }
    }
}

/// Half the width and height of what is drawn at a node, with its label.
pub type Half = Point;

/// The way between two neighbours, from center to center.
const LENGTH: f64 = 135.0;
/// Between two parts, and between nodes that would touch.
const GAP: f64 = 26.0;
const ROUNDS: usize = 120;

/// A place for each node, and the size of the page. `neighbours` names each edge at both of its ends.
pub fn places(neighbours: &[Vec<usize>], half: &[Half]) -> (Vec<Point>, Point) {
    let mut at = vec![Point::default(); half.len()];
    let parts = parts(neighbours);
    let mut boxes = Vec::new();
    for part in &parts {
        let placed = settle(part, neighbours, half);
        let (low, high) = bounds(part.iter().map(|node| half[*node]).zip(placed.iter().copied()));
        for (node, place) in part.iter().zip(&placed) {
            at[*node] = Point { x: place.x - low.x, y: place.y - low.y };
        }
        boxes.push(Point { x: high.x - low.x, y: high.y - low.y });
    }
    // Rows about as wide as the page is high.
    let area: f64 = boxes.iter().map(|size| (size.x + GAP) * (size.y + GAP)).sum();
    let widest = boxes.iter().map(|size| size.x).fold(1.4 * area.sqrt(), f64::max);
    let (mut corner, mut row, mut page) = (Point { x: GAP, y: GAP }, 0.0, Point::default());
    for (part, size) in parts.iter().zip(&boxes) {
        if corner.x > GAP && corner.x + size.x > widest + GAP {
            corner = Point { x: GAP, y: corner.y + row + GAP };
            row = 0.0;
        }
        for node in part {
            at[*node] = Point { x: at[*node].x + corner.x, y: at[*node].y + corner.y };
        }
        page = Point { x: page.x.max(corner.x + size.x + GAP), y: page.y.max(corner.y + size.y + GAP) };
        corner.x += size.x + GAP;
        row = f64::max(row, size.y);
    }
    (at, page)
}

/// What hangs together, each part in the order of a walk through it.
fn parts(neighbours: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut is_seen = vec![false; neighbours.len()];
    let mut parts = Vec::new();
    for root in 0..neighbours.len() {
        let (mut part, mut stack) = (Vec::new(), vec![root]);
        // Depth first: a ring is walked round, and so lies on the first circle as it should.
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut is_seen[node], true) {
                part.push(node);
                stack.extend(neighbours[node].iter().rev().filter(|next| !is_seen[**next]));
            }
        }
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}

/// Places for the nodes of one part.
fn settle(part: &[usize], neighbours: &[Vec<usize>], half: &[Half]) -> Vec<Point> {
    let count = part.len();
    let radius = LENGTH * count as f64 / std::f64::consts::TAU;
    let mut at: Vec<Point> = (0..count)
        .map(|i| {
            let angle = std::f64::consts::TAU * i as f64 / count as f64 - std::f64::consts::PI;
            Point { x: radius * angle.cos(), y: radius * angle.sin() }
        })
        .collect();
    let wanted = distances(part, neighbours);
    for _ in 0..ROUNDS {
        for i in 0..count {
            let (mut sum, mut weights) = (Point::default(), 0.0);
            for j in (0..count).filter(|j| *j != i) {
                let wanted = wanted[i][j];
                let weight = 1.0 / (wanted * wanted);
                let real = at[i].distance(at[j]).max(1e-6);
                sum.x += weight * (at[j].x + wanted * (at[i].x - at[j].x) / real);
                sum.y += weight * (at[j].y + wanted * (at[i].y - at[j].y) / real);
                weights += weight;
            }
            if weights > 0.0 {
                at[i] = Point { x: sum.x / weights, y: sum.y / weights };
            }
        }
    }
    lay_down(&mut at);
    push_apart(&mut at, part, half);
    at
}

/// The length of the way between each two nodes of a part.
fn distances(part: &[usize], neighbours: &[Vec<usize>]) -> Vec<Vec<f64>> {
    let mut place = vec![usize::MAX; neighbours.len()];
    part.iter().enumerate().for_each(|(i, node)| place[*node] = i);
    let from = |start: usize| {
        let mut steps = vec![f64::INFINITY; part.len()];
        let mut queue = VecDeque::from([start]);
        steps[start] = 0.0;
        while let Some(i) = queue.pop_front() {
            for j in neighbours[part[i]].iter().map(|node| place[*node]) {
                if steps[j].is_infinite() {
                    steps[j] = steps[i] + LENGTH;
                    queue.push_back(j);
                }
            }
        }
        steps
    };
    (0..part.len()).map(from).collect()
}

/// Turns the picture so that its long side lies flat.
fn lay_down(at: &mut [Point]) {
    let count = at.len() as f64;
    let mean = Point { x: at.iter().map(|p| p.x).sum::<f64>() / count, y: at.iter().map(|p| p.y).sum::<f64>() / count };
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for p in at.iter() {
        let (x, y) = (p.x - mean.x, p.y - mean.y);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    // A round one has no long side, and stays as it is.
    if (xx - yy).hypot(2.0 * xy) < 0.05 * (xx + yy) {
        return;
    }
    let angle = -0.5 * (2.0 * xy).atan2(xx - yy);
    let (sin, cos) = angle.sin_cos();
    for p in at.iter_mut() {
        let (x, y) = (p.x - mean.x, p.y - mean.y);
        *p = Point { x: x * cos - y * sin, y: x * sin + y * cos };
    }
}

/// Moves nodes that would touch away from each other.
fn push_apart(at: &mut [Point], part: &[usize], half: &[Half]) {
    for _ in 0..ROUNDS {
        let mut moved = false;
        for i in 0..at.len() {
            for j in 0..i {
                let (a, b) = (half[part[i]], half[part[j]]);
                let (x, y) = (at[i].x - at[j].x, at[i].y - at[j].y);
                let (over_x, over_y) = (a.x + b.x + GAP - x.abs(), a.y + b.y + GAP - y.abs());
                if over_x <= 0.0 || over_y <= 0.0 {
                    continue;
                }
                moved = true;
                // The shorter way out; a hair further, so that it is one.
                if over_x < over_y {
                    let by = (over_x / 2.0 + 0.5) * if x < 0.0 { -1.0 } else { 1.0 };
                    at[i].x += by;
                    at[j].x -= by;
                } else {
                    let by = (over_y / 2.0 + 0.5) * if y < 0.0 { -1.0 } else { 1.0 };
                    at[i].y += by;
                    at[j].y -= by;
                }
            }
        }
        if !moved {
            return;
        }
    }
}

fn bounds(nodes: impl Iterator<Item = (Half, Point)>) -> (Point, Point) {
    let (mut low, mut high) = (Point { x: f64::MAX, y: f64::MAX }, Point { x: f64::MIN, y: f64::MIN });
    for (half, at) in nodes {
        low = Point { x: low.x.min(at.x - half.x), y: low.y.min(at.y - half.y) };
        high = Point { x: high.x.max(at.x + half.x), y: high.y.max(at.y + half.y) };
    }
    (low, high)
}
