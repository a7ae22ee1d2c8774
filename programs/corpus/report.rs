//! Text in and out: a CSV table written, parsed with quotes, aggregated and formatted as a report.
//! `String`, `format!`, `parse`, iterators over characters.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 75;

const CITIES: [&str; 6] = [
    "Oslo",
    "São Paulo",
    "Zürich",
    "Lagos",
    "\"New\" York",
    "東京",
];

fn write_table(random: &mut Random) -> String {
    let mut table = String::from("city,when,count,price\n");
    for row in 0..250 {
        let city = CITIES[random.below(6) as usize].replace('"', "\"\"");
        let (count, cents) = (random.below(1000), random.below(100_000));
        let day = 1 + row % 28;
        let (euros, cents) = (cents / 100, cents % 100);
        writeln!(
            table,
            "\"{city}\",2024-{:02}-{day:02},{count},{euros}.{cents:02}",
            1 + row / 28
        )
        .expect("writing to a string");
    }
    table
}

/// Splits a line at commas outside quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[derive(Default)]
struct Totals {
    count: u64,
    cents: u64,
    rows: u64,
    last: String,
}

fn aggregate(table: &str) -> BTreeMap<String, Totals> {
    let mut cities: BTreeMap<String, Totals> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let fields = fields(line);
        let [city, when, count, price] = &fields[..] else {
            panic!("{line}")
        };
        let count: u64 = count.parse().expect("a number");
        let (euros, cents) = price.split_once('.').expect("a price");
        let cents =
            euros.parse::<u64>().expect("euros") * 100 + cents.parse::<u64>().expect("cents");
        let totals = cities.entry(city.to_uppercase()).or_default();
        totals.count += count;
        totals.cents += count * cents;
        totals.rows += 1;
        if *when > totals.last {
            totals.last.clone_from(when);
        }
    }
    cities
}

fn report(cities: &BTreeMap<String, Totals>) -> String {
    let mut lines: Vec<String> = cities
        .iter()
        .map(|(city, totals)| {
            let mean = totals.cents / totals.count.max(1);
            let total = format!("{}.{:02}", totals.cents / 100, totals.cents % 100);
            let last = totals.last.split('-').rev().collect::<Vec<_>>().join("/");
            format!(
                "{city:<12}|{:>5}|{total:>14}|{mean:#010x}|{last}",
                totals.rows
            )
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    lines.join("\n")
}

fn main() {
    let mut random = Random::new(33);
    run(STANDARD_ROUNDS, |digest| {
        let table = write_table(&mut random);
        let cities = aggregate(&table);
        assert_eq!(cities.values().map(|totals| totals.rows).sum::<u64>(), 250);
        assert!(cities.contains_key("\"NEW\" YORK"));
        digest.add_text(&report(&cities));
        let vowels = table.chars().filter(|c| "aeiouãü".contains(*c)).count();
        digest.add(vowels as u64);
        digest.add(table.matches("-01,").count() as u64);
    });
}
