//! Spans of time as operators write them: `365d`, `1h 30m`.
//!
//! As `humantime` has them, but for years and months: its year is 365.25 days long, so
//! that a credential of a year would end at another time of the day than it began.

use std::time::Duration;

/// Days of a year and of a month.
const CALENDAR: [(&[&str], u32); 2] = [
    (&["y", "yr", "yrs", "year", "years"], 365),
    (&["M", "month", "months"], 30),
];

/// Reads a span: a year is 365 days, a month 30.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    read(text).map_err(|error| format!("{error}; a duration is 1h, 30d or 1h 30m"))
}

fn read(text: &str) -> Result<Duration, humantime::DurationError> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while let Some(start) = rest.find(char::is_alphabetic) {
        let (number, unit) = rest.split_at(start);
        let end = unit.find(|c: char| !c.is_alphabetic());
        let (unit, behind) = unit.split_at(end.unwrap_or(unit.len()));
        sum = part(number, unit).and_then(|part| sum.checked_add(part).ok_or(too_long()))?;
        rest = behind;
    }
    // Nothing but a number, or nothing at all: in the words of all other faults.
    if !rest.trim().is_empty() || rest.len() == text.len() {
        let last = humantime::parse_duration(rest)?;
        sum = sum.checked_add(last).ok_or(too_long())?;
    }
    Ok(sum)
}

fn part(number: &str, unit: &str) -> Result<Duration, humantime::DurationError> {
    let known = CALENDAR.iter().find(|(names, _)| names.contains(&unit));
    let Some((_, days)) = known else {
        return humantime::parse_duration(&format!("{number}{unit}"));
    };
    let one = humantime::parse_duration(&format!("{number}d"))?;
    one.checked_mul(*days).ok_or(too_long())
}

fn too_long() -> humantime::DurationError {
    humantime::DurationError::NumberOverflow
}

/// The span as it is read back: in days, and what is left of one.
pub fn format(span: Duration) -> String {
    const DAY: u64 = 86_400;
    let days = span.as_secs() / DAY;
    let rest = span.saturating_sub(Duration::from_secs(days * DAY));
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_year_is_365_days_and_a_month_30() {
        for (text, days) in [
            ("1y", 365),
            ("2 years", 730),
            ("1year 1d", 366),
            ("1M", 30),
            ("365d", 365),
            ("52w", 364),
        ] {
            let span = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(span, Duration::from_secs(days * DAY), "{text}");
        }
        let span = parse("1h 30m").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(span, Duration::from_secs(5_400));
        for wrong in ["", "soon", "7", "1fortnight", "99999999999999999y", "-1d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_are_read_back_as_they_were() {
        for text in ["365d", "72h", "366d 1h", "1y 1M 1h 1ms", "500ms", "0s"] {
            let span = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parse(&format(span)), Ok(span), "{text}: {}", format(span));
        }
    }
}
