//! Two layouts side by side.

use super::{TypeField, TypeLayout};
use std::fmt::Write;

/// The most rows of a table.
const MOST_ROWS: usize = 48;
/// The widest column of it.
const WIDEST: usize = 40;

/// `None` if both layouts are the same; otherwise the two in columns, with the rows marked that differ.
pub fn difference(there: &TypeLayout, wanted: &TypeLayout) -> Option<String> {
    let rows = rows(there, wanted);
    if there.size == wanted.size && rows.iter().all(|row| row.agrees) {
        return None;
    }
    Some(table(there, wanted, rows))
}

/// The fields that begin at one offset.
struct Row<'a> {
    there: Option<&'a TypeField>,
    wanted: Option<&'a TypeField>,
    agrees: bool,
}

fn rows<'a>(there: &'a TypeLayout, wanted: &'a TypeLayout) -> Vec<Row<'a>> {
    let (mut left, mut right) = (there.fields.iter().peekable(), wanted.fields.iter().peekable());
    let mut rows = Vec::new();
    loop {
        let at = match (left.peek(), right.peek()) {
            (None, None) => return rows,
            (Some(one), None) | (None, Some(one)) => one.offset,
            (Some(one), Some(other)) => one.offset.min(other.offset),
        };
        let (there_, wanted_) = (left.next_if(|f| f.offset == at), right.next_if(|f| f.offset == at));
        let agrees = there_.is_none_or(|f| is_in(f, &wanted.fields)) && wanted_.is_none_or(|f| is_in(f, &there.fields));
        rows.push(Row { there: there_, wanted: wanted_, agrees });
    }
}

/// Are the bytes of `field` the same scalars in `others`, under the same name where both have one?
fn is_in(field: &TypeField, others: &[TypeField]) -> bool {
    let mut at = field.offset;
    let first = others.partition_point(|other| other.end() <= at);
    for other in &others[first..] {
        if at >= field.end() {
            break;
        }
        // No hole before it, the same scalars, and not shifted against each other.
        if other.offset > at
            || !other.scalar.agrees(field.scalar)
            || !field.offset.abs_diff(other.offset).is_multiple_of(field.scalar.size())
        {
            return false;
        }
        let named = !field.name.is_empty() && !other.name.is_empty();
        if named && (&other.name, other.offset, other.count) != (&field.name, field.offset, field.count) {
            return false;
        }
        at = other.end();
    }
    at >= field.end()
}

fn table(there: &TypeLayout, wanted: &TypeLayout, mut rows: Vec<Row<'_>>) -> String {
    let all = rows.len();
    if all > MOST_ROWS {
        rows.retain(|row| !row.agrees);
        rows.truncate(MOST_ROWS);
    }
    let kind = |field: &TypeField| match field.count {
        1 => field.scalar.to_string(),
        n => format!("{}[{n}]", field.scalar),
    };
    let cell = |field: Option<&TypeField>| {
        field.map_or_else(Default::default, |field| [field.offset.to_string(), kind(field), cut(&field.name)])
    };
    let mut lines = vec![(' ', ["there", "", ""].map(String::from), ["wanted", "", ""].map(String::from))];
    let heading = ["offset", "type", "name"].map(String::from);
    lines.push((' ', heading.clone(), heading));
    for row in &rows {
        lines.push((if row.agrees { ' ' } else { '!' }, cell(row.there), cell(row.wanted)));
    }
    if rows.len() < all {
        let more = [String::new(), format!("… {} more", all - rows.len()), String::new()];
        lines.push((' ', more, Default::default()));
    }
    let size = |layout: &TypeLayout| [layout.size.to_string(), "bytes in all".into(), String::new()];
    lines.push((if there.size == wanted.size { ' ' } else { '!' }, size(there), size(wanted)));
    let widths: [usize; 3] = std::array::from_fn(|i| {
        lines.iter().map(|(_, a, b)| a[i].chars().count().max(b[i].chars().count())).max().unwrap_or(0)
    });
    let mut text = String::new();
    for (i, (mark, left, right)) in lines.iter().enumerate() {
        let [w0, w1, w2] = widths;
        let mut line = format!("{mark} ");
        for (side, gap) in [(left, "   "), (right, "")] {
            // Writing to a String does not fail. Offsets are right-aligned; the first line has headings.
            let _ = match i {
                0 => write!(line, "{:<w0$}  {:<w1$}  {:<w2$}{gap}", side[0], side[1], side[2]),
                _ => write!(line, "{:>w0$}  {:<w1$}  {:<w2$}{gap}", side[0], side[1], side[2]),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.pop();
    text
}

fn cut(name: &str) -> String {
    let mut cut: String = name.chars().take(WIDEST).collect();
    if cut.len() < name.len() {
        cut.push('…');
    }
    cut
}
