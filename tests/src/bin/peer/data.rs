//! Roles at arrays and cells.

use super::{ready, wrong};
use triveni::{Result, Segment, Typed};

/// A value of a cell in all languages.
#[derive(Clone, Copy, PartialEq, Typed)]
#[repr(C)]
struct Latest {
    number: u64,
    values: [f64; 4],
}

impl Latest {
    fn new(number: u64) -> Latest {
        Latest { number, values: [1.0, 2.0, 3.0, 4.0].map(|k| k * number as f64) }
    }
}

pub fn latest(segment: &Segment, object: &str, n: u64, store: bool) -> Result<()> {
    let cell = segment.open_cell::<Latest>(object)?;
    if segment.open_cell::<[f64; 5]>(object).is_ok() {
        return Err(wrong("five doubles are taken for a number and four doubles"));
    }
    ready();
    let mut seen = 0;
    while seen < n {
        if store {
            seen = cell.store(Latest::new(seen + 1))?;
            continue;
        }
        let (version, value) = cell.load_newer(seen)?;
        if version <= seen || value != Latest::new(version) {
            return Err(wrong(&format!("version {version} after {seen} is {} {:?}", value.number, value.values)));
        }
        seen = version;
    }
    println!("ok {n}");
    Ok(())
}

pub fn grid(segment: &Segment, object: &str, n: u64, fill: bool) -> Result<()> {
    let array = segment.open_array::<f64>(object)?;
    if segment.open_array::<i64>(object).is_ok() || array.shape() != [4, 5] {
        return Err(wrong("this is no array of 4 times 5 doubles"));
    }
    ready();
    let mut seen = 0.0;
    while seen < n as f64 {
        if fill {
            seen += 1.0;
            array.write()?.copy_from(&[seen; 20])?;
            continue;
        }
        let elements = array.snapshot()?;
        if elements[0] < seen || elements.iter().any(|x| *x != elements[0]) {
            return Err(wrong(&format!("torn after {seen}: {elements:?}")));
        }
        seen = elements[0];
    }
    println!("ok {n}");
    Ok(())
}
