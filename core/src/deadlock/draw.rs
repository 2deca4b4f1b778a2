//! The resource allocation graph as a picture: SVG, the same bytes for the same state.
//!
//! Processes are circles, resources rectangles with a dot for each instance. An edge from a dot to a process: it holds
//! this instance. An edge from a process to a rectangle: it asks for one, or for as many as the edge says. What is
//! deadlocked is red and drawn with thicker lines.

use super::layout::{Half, Point, places};
use super::state::{Resource, State};
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::fmt::{self, Write};

/// The most nodes and edges of a picture.
const NODES_MAX: usize = 400;
const EDGES_MAX: usize = 4000;
/// Up to so many instances have a dot each.
const DOTS_MAX: u32 = 20;
/// Dots in a row.
const DOTS_ROW: u32 = 5;
const DOT: f64 = 18.0;
/// About the width of a letter, and the height of a line of text.
const LETTER: f64 = 7.2;
const LINE: f64 = 16.0;
/// So many letters stand in a line inside of a circle.
const INSIDE: usize = 11;
const RADIUS: f64 = 26.0;
const ARROW: f64 = 10.0;
/// Longer names are cut; the whole one is the tooltip.
const LETTERS: usize = 28;

/// An edge between a process and a class.
struct Edge {
    process: usize,
    class: usize,
    /// A dot, for an assignment of one instance that has one.
    dot: Option<u32>,
    count: u32,
    is_request: bool,
    is_deadlocked: bool,
}

impl State {
    /// The resource allocation graph as SVG: a picture of its own, for a file or a notebook.
    ///
    /// # Errors
    /// `TooLarge` for more than 400 nodes or 4000 edges: nobody could read that.
    pub fn svg(&self) -> Result<String> {
        let edges = edges(self);
        let nodes = self.processes() + self.resources().len();
        if nodes > NODES_MAX || edges.len() > EDGES_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a picture of {nodes} nodes and {} edges is not readable; at most {NODES_MAX} nodes and {EDGES_MAX} \
                     edges are drawn: leave out the processes that can finish",
                    edges.len()
                ),
            ));
        }
        let mut picture = Picture::of(self, edges);
        picture.draw().map_err(|_| Error::new(ErrorKind::NoSpace, "no memory for the picture"))?;
        Ok(picture.svg)
    }
}

fn edges(state: &State) -> Vec<Edge> {
    let detection = state.detect();
    let mut is_left = vec![false; state.processes()];
    detection.deadlocked().iter().for_each(|process| is_left[*process] = true);
    let mut dots = vec![0u32; state.resources().len()];
    let mut edges = Vec::new();
    for (process, is_deadlocked) in is_left.iter().copied().enumerate() {
        for (class, resource) in state.resources().iter().enumerate() {
            let (held, asked) = (state.allocation(process)[class], state.request(process)[class]);
            if resource.instances <= DOTS_MAX && !resource.sharable {
                for dot in (dots[class]..).take(held as usize) {
                    edges.push(Edge { process, class, dot: Some(dot), count: 1, is_request: false, is_deadlocked });
                }
                dots[class] += held;
            } else if held > 0 {
                edges.push(Edge { process, class, dot: None, count: held, is_request: false, is_deadlocked });
            }
            if asked > 0 {
                edges.push(Edge { process, class, dot: None, count: asked, is_request: true, is_deadlocked });
            }
        }
    }
    edges
}

/// Gives the processes on the left the dots on the left.
fn sort_dots(edges: &mut [Edge], at: &[Point]) {
    let mut by_place: Vec<usize> = (0..edges.len()).filter(|edge| edges[*edge].dot.is_some()).collect();
    by_place.sort_by(|a, b| {
        let key = |edge: &Edge| (edge.class, at[edge.process].x, edge.process);
        let (a, b) = (key(&edges[*a]), key(&edges[*b]));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
    });
    for same in by_place.chunk_by(|a, b| edges[*a].class == edges[*b].class).map(<[usize]>::to_vec).collect::<Vec<_>>()
    {
        let mut dots: Vec<u32> = (0..).take(same.len()).collect();
        dots.sort_by_key(|dot| (dot % DOTS_ROW, dot / DOTS_ROW));
        same.into_iter().zip(dots).for_each(|(edge, dot)| edges[edge].dot = Some(dot));
    }
}

/// How many dots a resource has in a row, and how many rows.
fn dots(instances: u32) -> (u32, u32) {
    if instances > DOTS_MAX { (2, 1) } else { (instances.clamp(1, DOTS_ROW), instances.div_ceil(DOTS_ROW).max(1)) }
}

struct Picture<'s> {
    state: &'s State,
    edges: Vec<Edge>,
    /// Of the processes, then of the classes.
    at: Vec<Point>,
    half: Vec<Half>,
    page: Point,
    deadlocked: HashSet<usize>,
    svg: String,
}

impl<'s> Picture<'s> {
    fn of(state: &'s State, mut edges: Vec<Edge>) -> Picture<'s> {
        let processes = state.processes();
        let mut neighbours = vec![Vec::new(); processes + state.resources().len()];
        for edge in &edges {
            let (process, class) = (edge.process, processes + edge.class);
            if neighbours[process].last() != Some(&class) {
                neighbours[process].push(class);
                neighbours[class].push(process);
            }
        }
        let circles = (0..processes).map(|process| {
            let (name, radius) = (state.process(process), radius(state.process(process)));
            match inside(name)[..] {
                [] => Point { x: radius.max(width(name) / 2.0), y: radius + LINE / 2.0 },
                _ => Point { x: radius, y: radius },
            }
        });
        let rectangles = state.resources().iter().map(rectangle);
        let half: Vec<Half> = circles.chain(rectangles).collect();
        let (at, page) = places(&neighbours, &half);
        sort_dots(&mut edges, &at);
        let detection = state.detect();
        let mut deadlocked: HashSet<usize> = detection.deadlocked().iter().copied().collect();
        // A resource is, if somebody who is deadlocked waits for it in vain.
        if let Some(last) = detection.steps().last().filter(|_| detection.is_deadlocked()) {
            for process in detection.deadlocked() {
                deadlocked.extend(last.shortages(*process).map(|shortage| processes + shortage.class));
            }
        }
        Picture { state, edges, at, half, page, deadlocked, svg: String::new() }
    }

    fn draw(&mut self) -> fmt::Result {
        let Point { x, y } = self.page;
        let (x, height) = (x.max(660.0), y + 30.0); // room for the key below
        let verdict = escaped(&self.state.detect().verdict());
        write!(
            self.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{x:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {x:.0} \
             {height:.0}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n<title>{verdict}</title>\n<rect \
             width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        )?;
        (0..self.at.len()).try_for_each(|node| self.shape(node))?;
        (0..self.edges.len()).try_for_each(|place| self.edge(place))?;
        (0..self.at.len()).try_for_each(|node| self.inscription(node))?;
        let alarm = if self.state.detect().is_deadlocked() {
            format!("; <tspan fill=\"{ALARM}\" font-weight=\"bold\">deadlocked</tspan>")
        } else {
            String::new()
        };
        writeln!(
            self.svg,
            "<text x=\"10\" y=\"{:.0}\" font-size=\"11\" fill=\"#546e7a\">circle: process; rectangle: resource, a dot for \
             each instance; dashed: asks for; solid: holds{alarm}</text>\n</svg>",
            y + 16.0
        )
    }

    fn color(&self, node: usize) -> &'static str {
        if self.deadlocked.contains(&node) { ALARM } else { CALM }
    }

    /// The process or the class that a node is.
    fn name(&self, node: usize) -> &str {
        match node.checked_sub(self.state.processes()) {
            None => self.state.process(node),
            Some(class) => &self.state.resources()[class].name,
        }
    }

    fn shape(&mut self, node: usize) -> fmt::Result {
        let (Point { x, y }, line) = (self.center(node), self.color(node));
        let (fill, width) = if self.deadlocked.contains(&node) { ("#ffebee", 3) } else { ("#f3f7fa", 2) };
        let whole = escaped(self.name(node));
        let style = format!("fill=\"{fill}\" stroke=\"{line}\" stroke-width=\"{width}\"><title>{whole}</title>");
        match node.checked_sub(self.state.processes()) {
            None => {
                let radius = radius(self.state.process(node));
                writeln!(self.svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" {style}</circle>")
            }
            Some(_) => {
                let half = self.half[node];
                let (left, top, wide, high) = (x - half.x, y - half.y, 2.0 * half.x, 2.0 * half.y);
                writeln!(
                    self.svg,
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" rx=\"3\" {style}</rect>"
                )
            }
        }
    }

    /// The name of a node, and its dots.
    fn inscription(&mut self, node: usize) -> fmt::Result {
        let (at, line) = (self.center(node), self.color(node));
        let Some(class) = node.checked_sub(self.state.processes()) else {
            let lines = inside(self.state.process(node));
            if lines.is_empty() {
                let below = Point { x: at.x, y: self.at[node].y + self.half[node].y - LINE / 2.0 };
                return self.text(below, &cut(self.state.process(node)), line);
            }
            let top = at.y - LINE * (lines.len() - 1) as f64 / 2.0;
            let rows = lines.iter().zip(0..);
            return rows
                .map(|(text, row)| (text, top + LINE * f64::from(row)))
                .try_for_each(|(text, y)| self.text(Point { x: at.x, y }, text, line));
        };
        let resource = &self.state.resources()[class];
        if resource.instances > DOTS_MAX {
            let middle = Point { x: at.x, y: at.y + LINE / 2.0 };
            self.text(middle, &resource.instances.to_string(), line)?;
        } else {
            for dot in 0..resource.instances {
                let Point { x, y } = self.dot(node, resource.instances, dot);
                writeln!(self.svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{line}\"/>")?;
            }
        }
        self.text(Point { x: at.x, y: at.y - self.half[node].y + LINE / 2.0 + 3.0 }, &cut(&resource.name), line)
    }

    /// Writes around `at`, legible also where an edge passes.
    fn text(&mut self, at: Point, text: &str, color: &str) -> fmt::Result {
        let (x, y, text) = (at.x, at.y + 4.5, escaped(text));
        let place = format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\"");
        let halo = "fill=\"#ffffff\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-opacity=\"0.7\" aria-hidden=\"true\"";
        writeln!(self.svg, "{place} {halo}>{text}</text>{place} fill=\"{color}\">{text}</text>")
    }

    /// The middle of the circle or rectangle; a long name may stand below.
    fn center(&self, node: usize) -> Point {
        let Point { x, y } = self.at[node];
        let is_outside = node < self.state.processes() && inside(self.state.process(node)).is_empty();
        Point { x, y: if is_outside { y - LINE / 2.0 } else { y } }
    }

    fn dot(&self, node: usize, instances: u32, dot: u32) -> Point {
        let (columns, rows) = dots(instances);
        let center = self.center(node);
        let (column, row) = (f64::from(dot % columns), f64::from(dot / columns));
        Point {
            x: center.x + (column - f64::from(columns - 1) / 2.0) * DOT,
            y: center.y + LINE / 2.0 + (row - f64::from(rows - 1) / 2.0) * DOT,
        }
    }

    fn edge(&mut self, place: usize) -> fmt::Result {
        let Edge { process, class, dot, count, is_request, is_deadlocked } = self.edges[place];
        let node = self.state.processes() + class;
        let resource = &self.state.resources()[class];
        let is_alarm = is_deadlocked && (!is_request || self.deadlocked.contains(&node));
        let (circle, rectangle) = (self.center(process), self.center(node));
        let anchor = dot.map_or(rectangle, |dot| self.dot(node, resource.instances, dot));
        // Where a process holds some and asks for more, the two edges bend to both sides.
        let has_both = self.state.allocation(process)[class] > 0 && self.state.request(process)[class] > 0;
        let bend = self.bend(
            process,
            node,
            circle,
            anchor,
            match (has_both, is_request) {
                (false, _) => 0.0,
                (true, true) => 22.0,
                (true, false) => -22.0,
            },
        );
        let middle = circle.toward(anchor, 0.5);
        let control = middle.aside(anchor, 2.0 * bend);
        let reach = radius(self.state.process(process)) + 2.0;
        let at_circle = circle.toward(control, reach / circle.distance(control).max(reach));
        let (from, to) = if is_request {
            (at_circle, self.border(node, control))
        } else if dot.is_some() {
            (anchor, at_circle)
        } else {
            (self.border(node, control), at_circle)
        };
        let (color, width) = if is_alarm { (ALARM, 2.2) } else { (CALM, 1.4) };
        let dash = if is_request { " stroke-dasharray=\"6 4\"" } else { "" };
        // The line ends inside of its head.
        let neck = to.toward(control, 0.8 * ARROW / to.distance(control).max(ARROW));
        let back = to.toward(control, ARROW / to.distance(control).max(ARROW));
        let (left, right) = (back.aside(to, 0.4 * ARROW), back.aside(to, -0.4 * ARROW));
        writeln!(
            self.svg,
            "<path d=\"M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"{color}\" \
             stroke-width=\"{width}\"{dash}/><path class=\"head\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}z\" \
             fill=\"{color}\"/>",
            from.x, from.y, control.x, control.y, neck.x, neck.y, to.x, to.y, left.x, left.y, right.x, right.y
        )?;
        if count > 1 {
            let label = from.toward(to, 0.5).toward(control, 0.5).aside(to, 9.0);
            self.text(label, &count.to_string(), color)?;
        }
        Ok(())
    }

    /// How far an edge bends so that it leads through no other node.
    fn bend(&self, process: usize, node: usize, from: Point, to: Point, least: f64) -> f64 {
        let is_free = |bend: f64| {
            let control = from.toward(to, 0.5).aside(to, 2.0 * bend);
            (1..12).map(|i| f64::from(i) / 12.0).all(|t| {
                let point = from.toward(control, t).toward(control.toward(to, t), t);
                let is_hit = |(at, half): (&Point, &Half)| {
                    (point.x - at.x).abs() < half.x + 4.0 && (point.y - at.y).abs() < half.y + 4.0
                };
                let others = self.at.iter().zip(&self.half).enumerate();
                !others.filter(|(i, _)| *i != process && *i != node).any(|(_, other)| is_hit(other))
            })
        };
        let tries = [0.0, 25.0, -25.0, 50.0, -50.0, 80.0, -80.0].map(|more| least + more);
        tries.into_iter().find(|bend| is_free(*bend)).unwrap_or(least)
    }

    /// Where the way from `outside` to the middle of a rectangle meets its border.
    fn border(&self, node: usize, outside: Point) -> Point {
        let (center, half) = (self.center(node), self.half[node]);
        let (x, y) = ((outside.x - center.x).abs(), (outside.y - center.y).abs());
        let by = f64::min((half.x + 2.0) / x.max(0.1), (half.y + 2.0) / y.max(0.1));
        center.toward(outside, by.min(1.0))
    }
}

const CALM: &str = "#37526b";
const ALARM: &str = "#c62828";

/// Half the width and height of a resource's rectangle: its name, and its dots below.
fn rectangle(resource: &Resource) -> Half {
    let (columns, rows) = dots(resource.instances);
    let digits = if resource.instances > DOTS_MAX { width(&resource.instances.to_string()) } else { 0.0 };
    let wide = width(&resource.name).max(f64::from(columns) * DOT).max(digits);
    Half { x: wide / 2.0 + 7.0, y: (f64::from(rows) * DOT + LINE) / 2.0 + 4.0 }
}

/// The lines of a process's name inside of its circle; none if it is too long.
fn inside(name: &str) -> Vec<&str> {
    let fits = |line: &str| line.chars().count() <= INSIDE;
    if fits(name) {
        return vec![name];
    }
    let halves = name.match_indices(' ').map(|(space, _)| (&name[..space], &name[space + 1..]));
    halves.into_iter().find(|(first, second)| fits(first) && fits(second)).map_or(Vec::new(), |(a, b)| vec![a, b])
}

/// The radius of a process's circle.
fn radius(name: &str) -> f64 {
    let lines = inside(name);
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) as f64 * LETTER / 2.0;
    longest.hypot(LINE * lines.len() as f64 / 2.0).max(RADIUS - 4.0) + 4.0
}

fn cut(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.into();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

fn width(name: &str) -> f64 {
    cut(name).chars().count() as f64 * LETTER
}

/// Names may hold any letter; those that XML forbids are control characters, which no name has, and two more.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            letter => out.push(letter),
        }
    }
    out
}
