//! Moments as people write them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `2026-12-31T12:00:00Z` or `2026-12-31`, which is its first moment in UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    text.parse::<Date>()
        .ok()
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
        .ok_or_else(|| "write 2026-12-31 or 2026-12-31T12:00:00Z".to_owned())
}

/// A moment, or how long ago: `7d`, `12h`, `30m`.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    match seconds(text).and_then(|seconds| i64::try_from(seconds).ok()) {
        Some(ago) => Timestamp::now()
            .checked_sub(SignedDuration::from_secs(ago))
            .map_err(|_| "that is too long ago".to_owned()),
        None => moment(text).map_err(|error| format!("{error}, or how long ago: 7d, 12h, 30m")),
    }
}

/// For tables of what changes often: to the second, UTC.
pub(crate) fn second(moment: &str) -> String {
    match moment.parse::<Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => moment.to_owned(),
    }
}

/// A length of time in seconds: `30d`, `12h`, `30m`.
pub(crate) fn length(text: &str) -> Result<u64, String> {
    let seconds = seconds(text).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "write 30d, 12h, 30m or 90s".to_owned())
}

/// The same; 0 for `never`.
pub(crate) fn length_or_never(text: &str) -> Result<u64, String> {
    match text {
        "never" => Ok(0),
        text => length(text).map_err(|error| format!("{error}, or never")),
    }
}

const UNITS: [(char, u64); 5] = [
    ('w', 7 * 24 * 3600),
    ('d', 24 * 3600),
    ('h', 3600),
    ('m', 60),
    ('s', 1),
];

fn seconds(text: &str) -> Option<u64> {
    let (at, unit) = text.char_indices().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(letter, _)| *letter == unit)?;
    let number = text.get(..at)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits)?;
    number.checked_mul(seconds)
}

/// Seconds as people write them: in the largest unit that leaves no rest, in days
/// rather than weeks.
pub(crate) fn in_words(seconds: u64) -> String {
    let mut units = UNITS.into_iter().skip(1);
    let fits = |(_, unit): &(char, u64)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (letter, unit) = units.find(fits).unwrap_or(('s', 1));
    format!("{}{letter}", seconds / unit)
}

/// For tables: to the minute, UTC.
pub(crate) fn short(moment: &str) -> String {
    match moment.parse::<Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Err(_) => moment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn moments_are_dates_or_times() {
        let of = |text| moment(text).map(|moment| moment.to_string());
        assert_eq!(of("2026-12-31").unwrap(), "2026-12-31T00:00:00Z");
        assert_eq!(
            of("2026-12-31T12:00:00+02:00").unwrap(),
            "2026-12-31T10:00:00Z"
        );
        for wrong in ["", "tomorrow", "31.12.2026", "2026-13-01", "7d"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_have_a_unit_and_are_written_back() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43_200),
            ("30d", 2_592_000),
        ] {
            assert_eq!(length(text), Ok(seconds));
            assert_eq!(in_words(seconds), text);
        }
        assert_eq!(length("2w").map(in_words), Ok("14d".to_owned()));
        assert_eq!(length_or_never("never"), Ok(0));
        for wrong in ["", "0s", "30", "-1d", "1y", "1.5h", "99999999999999999w"] {
            assert!(length_or_never(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_past_is_counted_too() {
        let then = past("7d").unwrap();
        let week = Timestamp::now().duration_since(then);
        assert_eq!(week.as_hours(), 7 * 24);
        assert_eq!(past("2026-01-01").unwrap(), moment("2026-01-01").unwrap());
        for wrong in ["d", "-7d", "7y", "7.5d", "99999999999999999d", "é"] {
            assert!(past(wrong).is_err(), "{wrong}");
        }
    }
}
