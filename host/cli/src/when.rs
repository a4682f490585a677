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
    let ago = text.char_indices().next_back().and_then(|(at, unit)| {
        let seconds: i64 = match unit {
            'w' => 7 * 24 * 3600,
            'd' => 24 * 3600,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        let number = text.get(..at)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = number.parse().ok().filter(|_| digits)?;
        Some(SignedDuration::from_secs(number.checked_mul(seconds)?))
    });
    match ago {
        Some(ago) => Timestamp::now()
            .checked_sub(ago)
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
