//! The comparison as a picture: throughput by size on the left, the way of a small message on the right.

use super::{Row, SIZES};
use crate::ls;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

type Answer<T = ()> = Result<T, Box<dyn Error>>;

fn colour(nth: usize) -> HSLColor {
    // Neighbours in the list lie far apart on the wheel.
    HSLColor((nth as f64 * 0.381_966) % 1.0, 0.75, if nth.is_multiple_of(2) { 0.42 } else { 0.55 })
}

pub fn draw(file: &Path, rows: &[Row]) -> Answer {
    let canvas = SVGBackend::new(file, (1280, 640)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let (left, right) = canvas.split_horizontally(760);
    throughput(&left, rows)?;
    latency(&right, rows)?;
    canvas.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn throughput(area: &Area<'_>, rows: &[Row]) -> Answer {
    let all = rows.iter().flat_map(|row| &row.throughput).map(|measured| measured.bytes.max(1.0));
    let (least, most) = all.fold((f64::MAX, 1.0f64), |(least, most), bytes| (least.min(bytes), most.max(bytes)));
    let (least, most) = (least.min(most) / 2.0, most * 2.0);
    let sizes = SIZES[0] as f64 * 0.8..SIZES[SIZES.len() - 1] as f64 * 1.25;
    let mut chart = ChartBuilder::on(area)
        .caption("Bytes per second by size of message", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(84)
        .build_cartesian_2d(sizes.log_scale().base(4.0), (least..most).log_scale().base(4.0))?;
    chart
        .configure_mesh()
        .x_label_formatter(&|size| ls::bytes(*size as usize))
        .y_label_formatter(&|bytes| format!("{}/s", ls::bytes(*bytes as usize)))
        .light_line_style(WHITE)
        .draw()?;
    for (nth, row) in rows.iter().enumerate().filter(|(_, row)| !row.throughput.is_empty()) {
        let points = row.throughput.iter().map(|measured| (measured.size as f64, measured.bytes.max(1.0)));
        let style = colour(nth).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(row.mechanism.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn latency(area: &Area<'_>, rows: &[Row]) -> Answer {
    let mut ways: Vec<(usize, &Row, f64)> = rows
        .iter()
        .enumerate()
        .filter_map(|(nth, row)| Some((nth, row, row.latency?.median_ns.max(1.0) / 1e3)))
        .collect();
    ways.sort_by(|a, b| b.2.total_cmp(&a.2));
    let most = ways.iter().map(|way| way.2).fold(0.01, f64::max) * 2.0;
    let least = ways.iter().map(|way| way.2).fold(most, f64::min) / 2.0;
    let mut chart = ChartBuilder::on(area)
        .caption("One way of 64 bytes, µs", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(130)
        .build_cartesian_2d((least..most).log_scale(), (0..ways.len() as i32).into_segmented())?;
    let names: Vec<&str> = ways.iter().map(|way| way.1.mechanism.name).collect();
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .y_labels(names.len().max(1))
        .y_label_formatter(&|at| match at {
            SegmentValue::CenterOf(nth) => names.get(*nth as usize).unwrap_or(&"").to_string(),
            _ => String::new(),
        })
        .draw()?;
    chart.draw_series(ways.iter().enumerate().map(|(at, (nth, _, micros))| {
        let (low, high) = (SegmentValue::Exact(at as i32), SegmentValue::Exact(at as i32 + 1));
        let mut bar = Rectangle::new([(least, low), (*micros, high)], colour(*nth).filled());
        bar.set_margin(3, 3, 0, 0);
        bar
    }))?;
    Ok(())
}
