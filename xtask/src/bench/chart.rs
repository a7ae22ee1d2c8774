//! The table as a bar chart: each program's speed relative to the first contestant.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::table::{Row, Table};

const WIDTH: u32 = 900;
/// Pixels left of the bars, for names.
const MARGIN: i32 = 250;
const TOP: i32 = 60;
const BAR: i32 = 9;
/// Of all contestants after the first, in their order.
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x1f, 0x6f, 0xb5),
    RGBColor(0x7f, 0xb8, 0xe6),
    RGBColor(0xb0, 0xb0, 0xb0),
    RGBColor(0xd9, 0x8c, 0x3f),
];

/// Writes the chart as SVG.
pub(super) fn write(table: &Table, file: &Path) -> Result<()> {
    draw(table, file).map_err(|error| error.context(format!("drawing {}", file.display())))
}

fn draw(table: &Table, file: &Path) -> Result<()> {
    let rows: Vec<&Row> = table.programs().flat_map(|group| &group.rows).collect();
    let others = table.contestants.len().saturating_sub(1);
    ensure!(
        !rows.is_empty() && others > 0,
        "there is nothing to compare"
    );
    let ratios = rows
        .iter()
        .flat_map(|row| (1..=others).filter_map(|i| row.ratio(i, 0)));
    let greatest = ratios.fold(1.0, f64::max).ceil();

    let row_height = BAR * others as i32 + 8;
    let bottom = TOP + row_height * rows.len() as i32;
    let size = (WIDTH, bottom as u32 + 30);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
    let scale = f64::from(WIDTH as i32 - MARGIN - 60) / greatest;
    let x = |ratio: f64| MARGIN + (ratio * scale).round() as i32;
    let text = |text: String, at: (i32, i32), from: HPos, size: i32| {
        let style = ("sans-serif", size).into_font().color(&BLACK);
        let style = style.pos(Pos::new(from, VPos::Center));
        area.draw(&Text::new(text, at, style))
            .map_err(|error| anyhow!("{error}"))
    };

    for step in 0..=(greatest as i32) {
        let at = x(f64::from(step));
        let colour = if step == 1 {
            BLACK
        } else {
            RGBColor(0xdd, 0xdd, 0xdd)
        };
        area.draw(&PathElement::new(vec![(at, TOP - 6), (at, bottom)], colour))
            .map_err(|error| anyhow!("{error}"))?;
        text(format!("{step}×"), (at, bottom + 12), HPos::Center, 12)?;
    }
    let heading = format!(
        "speed relative to {} (more is faster)",
        table.contestants[0]
    );
    text(heading, (MARGIN, 16), HPos::Left, 15)?;
    for (index, name) in table.contestants[1..].iter().enumerate() {
        let left = MARGIN + 170 * index as i32;
        let colour = COLOURS[index % COLOURS.len()];
        area.draw(&Rectangle::new(
            [(left, 34), (left + 10, 44)],
            colour.filled(),
        ))
        .map_err(|error| anyhow!("{error}"))?;
        text(name.clone(), (left + 16, 39), HPos::Left, 12)?;
    }
    for (n, row) in rows.iter().enumerate() {
        let top = TOP + row_height * n as i32;
        let middle = top + row_height / 2;
        text(row.program.clone(), (MARGIN - 8, middle), HPos::Right, 12)?;
        for index in 1..=others {
            let Some(ratio) = row.ratio(index, 0) else {
                continue;
            };
            let bar = top + 4 + BAR * (index as i32 - 1);
            let colour = COLOURS[(index - 1) % COLOURS.len()];
            let corners = [(MARGIN, bar), (x(ratio), bar + BAR - 1)];
            area.draw(&Rectangle::new(corners, colour.filled()))
                .map_err(|error| anyhow!("{error}"))?;
            let label = (x(ratio) + 4, bar + BAR / 2);
            text(format!("{ratio:.2}"), label, HPos::Left, 9)?;
        }
    }
    area.present().map_err(|error| anyhow!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Sample;
    use super::super::table::Group;
    use super::*;

    fn table(programs: bool) -> Table {
        Table {
            contestants: vec!["first".to_owned(), "second".to_owned()],
            groups: vec![Group {
                name: "g".to_owned(),
                programs,
                rows: vec![Row {
                    program: "quick sort".to_owned(),
                    unit: "s",
                    rate: false,
                    samples: vec![Sample::of(vec![3.0]), Sample::of(vec![1.5])],
                    note: None,
                }],
            }],
            seconds: "user CPU seconds",
            passes: 1,
        }
    }

    #[test]
    fn the_chart_names_programs_contestants_and_ratios() {
        let name = format!("palisade-chart-{}.svg", std::process::id());
        let file = std::env::temp_dir().join(name);
        write(&table(true), &file).expect("a chart");
        let svg = std::fs::read_to_string(&file).expect("the file");
        std::fs::remove_file(&file).expect("removing it");
        for word in ["<svg", "quick sort", "first", "second", "2.00"] {
            assert!(svg.contains(word), "{word} is not in {svg}");
        }
    }

    #[test]
    fn figures_alone_are_no_chart() {
        assert!(write(&table(false), Path::new("unused.svg")).is_err());
    }
}
