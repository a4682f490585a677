//! Dates as text, in the invariant culture.

use super::dates::{DateTime, DateTimeOffset, EPOCH, Kind, TICKS_PER_SECOND};
use super::{Exception, Outcome, numbers};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A date in a format, one of .NET's letters or a pattern. `offset`: of a
/// `DateTimeOffset`, whose local time `date` is.
pub(crate) fn format(date: DateTime, offset: Option<i32>, format: &str) -> Outcome<String> {
    let mut utc = date;
    if let Some(minutes) = offset {
        utc = date
            .plus(-i64::from(minutes) * 60 * TICKS_PER_SECOND)
            .unwrap_or(date);
    }
    let (date, text) = match format {
        "d" => (date, "MM/dd/yyyy"),
        "D" => (date, "dddd, dd MMMM yyyy"),
        "f" => (date, "dddd, dd MMMM yyyy HH:mm"),
        "F" => (date, "dddd, dd MMMM yyyy HH:mm:ss"),
        "g" => (date, "MM/dd/yyyy HH:mm"),
        "G" => (date, "MM/dd/yyyy HH:mm:ss"),
        "m" | "M" => (date, "MMMM dd"),
        "o" | "O" if offset.is_some() => (date, "yyyy-MM-ddTHH:mm:ss.fffffffzzz"),
        "o" | "O" => (date, "yyyy-MM-ddTHH:mm:ss.fffffffK"),
        "r" | "R" => (utc, "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'"),
        "s" => (date, "yyyy-MM-ddTHH:mm:ss"),
        "t" => (date, "HH:mm"),
        "T" => (date, "HH:mm:ss"),
        "u" => (utc, "yyyy-MM-dd HH:mm:ss'Z'"),
        "y" | "Y" => (date, "yyyy MMMM"),
        _ if format.chars().count() == 1 => return Err(Exception::Format),
        _ => (date, format),
    };
    pattern(date, offset, text)
}

fn pattern(date: DateTime, offset: Option<i32>, pattern: &str) -> Outcome<String> {
    let day = date.date();
    let (hour, minute, second, ticks) = date.time();
    let weekday = usize::from(day.weekday().number_days_from_sunday());
    let month = usize::from(u8::from(day.month()));
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let count = rest.chars().take_while(|c| *c == letter).count();
        let name = |names: &[&str], at: usize, short: bool| {
            let name = names.get(at).copied().unwrap_or_default();
            if short {
                name.get(..3).unwrap_or(name).to_owned()
            } else {
                name.to_owned()
            }
        };
        let two = |value: i64| {
            if count == 1 {
                value.to_string()
            } else {
                format!("{value:02}")
            }
        };
        let mut taken = count * letter.len_utf8();
        match letter {
            'd' if count <= 2 => out += &two(i64::from(day.day())),
            'd' => out += &name(&DAYS, weekday, count == 3),
            'M' if count <= 2 => out += &two(i64::from(u8::from(day.month()))),
            'M' => out += &name(&MONTHS, month.saturating_sub(1), count == 3),
            'y' if count <= 2 => out += &two(i64::from(day.year() % 100)),
            'y' => out += &format!("{:0count$}", day.year(), count = count.min(16)),
            'H' => out += &two(hour),
            'h' => out += &two(if hour % 12 == 0 { 12 } else { hour % 12 }),
            'm' => out += &two(minute),
            's' => out += &two(second),
            'f' | 'F' => {
                if count > 7 {
                    return Err(Exception::Format);
                }
                let digits = format!("{ticks:07}");
                let shown = digits.get(..count).unwrap_or_default();
                if letter == 'f' {
                    out += shown;
                } else {
                    let shown = shown.trim_end_matches('0');
                    if shown.is_empty() && out.ends_with('.') {
                        out.pop();
                    }
                    out += shown;
                }
            }
            't' => {
                let name = if hour < 12 { "AM" } else { "PM" };
                out += name.get(..count.min(2)).unwrap_or(name);
            }
            'z' => {
                let minutes = offset.unwrap_or(0);
                let sign = if minutes < 0 { '-' } else { '+' };
                let (hours, rest) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
                out += &match count {
                    1 => format!("{sign}{hours}"),
                    2 => format!("{sign}{hours:02}"),
                    _ => format!("{sign}{hours:02}:{rest:02}"),
                };
            }
            'K' => {
                taken = 1;
                match (offset, date.kind) {
                    (Some(_), _) => out += &self::pattern(date, offset, "zzz")?,
                    (None, Kind::Utc) => out.push('Z'),
                    (None, Kind::Local) => out += "+00:00",
                    (None, Kind::Unspecified) => {}
                }
            }
            'g' => out += "A.D.",
            '\'' | '"' => {
                let inside = rest.get(1..).unwrap_or_default();
                let end = inside.find(letter).ok_or(Exception::Format)?;
                out += inside.get(..end).unwrap_or_default();
                taken = end + 2;
            }
            '\\' => {
                let next = rest.chars().nth(1).ok_or(Exception::Format)?;
                out.push(next);
                taken = 1 + next.len_utf8();
            }
            '%' => {
                taken = 1;
                if rest.len() == 1 || rest.starts_with("%%") {
                    return Err(Exception::Format);
                }
            }
            other => {
                out.push(other);
                taken = other.len_utf8();
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(out)
}

/// What a text says: its local time, and its offset in minutes, if it has one.
struct Read {
    ticks: i64,
    offset: Option<i32>,
}

/// `DateTime.Parse`. With an offset it becomes local time, which is UTC.
pub(crate) fn parse_date(text: &str) -> Outcome<DateTime> {
    let read = read(text).ok_or(Exception::Format)?;
    let (ticks, kind) = match read.offset {
        Some(minutes) => (
            read.ticks - i64::from(minutes) * 60 * TICKS_PER_SECOND,
            Kind::Local,
        ),
        None => (read.ticks, Kind::Unspecified),
    };
    DateTime::new(ticks, kind).map_err(|_| Exception::Format)
}

/// `DateTimeOffset.Parse`.
pub(crate) fn parse_offset(text: &str) -> Outcome<DateTimeOffset> {
    let read = read(text).ok_or(Exception::Format)?;
    let minutes = read.offset.unwrap_or(0);
    let utc = read.ticks - i64::from(minutes) * 60 * TICKS_PER_SECOND;
    DateTimeOffset::new(utc, minutes).map_err(|_| Exception::Format)
}

/// A date as Newtonsoft finds it in JSON: `2024-01-02T03:04:05`, with or without
/// parts of a second and a zone, or `/Date(1704164645000)/`.
pub(crate) fn json_date(text: &str) -> Option<DateTime> {
    if let Some(inside) = text.strip_prefix("/Date(") {
        return milliseconds(inside.strip_suffix(")/")?);
    }
    let bytes = text.as_bytes();
    let marks = [(10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark)) {
        return None;
    }
    let behind = text.get(19..)?;
    let zone = match behind.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if fraction.len() - zone.len() > 7 {
                return None;
            }
            zone
        }
        None => behind,
    };
    let utc = matches!(zone, "Z" | "z");
    if !(utc || zone.is_empty() || zone.starts_with(['+', '-'])) {
        return None;
    }
    let read = read_iso(text)?;
    let (ticks, kind) = match read.offset {
        Some(_) if utc => (read.ticks, Kind::Utc),
        Some(minutes) => (
            read.ticks - i64::from(minutes) * 60 * TICKS_PER_SECOND,
            Kind::Local,
        ),
        None => (read.ticks, Kind::Unspecified),
    };
    DateTime::new(ticks, kind).ok()
}

/// Milliseconds since 1970, and perhaps a zone, which only makes it a local time.
fn milliseconds(text: &str) -> Option<DateTime> {
    let zone = text.get(1..)?.find(['+', '-']);
    let (number, kind) = match zone {
        Some(at) => (text.get(..at + 1)?, Kind::Local),
        None => (text, Kind::Utc),
    };
    let ticks = numbers::parse_whole(number).ok()?.checked_mul(10_000)?;
    DateTime::new(ticks.checked_add(EPOCH)?, kind).ok()
}

/// `TimeSpan.Parse`, of `[-][d.]hh:mm[:ss[.fffffff]]` and of days alone.
pub(crate) fn parse_span(text: &str) -> Outcome<i64> {
    let text = text.trim();
    let (text, sign) = match text.strip_prefix('-') {
        Some(rest) => (rest, -1),
        None => (text, 1),
    };
    let (days, clock) = match (text.find('.'), text.find(':')) {
        (_, None) => (text, None),
        (Some(point), Some(colon)) if point < colon => {
            let (days, clock) = text.split_once('.').ok_or(Exception::Format)?;
            (days, Some(clock))
        }
        _ => ("0", Some(text)),
    };
    let days = number(days, 1..=7).ok_or(Exception::Format)?;
    let ticks = clock.map_or(Some(0), time).ok_or(Exception::Format)?;
    Ok(sign * (i64::from(days) * 86_400 * TICKS_PER_SECOND + ticks))
}

/// The forms that documents meet: ISO 8601, RFC 1123, `MM/dd/yyyy HH:mm:ss`.
fn read(text: &str) -> Option<Read> {
    let text = text.trim();
    read_iso(text)
        .or_else(|| read_rfc(text))
        .or_else(|| read_american(text))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i32> {
    let fits = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `HH:mm[:ss[.fffffff]]`, in ticks.
fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = parts.next().map_or(Some(0), |part| number(part, 2..=2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if text.contains('.')
        && (fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return None;
    }
    let mut digits = fraction.get(..7).unwrap_or(fraction).to_owned();
    while digits.len() < 7 {
        digits.push('0');
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * TICKS_PER_SECOND + digits.parse::<i64>().ok()?)
}

/// A zone behind a time, and what is before it.
fn zone(text: &str) -> Option<(&str, Option<i32>)> {
    if let Some(before) = text.strip_suffix(['Z', 'z']) {
        return Some((before.trim_end(), Some(0)));
    }
    if let Some(before) = text.strip_suffix("GMT") {
        return Some((before.trim_end(), Some(0)));
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, None));
    };
    let (before, written) = text.split_at_checked(at)?;
    let digits = written.get(1..)?.replace(':', "");
    let digits = if digits.len() == 2 {
        digits + "00"
    } else {
        digits
    };
    let value = number(&digits, 4..=4)?;
    let minutes = value / 100 * 60 + value % 100;
    if minutes > 14 * 60 || value % 100 > 59 {
        return None;
    }
    Some((
        before.trim_end(),
        Some(if written.starts_with('-') {
            -minutes
        } else {
            minutes
        }),
    ))
}

fn read_iso(text: &str) -> Option<Read> {
    let date = text.get(..10)?;
    let (year, rest) = date.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let date = [
        number(year, 4..=4)?,
        number(month, 2..=2)?,
        number(day, 2..=2)?,
    ];
    let midnight = DateTime::of(date, [0, 0, 0], Kind::Unspecified).ok()?.ticks;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(Read {
            ticks: midnight,
            offset: None,
        });
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = zone(rest)?;
    Some(Read {
        ticks: midnight + time(clock)?,
        offset,
    })
}

/// `Tue, 02 Jan 2024 03:04:05 GMT`.
fn read_rfc(text: &str) -> Option<Read> {
    let rest = match text.split_once(',') {
        Some((day, rest)) => {
            DAYS.iter()
                .find(|name| name.starts_with(day) && day.len() >= 3)?;
            rest.trim_start()
        }
        None => text,
    };
    let mut parts = rest.splitn(4, ' ');
    let day = number(parts.next()?, 1..=2)?;
    let name = parts.next()?;
    let month = MONTHS
        .iter()
        .position(|month| month.len() >= 3 && name.len() >= 3 && month.starts_with(name))?;
    let year = number(parts.next()?, 4..=4)?;
    let month = i32::try_from(month).ok()? + 1;
    let midnight = DateTime::of([year, month, day], [0, 0, 0], Kind::Unspecified)
        .ok()?
        .ticks;
    let Some(clock) = parts.next() else {
        return Some(Read {
            ticks: midnight,
            offset: None,
        });
    };
    let (clock, offset) = zone(clock)?;
    Some(Read {
        ticks: midnight + time(clock)?,
        offset,
    })
}

/// `01/02/2024 03:04:05`, with `AM` or `PM` or without.
fn read_american(text: &str) -> Option<Read> {
    let (date, clock) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = date.split('/');
    let month = number(parts.next()?, 1..=2)?;
    let day = number(parts.next()?, 1..=2)?;
    let year = number(parts.next()?, 4..=4)?;
    if parts.next().is_some() {
        return None;
    }
    let midnight = DateTime::of([year, month, day], [0, 0, 0], Kind::Unspecified)
        .ok()?
        .ticks;
    if clock.is_empty() {
        return Some(Read {
            ticks: midnight,
            offset: None,
        });
    }
    let (clock, half) = match clock.strip_suffix(" AM").or(clock.strip_suffix(" PM")) {
        Some(before) => (before, clock.ends_with("PM")),
        None => {
            let (clock, offset) = zone(clock)?;
            return Some(Read {
                ticks: midnight + time(clock)?,
                offset,
            });
        }
    };
    let noon = 12 * 3600 * TICKS_PER_SECOND;
    let ticks = time(clock)?;
    if ticks >= noon + 3600 * TICKS_PER_SECOND {
        return None;
    }
    let ticks = ticks % noon + if half { noon } else { 0 };
    Some(Read {
        ticks: midnight + ticks,
        offset: None,
    })
}
