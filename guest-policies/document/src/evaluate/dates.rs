//! Dates and times, counted in ticks of 100 ns since the year 1.

use serde::{Deserialize, Serialize};
use time::{Date, Month};

use super::{Exception, Outcome};

/// Ticks in a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
pub(crate) const TICKS_PER_MILLISECOND: i64 = 10_000;
pub(crate) const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// 9999-12-31T23:59:59.9999999.
const MAX_TICKS: i64 = 3_155_378_975_999_999_999;
/// 1970-01-01.
pub(crate) const EPOCH: i64 = 621_355_968_000_000_000;

/// What a `DateTime` says about its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Nothing.
    Unspecified,
    /// It is UTC.
    Utc,
    /// It is local time, which is UTC here.
    Local,
}

/// A `DateTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// From 0 to the end of the year 9999.
    pub ticks: i64,
    /// What it says about its zone.
    pub kind: Kind,
}

/// A `DateTimeOffset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTimeOffset {
    /// Ticks in UTC.
    pub utc: i64,
    /// What is added for the local time, at most 14 hours.
    pub offset_minutes: i32,
}

impl DateTime {
    pub(crate) const MIN: Self = Self {
        ticks: 0,
        kind: Kind::Unspecified,
    };
    pub(crate) const MAX: Self = Self {
        ticks: MAX_TICKS,
        kind: Kind::Unspecified,
    };

    /// Errors: before the year 1 or after 9999.
    pub fn new(ticks: i64, kind: Kind) -> Outcome<Self> {
        if (0..=MAX_TICKS).contains(&ticks) {
            Ok(Self { ticks, kind })
        } else {
            Err(Exception::ArgumentOutOfRange)
        }
    }

    pub(crate) fn of(date: [i32; 3], time: [i32; 3], kind: Kind) -> Outcome<Self> {
        let [year, month, day] = date;
        let [hour, minute, second] = time;
        let out = |_| Exception::ArgumentOutOfRange;
        if !(1..=9999).contains(&year)
            || !(0..24).contains(&hour)
            || !(0..60).contains(&minute)
            || !(0..60).contains(&second)
        {
            return Err(Exception::ArgumentOutOfRange);
        }
        let month = u8::try_from(month)
            .ok()
            .and_then(|month| Month::try_from(month).ok())
            .ok_or(Exception::ArgumentOutOfRange)?;
        let day = u8::try_from(day).map_err(out)?;
        let date = Date::from_calendar_date(year, month, day)
            .map_err(|_| Exception::ArgumentOutOfRange)?;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Self::new(
            days(date) * TICKS_PER_DAY + seconds * TICKS_PER_SECOND,
            kind,
        )
    }

    pub(crate) fn date(self) -> Date {
        let days = self.ticks / TICKS_PER_DAY;
        i32::try_from(days)
            .ok()
            .and_then(|days| Date::from_julian_day(FIRST_JULIAN_DAY.checked_add(days)?).ok())
            .unwrap_or(Date::MIN)
    }

    /// Hour, minute, second, ticks within it.
    pub(crate) fn time(self) -> (i64, i64, i64, i64) {
        let rest = self.ticks % TICKS_PER_DAY;
        let seconds = rest / TICKS_PER_SECOND;
        (
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            rest % TICKS_PER_SECOND,
        )
    }

    pub(crate) fn plus(self, ticks: i64) -> Outcome<Self> {
        let ticks = self
            .ticks
            .checked_add(ticks)
            .ok_or(Exception::ArgumentOutOfRange)?;
        Self::new(ticks, self.kind)
    }

    /// Adds months; a day that the month has not becomes its last.
    pub(crate) fn plus_months(self, months: i64) -> Outcome<Self> {
        if !(-120_000..=120_000).contains(&months) {
            return Err(Exception::ArgumentOutOfRange);
        }
        let date = self.date();
        let all = i64::from(date.year()) * 12 + i64::from(u8::from(date.month())) - 1 + months;
        let out = |_| Exception::ArgumentOutOfRange;
        let year = i32::try_from(all.div_euclid(12)).map_err(out)?;
        let month = u8::try_from(all.rem_euclid(12) + 1).map_err(out)?;
        let month = Month::try_from(month).map_err(|_| Exception::ArgumentOutOfRange)?;
        let day = date.day().min(month.length(year));
        let date = Date::from_calendar_date(year, month, day)
            .map_err(|_| Exception::ArgumentOutOfRange)?;
        Self::new(
            days(date) * TICKS_PER_DAY + self.ticks % TICKS_PER_DAY,
            self.kind,
        )
    }
}

impl DateTimeOffset {
    /// A `DateTime`, whose local time is UTC.
    pub fn of(date: DateTime) -> Self {
        Self {
            utc: date.ticks,
            offset_minutes: 0,
        }
    }

    pub(crate) fn new(utc: i64, offset_minutes: i32) -> Outcome<Self> {
        let local = utc.saturating_add(i64::from(offset_minutes) * 60 * TICKS_PER_SECOND);
        DateTime::new(utc, Kind::Utc)?;
        DateTime::new(local, Kind::Unspecified)?;
        Ok(Self {
            utc,
            offset_minutes,
        })
    }

    pub(crate) fn local(self) -> DateTime {
        let local = self
            .utc
            .saturating_add(i64::from(self.offset_minutes) * 60 * TICKS_PER_SECOND);
        DateTime::new(local, Kind::Unspecified).unwrap_or(DateTime::MIN)
    }

    pub(crate) fn utc_date(self) -> DateTime {
        DateTime::new(self.utc, Kind::Utc).unwrap_or(DateTime::MIN)
    }
}

/// 0001-01-01.
const FIRST_JULIAN_DAY: i32 = 1_721_426;

/// Days since the first of the year 1; fewer than none before that.
fn days(date: Date) -> i64 {
    i64::from(date.to_julian_day()) - i64::from(FIRST_JULIAN_DAY)
}

/// So many units as ticks, to the nearest millisecond, as .NET's `AddSeconds` and
/// `FromSeconds` take them. Errors: NaN, or too many.
pub(crate) fn ticks(count: f64, unit_milliseconds: f64, failure: Exception) -> Outcome<i64> {
    let milliseconds = count * unit_milliseconds;
    if milliseconds.is_nan() {
        return Err(Exception::Argument);
    }
    let rounded = milliseconds + if milliseconds >= 0.0 { 0.5 } else { -0.5 };
    if rounded.abs() >= 315_537_897_600_000.0 * 2.0 {
        return Err(failure);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    let whole = rounded as i64;
    Ok(whole * TICKS_PER_MILLISECOND)
}

/// A `TimeSpan` as `ToString` shows it.
pub(crate) fn span_text(ticks: i64) -> String {
    let sign = if ticks < 0 { "-" } else { "" };
    let all = ticks.unsigned_abs();
    let second = TICKS_PER_SECOND.unsigned_abs();
    let (days, seconds, rest) = (all / (86_400 * second), all / second % 86_400, all % second);
    let days = if days > 0 {
        format!("{days}.")
    } else {
        String::new()
    };
    let rest = if rest > 0 {
        format!(".{rest:07}")
    } else {
        String::new()
    };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{days}{hours:02}:{minutes:02}:{seconds:02}{rest}")
}
